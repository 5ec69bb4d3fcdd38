//! Whole clusters in virtual time, and openraft's own suite for our storage.

mod simulation;
mod storage_suite;
