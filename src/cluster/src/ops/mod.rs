//! Operation of a node: its disk, damage, status, and what operators ask of it.

pub mod admin;
pub mod admin_client;
pub mod damage;
pub mod disk_watch;
pub mod monitor;
pub mod rewrap;
pub mod status;
