//! One event, whole: it is understood without any other one.

use std::net::IpAddr;

use keymoot_model::{AccountId, ContentId, Kid, NodeId, Period, PolicyName, TrackName};
use serde::{Deserialize, Serialize};

use crate::Action;

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// An account, proved by a credential or by its address.
    Account,
    /// An operator, by a certificate or a session.
    Operator,
    /// Whoever proved a master key and named no operator.
    Keyring,
    /// A node of the cluster.
    Node,
    /// Nobody who proved anything: what is said of the actor is what was claimed.
    Stranger,
    /// This node by itself.
    System,
}

/// Who did it, and by what that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    pub kind: ActorKind,
    /// The account, operator or node; for a stranger what was claimed. At most 128 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The credential, or the fingerprint of the certificate, or the name of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The role that an operator acted in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

impl Actor {
    /// This node by itself.
    pub const SYSTEM: Self = Self { kind: ActorKind::System, id: None, credential: None, role: None };
    /// Nobody known.
    pub const STRANGER: Self = Self { kind: ActorKind::Stranger, id: None, credential: None, role: None };
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is about to be tried. Another event says what came of it, or none: then that is unknown.
    Intended,
    /// It was done.
    Done,
    /// It was allowed, and there was nothing.
    NotFound,
    /// It was refused.
    Refused,
    /// It was allowed, and failed.
    Failed,
    /// Whether it was done cannot be told: no quorum answered in time.
    Unknown,
}

/// A key, without the key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyName {
    /// The content, where the event is about several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<TrackName>,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "kid_text")]
    pub kid: Option<Kid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The crypto period, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period: Option<Period>,
}

/// For licenses: the system, and whose player it was, by keyed digests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrmUse {
    pub system: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub viewer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// One event. Everything that is `None` has nothing to say, and is not written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since 1970 UTC, by the node's clock.
    pub time_ms: u64,
    pub node: NodeId,
    pub action: Action,
    pub outcome: Outcome,
    pub actor: Actor,
    /// How the actor was proved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Whose keys it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drm: Option<DrmUse>,
    /// For whom an export was wrapped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The policy that was applied, stored or attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyName>,
    /// What an operator's or a node's action is about, as `name=value` parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Why it was refused or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The status that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The reference of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The number of the intent that this is the outcome of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<u64>,
    /// The index in Raft's log at which it was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_index: Option<u64>,
    /// How many events like this one it stands for, because a limit kept them from being written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<u64>,
}

impl Event {
    /// The longest event that is written, in bytes as written. Longer ones are split by their keys, and cut in
    /// what strangers supplied.
    pub const BYTES_MAX: usize = 60_000;

    /// One with nothing to say beside this.
    pub const fn new(node: NodeId, time_ms: u64, action: Action, outcome: Outcome, actor: Actor) -> Self {
        Self {
            time_ms,
            node,
            action,
            outcome,
            actor,
            scheme: None,
            address: None,
            account: None,
            content: None,
            keys: Vec::new(),
            drm: None,
            recipient: None,
            policy: None,
            object: None,
            reason: None,
            status: None,
            reference: None,
            intent: None,
            log_index: None,
            repeated: None,
        }
    }
}

/// A key id as the APIs write it.
pub(crate) mod kid_text {
    use keymoot_model::Kid;
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it")]
    pub(crate) fn serialize<S: Serializer>(kid: &Option<Kid>, serializer: S) -> Result<S::Ok, S::Error> {
        match kid {
            Some(kid) => serializer.serialize_str(&kid.to_base64()),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Kid>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| Kid::from_base64(&text).map_err(serde::de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_the_same_after_it_was_written_and_says_only_what_it_has_to() {
        let mut event = Event::new(3, 1_700_000_000_000, Action::KEY_CREATE, Outcome::Done, Actor::STRANGER);
        let short = serde_json::to_string(&event).unwrap();
        assert_eq!(
            short,
            r#"{"time_ms":1700000000000,"node":3,"action":"key.create","outcome":"done","actor":{"kind":"stranger"}}"#
        );
        event.keys =
            vec![KeyName { kid: Some(Kid::from_bytes([7; 16])), version: Some(1), ..KeyName::default() }];
        event.address = Some("192.0.2.1".parse().unwrap());
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
