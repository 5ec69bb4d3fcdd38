//! The only actix-web room: routes, request parsing, error mapping. Handlers translate and call.

mod admission;
mod answer;
mod capabilities;
mod challenges;
pub mod error;
mod license;
mod mapping;
mod observe;
mod packager;
pub mod path;
mod periods_data;
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
mod widevine;

pub use packager::listen_for_packagers;
pub use server::{Api, HttpError, listen};
