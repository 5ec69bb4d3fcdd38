//! By which digest the audit names a viewer or a device, for auditors who search for one.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use keymoot_cluster::Cluster;
use keymoot_crypto::Keyring;
use keymoot_model::AccountId;

use super::AdministrationError;
use crate::viewer_digests::known_server_keys;

/// Whose digest is asked for: a viewer's or a device's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditDigestCall {
    pub account: AccountId,
    /// The `user_id`, else the `user_token`, of the viewer's players; empty for a device.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub viewer: String,
    /// The `udid` of the device; empty for a viewer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub device: String,
}

impl AuditDigestCall {
    /// The digest, as this node makes it.
    pub(super) fn answer(&self, cluster: &Cluster, keyring: &Keyring) -> Result<Value, AdministrationError> {
        let keys = known_server_keys(cluster, keyring).ok().flatten();
        let keys = keys.ok_or_else(|| {
            AdministrationError::Invalid(
                "this node does not know the cluster's secret yet; ask again once it is ready".to_owned(),
            )
        })?;
        let (digests, account) = (keys.viewer_digests(), self.account.as_str());
        let digest = match (self.viewer.as_str(), self.device.as_str()) {
            (viewer, "") if !viewer.is_empty() => digests.viewer(account, viewer),
            ("", device) if !device.is_empty() => digests.device(account, device),
            _ => {
                let message = "give viewer or device, and not both".to_owned();
                return Err(AdministrationError::Invalid(message));
            }
        };
        Ok(json!({ "digest": digest }))
    }
}

impl fmt::Debug for AuditDigestCall {
    /// Names nobody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditDigestCall").field("account", &self.account).finish_non_exhaustive()
    }
}
