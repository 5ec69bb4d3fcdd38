//! The members of the cluster: joining, changing, leader transfer, and the task that reconciles them.

pub mod founding;
pub mod join;
pub mod join_client;
pub mod leader_transfer;
pub mod membership;
pub mod node_info;
pub mod placement;
pub mod plan;
pub mod reconciler;
pub mod transfer_target;
