//! The only actix-web room: what arrives, read strictly; what leaves, in the specification's words.

pub mod error;
pub mod path;
pub mod query;
