//! The front ends: one for each protocol, which translates its requests into calls of the service and the
//! results into its answers. None knows another; what several need stands in `request` or `answer`.

pub(crate) mod bulk;
pub(crate) mod capabilities;
pub(crate) mod documents;
pub(crate) mod export;
pub(crate) mod hls;
pub(crate) mod license;
pub(crate) mod observe;
pub(crate) mod packager;
pub(crate) mod playready;
pub(crate) mod policy;
pub(crate) mod schedule;
pub(crate) mod udrm;
pub(crate) mod widevine;
