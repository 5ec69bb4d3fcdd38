//! Connections and HTTP requests to servers outside the cluster: entitlement back ends, license servers, and
//! receivers of the audit.
//!
//! Only addresses of the configuration are contacted. No redirect is followed and no proxy of the environment is
//! used, because requests hold viewers' tokens, content keys and events. Everything is limited in time and in bytes.

mod client;
mod dial;
mod exchange;
mod idle_connections;
mod server_url;
mod wiped_buffer;

pub use client::{
    Outgoing, OutgoingError, OutgoingLimits, OutgoingRequest, OutgoingResponse, OutgoingSetupError,
};
pub use dial::{Connection, DialError, Dialer};
pub use server_url::{ServerUrl, ServerUrlError};
pub use ureq_proto::http::header;
