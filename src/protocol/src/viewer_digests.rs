//! Viewers and devices as the audit names them: by digests that only whoever has the cluster's secret can make, so
//! that the audit can be searched for a viewer and shows no viewer's name.

use aws_lc_rs::hmac;

/// How much of a digest is shown, in bytes.
const SHOWN_BYTES: usize = 16;

/// Makes digests of viewers and devices.
pub struct ViewerDigests(hmac::Key);

impl ViewerDigests {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// How the audit names a viewer of an account, by the `user_id` or `user_token` of its players.
    pub fn viewer(&self, account: &str, name: &str) -> String {
        self.digest("viewer", account, name)
    }

    /// How the audit names a device, by its `udid`.
    pub fn device(&self, account: &str, udid: &str) -> String {
        self.digest("device", account, udid)
    }

    /// No part holds what ends it: account ids are free of control characters.
    fn digest(&self, kind: &str, account: &str, name: &str) -> String {
        let tag = hmac::sign(&self.0, format!("{kind}\0{account}\0{name}").as_bytes());
        tag.as_ref().iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_tells_viewers_devices_and_accounts_apart_and_is_the_same_on_every_node() {
        let (digests, other) = (ViewerDigests::new(&[1; 32]), ViewerDigests::new(&[2; 32]));
        let shown = digests.viewer("167", "ann");
        assert_eq!((shown.len(), &shown), (32, &ViewerDigests::new(&[1; 32]).viewer("167", "ann")));
        for another in [
            digests.device("167", "ann"),
            digests.viewer("168", "ann"),
            digests.viewer("167", "bob"),
            other.viewer("167", "ann"),
        ] {
            assert_ne!(shown, another);
        }
    }
}
