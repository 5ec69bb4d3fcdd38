//! The listeners: sockets, TLS, connections and how long clients are waited for.

pub mod bind;
pub mod connection;
pub mod connection_table;
pub mod drain;
pub mod server;
pub mod settings;
pub mod timed_stream;
