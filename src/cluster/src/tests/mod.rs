//! Whole clusters in virtual time, openraft's own suite for Keymoot's storage, and the order of the
//! folders.

mod layout;
mod simulation;
mod storage_suite;
