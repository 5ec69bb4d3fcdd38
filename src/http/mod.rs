//! The only actix-web room: routes, request parsing, error mapping. Handlers translate and call.

mod answer;
mod error;
mod mapping;
mod observe;
mod path;
mod query;
mod routes;
mod server;
mod udrm;

#[cfg(test)]
mod error_test;

pub use error::{ApiError, ErrorKind};
pub use path::{PathError, RequestPath};
pub use query::{Query, QueryError};
pub use server::{Api, HttpError, listen};
