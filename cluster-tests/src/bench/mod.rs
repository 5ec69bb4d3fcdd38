//! The benchmark: Keymoot beside etcd and beside a bare actix-web server, in one run on one
//! machine.
//!
//! Rounds of all workloads are interleaved, so that a machine that slows down does so for all, and
//! the median round counts. Only ratios within a run are meaningful, not figures of two runs.

pub mod bare;
pub mod catching_up;
pub mod etcd;
pub mod figures;
pub mod filling;
pub mod front;
pub mod growth;
pub mod http;
pub mod known;
pub mod load;
pub mod machine;
pub mod names;
pub mod node_counts;
pub mod pacer;
pub mod peers;
pub mod ratios;
pub mod report;
pub mod rounds;
pub mod traffic;
pub mod usage;
pub mod workloads;
