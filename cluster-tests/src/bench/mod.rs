//! The benchmark: Keymoot beside etcd and beside a bare actix-web server, in one run on one machine.
//!
//! Rounds of all workloads are interleaved, so that a machine that grows slower does so for all, and the
//! median round counts. What is believed of it are ratios within a run, not figures of two runs.

pub mod bare;
pub mod etcd;
pub mod figures;
pub mod growth;
pub mod load;
pub mod machine;
pub mod usage;
pub mod workloads;
