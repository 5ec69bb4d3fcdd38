//! Keymoot: a highly available key server for video DRM.
//!
//! Scramblers (packagers, encoders) ask any node for content keys; every key lives in a
//! Raft-replicated state machine, wrapped under a master key before it reaches the log.
//!
//! # The rooms, and who may use whom
//!
//! ```text
//! cli → http → service → cluster, drm → state → model
//!                │          │            │
//!                │          └→ store     └→ codec, crypto, model
//!                └→ license → auth → crypto, model
//! ```
//!
//! | room | owns |
//! |---|---|
//! | [`model`] | accounts, contents, keys, ids: pure types, no I/O |
//! | [`crypto`] | keyring, wrapping, secret bytes, certificates |
//! | [`codec`] | the versioned envelope over bincode |
//! | [`config`] | one configuration, every value with its provenance |
//! | [`state`] | commands, apply, queries, digest: pure and deterministic |
//! | [`store`] | directories, log, tables, snapshot files: bytes, knows no command |
//! | [`cluster`] | the only openraft room: node, network, proposer, read barrier |
//! | [`drm`] | a provider per DRM system: system data (pssh and the like) |
//! | [`auth`] | signatures, custom data, allow-lists, the authenticator |
//! | [`license`] | what players are given: challenges, licenses, license servers |
//! | [`service`] | what each request does |
//! | [`http`] | the only actix-web room: routes, error mapping |
//! | [`telemetry`] | logs, metrics |
//! | [`client`] | the scrambler's side: service points with fail-over, negotiation, signing, verification, remembered keys, keys fetched ahead |
//! | [`cli`] | the commands a person types |
//!
//! The import law is kept by the test `rooms` in `src/rooms_test.rs`.
#![warn(missing_docs)]

pub mod auth;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod codec;
pub mod config;
pub mod crypto;
pub mod drm;
pub mod http;
pub mod license;
pub mod model;
#[cfg(feature = "mutants")]
pub mod mutant;
pub mod service;
pub mod state;
pub mod store;
pub mod telemetry;

#[cfg(test)]
mod rooms_test;
