//! The front ends: one for each protocol, which translates its requests into calls of the service and the
//! results into its answers. None knows another; what several need stands in `request` or `answer`.

pub mod bulk;
pub mod capabilities;
pub mod export;
pub mod hls;
pub mod license;
pub mod observe;
pub mod packager;
pub mod playready;
pub mod policy;
pub mod schedule;
pub mod udrm;
pub mod widevine;
