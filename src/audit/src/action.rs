//! What an event is about.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// What was done, or asked for: a dotted name, which stays what it is for ever, because auditors search for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Action(Cow<'static, str>);

impl Action {
    /// An action by this name.
    pub const fn named(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// A use case of the admin API: `admin.` and its name.
    pub fn of_use_case(name: &str) -> Self {
        Self(Cow::Owned(format!("admin.{name}")))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it means, in a sentence.
    pub fn summary(&self) -> &'static str {
        match Self::ALL.iter().find(|(action, _)| action == self) {
            Some((_, summary)) => summary,
            None if self.0.starts_with("admin.") => "A request to the admin API.",
            None => "An action that this version of the program does not know.",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! actions {
    ($($constant:ident = $name:literal: $summary:literal;)*) => {
        impl Action {
            $(#[doc = $summary] pub const $constant: Self = Self::named($name);)*

            /// Every action beside the admin API's use cases, with what it means.
            pub const ALL: &[(Self, &str)] = &[$((Self::$constant, $summary),)*];
        }
    };
}

actions! {
    KEY_READ = "key.read": "A key that was there was handed out to whoever encrypts.";
    KEY_CREATE = "key.create": "A key was made, or supplied, and handed out.";
    KEY_REPLACE = "key.replace": "A content's key was replaced by a new version.";
    KEY_DELETE = "key.delete": "Versions of a content's key were deleted.";
    KEY_LOOK_UP = "key.look_up": "A key was handed out by its key id, or by the header of its system.";
    KEY_EXPORT = "key.export": "Keys were handed out wrapped for a recipient.";
    KEY_PLAY = "key.play": "A player was given a key of HLS AES-128.";
    PERIODS_READ = "periods.read": "Keys of crypto periods were handed out.";
    PERIODS_BEGIN = "periods.begin": "A track began to rotate: the seed of its crypto periods was made.";
    PERIODS_RESEED = "periods.reseed": "Crypto periods were given a new seed.";
    DOCUMENT_KEY = "document.key": "A key was handed out to an encryptor's document (SPEKE, CPIX).";
    DOCUMENT_NOTE = "document.note": "A content that a document makes, or what is new about one, was noted.";
    DOCUMENT_DELETE = "document.delete": "What documents made of a content, or the key of one key id, was deleted.";
    AUXILIARY_PUT = "auxiliary.put": "The data that are kept beside a content's keys were changed.";
    LEASE_CLAIM = "lease.claim": "A device took a slot of its viewer's, or kept it.";
    RENTAL_BEGIN = "rental.begin": "A viewer's rental of a content began.";
    LICENSE_ISSUE = "license.issue": "A license was issued.";
    LICENSE_RENEW = "license.renew": "A license was renewed or given back, for which no key is handed out.";
    POLICY_READ = "policy.read": "Policies were read.";
    POLICY_PUT = "policy.put": "A policy was stored.";
    POLICY_DELETE = "policy.delete": "A policy was deleted.";
    POLICY_ATTACH = "policy.attach": "A policy was attached to a content, or detached.";
    POLICY_DEFAULT = "policy.default": "The policy for contents without one of their own was set.";
    REQUEST = "request": "A request that was refused before it was known what it asks for.";
    METRICS_READ = "metrics.read": "The metrics were asked for with a token.";
    ADMIN_REQUEST = "admin.request": "An operator's request that names no use case.";
    SIGN_IN = "operator.sign_in": "An operator signed in with a password.";
    PEER_CONNECT = "peer.connect": "Somebody who is no peer connected to the peer port.";
    NODE_JOIN = "node.join": "A node joined, or was refused.";
    NODE_CERTIFICATE = "node.certificate": "A node was given its next certificate.";
    MEMBERS_CHANGE = "members.change": "The members of the cluster were changed.";
    LEADER_ELECTED = "leader.elected": "A leader was elected.";
    KEYRING_CHANGE = "keyring.change": "The keyring of this node was found changed.";
    BACKUP_TAKE = "backup.take": "A backup was taken.";
    BACKUP_RESTORE = "backup.restore": "A node began from a backup.";
    AUTHORITY_CHANGE = "authority.change": "The replacement of the certificate authority went on.";
    ACCOUNTS_DECLARE = "accounts.declare": "The accounts of a file were applied at a first start.";
    SECRETS_MAKE = "secrets.make": "A secret of the cluster itself was made: what derived key ids come of, or what answers are signed with.";
    SECRETS_REWRAP = "secrets.rewrap": "Secrets were put under the active master key.";
    AUDIT_LOG_BEGIN = "audit.begin": "This log began; it names the one before it, if there was one.";
    AUDIT_DELETE = "audit.delete": "Events that are older than the retention were deleted; their hashes stay.";
    AUDIT_COSIGN = "audit.cosign": "The log of another node did not fit what this node had checked of it, and was not cosigned.";
    AUDIT_LOST = "audit.lost": "The node had died before it wrote the outcome of an intent: what the state says of it.";
    NODE_START = "node.start": "The node started.";
    NODE_STOP = "node.stop": "The node was told to stop.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_actions_share_a_name() {
        let names: BTreeSet<_> = Action::ALL.iter().map(|(action, _)| action.as_str()).collect();
        assert_eq!(names.len(), Action::ALL.len());
    }
}
