//! The members of the cluster: joining, membership changes, leader transfer, and the task that
//! reconciles them.

pub(crate) mod answering;
pub(crate) mod authority;
pub(crate) mod authority_change;
pub(crate) mod candidacy;
pub(crate) mod certificate;
pub(crate) mod enrolment;
pub(crate) mod founding;
pub(crate) mod join;
pub(crate) mod join_client;
pub(crate) mod leader_transfer;
pub(crate) mod membership;
pub(crate) mod node_info;
pub(crate) mod placement;
pub(crate) mod plan;
pub(crate) mod reconciler;
pub(crate) mod registration;
pub(crate) mod renewal;
pub(crate) mod renewal_client;
pub(crate) mod reporting;
pub(crate) mod transfer_target;
pub(crate) mod witness;
