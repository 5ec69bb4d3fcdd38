//! How the errors of other crates become the caller's: one kind each, here only.

use keymoot_cluster::ClusterError;
use keymoot_drm::DrmError;
use keymoot_service::ServiceError;

use crate::answer::error::{ApiError, ErrorKind};

impl From<ClusterError> for ApiError {
    fn from(error: ClusterError) -> Self {
        match error {
            ClusterError::NoQuorum { .. } => {
                let message = "no quorum of the key servers could be reached in time; try again";
                Self::with_reason(ErrorKind::NoQuorum, message, error)
            }
            ClusterError::CutOff { .. } => {
                let message = "this server has been cut off from the others for too long; ask another one";
                Self::with_reason(ErrorKind::NoQuorum, message, error)
            }
            ClusterError::DiskFull => {
                let message = "the key servers' disks are full: keys are read but none is made; free space, then try again";
                Self::with_reason(ErrorKind::NoQuorum, message, error)
            }
            ClusterError::Diverged(why) => {
                let reason = why.clone();
                Self::with_reason(ErrorKind::NoQuorum, why, reason)
            }
            ClusterError::Behind { read_only: true, .. } => {
                let message =
                    "this server's disk is full, so it lacks what was written since; ask another one";
                Self::with_reason(ErrorKind::NoQuorum, message, error)
            }
            ClusterError::Behind { .. } => {
                let message = "this server is catching up with the others; ask another one, or try again";
                Self::with_reason(ErrorKind::NoQuorum, message, error)
            }
            ClusterError::Busy { .. } | ClusterError::Stopped => {
                Self::with_reason(ErrorKind::Busy, "the server is busy or stopping; try again", error)
            }
            _ => Self::internal(error),
        }
    }
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Cluster(error) => error.into(),
            ServiceError::Unaudited(error) => Self::unaudited(&error),
            ServiceError::Conflict(message) => Self::new(ErrorKind::Conflict, message),
            ServiceError::ExportShut { .. } => Self::new(ErrorKind::Denied, error.to_string()),
            ServiceError::UnknownPolicy { .. } => Self::new(ErrorKind::NotFound, error.to_string()),
            ServiceError::OverLimit(error) => error.into(),
            ServiceError::Contended { .. } => {
                Self::with_reason(ErrorKind::Busy, "others are changing the same key; try again", error)
            }
            // The caller learns the reference; what it stands for is in the log, with its cause.
            _ => match std::error::Error::source(&error) {
                Some(source) => Self::internal(format!("{error}: {source}")),
                None => Self::internal(error),
            },
        }
    }
}

impl From<DrmError> for ApiError {
    fn from(error: DrmError) -> Self {
        match error {
            DrmError::Busy | DrmError::Stopped => {
                Self::with_reason(ErrorKind::Busy, "the server is busy or stopping; try again", error)
            }
            DrmError::UnknownScheme | DrmError::SchemeUnfit { .. } | DrmError::SchemeNotPlayable { .. } => {
                Self::new(ErrorKind::Invalid, error.to_string())
            }
            _ => Self::internal(error),
        }
    }
}
