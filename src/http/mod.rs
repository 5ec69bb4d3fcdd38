//! The only actix-web room: routes, request parsing, error mapping. Handlers translate and call.

mod admission;
mod answer;
mod bulk;
mod capabilities;
mod challenges;
mod drain;
mod endpoint;
pub mod error;
mod export;
mod hls;
mod license;
mod mapping;
mod observe;
mod openapi;
mod packager;
pub mod path;
mod periods_data;
pub mod playready;
mod policy;
pub mod query;
mod received;
mod routes;
mod schedule;
mod schedule_answer;
mod schemes;
mod server;
mod signed_answer;
mod udrm;
pub mod widevine;

pub use drain::Drain;
pub use packager::listen_for_packagers;
pub use server::{Api, HttpError, listen};
