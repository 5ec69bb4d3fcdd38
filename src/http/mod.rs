//! The only actix-web room: routes, request parsing, error mapping. Handlers translate and call.

mod answer;
pub mod error;
mod mapping;
mod observe;
mod packager;
pub mod path;
pub mod query;
mod routes;
mod server;
mod udrm;

pub use packager::listen_for_packagers;
pub use server::{Api, HttpError, listen};
