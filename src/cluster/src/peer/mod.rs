//! Connections between nodes: dialling, greeting, proof of who is who, and requests over links.

pub mod fatal_signal;
pub mod feature_level;
pub mod fence;
pub mod greeting;
pub mod leader_client;
pub mod link;
pub mod local_end;
pub mod peers;
pub mod proof;
pub mod rate_limit;
pub mod refusal_log;
pub mod refusals;
pub mod removed_nodes;
