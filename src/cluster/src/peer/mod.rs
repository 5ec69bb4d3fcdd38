//! Connections between nodes: dialling, greeting, proofs of identity, and requests over links.

pub(crate) mod fatal_signal;
pub(crate) mod feature_level;
pub(crate) mod fence;
pub(crate) mod final_stop;
pub(crate) mod greeting;
pub(crate) mod known_keys;
pub(crate) mod leader_client;
pub(crate) mod link;
pub(crate) mod live_sessions;
pub(crate) mod local_end;
pub(crate) mod peers;
pub(crate) mod proof;
pub(crate) mod rate_limit;
pub(crate) mod refusal_log;
pub(crate) mod refusals;
pub(crate) mod removed_nodes;
pub(crate) mod reports;
pub(crate) mod route;
