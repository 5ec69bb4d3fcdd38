//! The HTTP API, and the only crate that knows actix-web. A listener accepts, `dispatch` finds the front end that a path names, and the
//! front end translates: it reads with `request`, calls the service, and writes with `answer`.

mod admin;
mod answer;
mod api;
mod dispatch;
mod front;
mod listener;
mod openapi;
mod request;

#[cfg(test)]
mod tests;

/// What stops a listener.
pub use actix_web::dev::ServerHandle;
pub use admin::{AdminListener, listen_for_operators};
pub use answer::audited::StrangerRate;
pub use api::Api;
pub use front::observe::{MetricsToken, MetricsTokenError};
pub use keymoot_auth::{BackOff, BackOffSettings};
pub use listener::connection::ClientTimeouts;
pub use listener::drain::Drain;
pub use listener::in_memory::MemoryListener;
pub use listener::monitors::{Monitored, listen_for_monitors};
pub use listener::server::{HttpError, listen, listen_for_packagers};
pub use listener::settings;
pub use request::authority::Authorities;
pub use request::incoming_body::BodyRoom;
pub use request::path;
