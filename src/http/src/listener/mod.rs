//! The listeners: sockets, TLS, connections and how long clients are waited for.

pub(crate) mod bind;
pub(crate) mod connection;
pub(crate) mod connection_table;
pub(crate) mod drain;
pub(crate) mod in_memory;
pub(crate) mod monitors;
mod own_head;
pub(crate) mod server;
pub mod settings;
pub(crate) mod timed_stream;
