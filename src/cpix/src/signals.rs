//! What an answer says of the demands of licenses: HDCP, robustness, allowed content protection.
//!
//! The caller takes it from the policy by which licenses are issued, so that what is signalled and what is licensed
//! never disagree.

use std::collections::BTreeMap;

use super::DrmSystem;

/// The demands of licenses for one key. Empty: nothing is demanded, and nothing signalled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicySignals {
    /// The protection of outputs; `None` when the policy says nothing of it.
    pub hdcp: Option<Hdcp>,
    pub systems: BTreeMap<DrmSystem, SystemSignals>,
}

/// The demands of one system's licenses, in its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemSignals {
    /// For DASH: `HW_SECURE_ALL`, `3000`.
    pub robustness: Option<String>,
    /// For HLS, the entry of `ALLOWED-CPC`: `com.widevine.alpha:HW`.
    pub hls_allowed_cpc: Option<String>,
}

/// The least version of HDCP that protects an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hdcp {
    /// None is needed.
    None,
    V1,
    V2_0,
    V2_1,
    V2_2,
    V2_3,
}

impl Hdcp {
    /// `HDCP-LEVEL` of HLS: type 1 is version 2.2 and later.
    pub(crate) const fn hls_level(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::V1 | Self::V2_0 | Self::V2_1 => "TYPE-0",
            Self::V2_2 | Self::V2_3 => "TYPE-1",
        }
    }

    /// DASH's descriptor; there is none where nothing is needed.
    pub(crate) fn dash_descriptor(self) -> Option<String> {
        let version = match self {
            Self::None => return None,
            Self::V1 => "1.0",
            Self::V2_0 => "2.0",
            Self::V2_1 => "2.1",
            Self::V2_2 => "2.2",
            Self::V2_3 => "2.3",
        };
        Some(format!(
            "<OutputProtection xmlns=\"urn:mpeg:dash:schema:mpd:2011\" \
             schemeIdUri=\"urn:mpeg:dash:output-protection:hdcp:2020\" value=\"{version}\"/>"
        ))
    }
}
