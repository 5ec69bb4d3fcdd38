//! The nemesis: five real nodes, each in a network namespace and on a disk of its own, attacked by
//! faults that a seed determines, while clients record all answers. Then checkers decide whether
//! every promise was kept. How to use it: `docs/testing.md`.

pub mod check;
pub mod churn;
pub mod client;
pub mod delay;
pub mod directed;
pub mod fabric;
pub mod faults;
pub mod history;
mod identity;
pub mod leftover;
pub mod machine;
mod replacement;
pub mod report;
pub mod requirement;
pub mod run;
pub mod schedule;
pub mod shim;
pub mod site;
pub mod workload;

pub use report::Report;
pub use run::{Run, Settings};
