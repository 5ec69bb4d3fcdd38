//! What is searched for, and what is found.

use std::net::IpAddr;

use bytes::Bytes;
use keymoot_model::{AccountId, ContentId, Kid};
use serde::{Deserialize, Serialize};

use crate::codec::encoded_text;
use crate::{Action, Event, Outcome};

/// What events must have. What is `None` is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// Whose keys it is about, or who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentId>,
    /// One of its keys.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::event::kid_text")]
    pub kid: Option<Kid>,
    /// The actor's credential: its name, or a certificate's fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The actor, where that is an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The action, or with a dot at its end those that begin so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Not before this time, in milliseconds since 1970 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// Before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<u64>,
    /// The reference of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The keyed digest of a viewer or of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub viewer: Option<String>,
    /// The newest events first.
    #[serde(default)]
    pub newest_first: bool,
    /// Where the next page begins, as the page before said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
    /// How many events a page has at most; 0 means as many as there may be.
    #[serde(default)]
    pub limit: usize,
}

impl Query {
    /// The most events on a page.
    pub const LIMIT_MAX: usize = 1000;

    /// How many events a page has at most.
    pub(crate) fn page_events(&self) -> usize {
        if self.limit == 0 { Self::LIMIT_MAX } else { self.limit.min(Self::LIMIT_MAX) }
    }

    /// Whether an event is one of those that are searched for.
    pub fn matches(&self, event: &Event) -> bool {
        fn is<T: PartialEq + ?Sized>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none_or(|wanted| found == Some(wanted))
        }
        let actor = &event.actor;
        let acts = |kind| (actor.kind == kind).then_some(actor.id.as_deref()).flatten();
        let in_keys = |wanted: &dyn Fn(&crate::KeyName) -> bool| event.keys.iter().any(wanted);
        let digest = |wanted: &String| {
            let drm = event.drm.as_ref();
            drm.is_some_and(|drm| {
                [&drm.viewer, &drm.device].into_iter().any(|found| found.as_ref() == Some(wanted))
            })
        };
        self.from_ms.is_none_or(|from| event.time_ms >= from)
            && self.to_ms.is_none_or(|to| event.time_ms < to)
            && self.account.as_ref().is_none_or(|wanted| {
                event.account.as_ref() == Some(wanted)
                    || acts(crate::ActorKind::Account) == Some(wanted.as_str())
            })
            && self.content.as_ref().is_none_or(|wanted| {
                event.content.as_ref() == Some(wanted) || in_keys(&|key| key.content.as_ref() == Some(wanted))
            })
            && self.kid.is_none_or(|wanted| in_keys(&|key| key.kid == Some(wanted)))
            && is(self.credential.as_deref(), actor.credential.as_deref())
            && is(self.operator.as_deref(), acts(crate::ActorKind::Operator))
            && is(self.address.as_ref(), event.address.as_ref())
            && self.action.as_deref().is_none_or(|wanted| is_action(&event.action, wanted))
            && self.outcome.is_none_or(|wanted| event.outcome == wanted)
            && is(self.reference.as_deref(), event.reference.as_deref())
            && self.viewer.as_ref().is_none_or(digest)
    }

    /// The texts that an event which matches has between quotes, as they are on disk.
    pub(crate) fn texts(&self) -> Vec<Vec<u8>> {
        let address = self.address.map(|address| address.to_string());
        let kid = self.kid.map(|kid| kid.to_base64());
        let texts = [
            self.account.as_ref().map(AccountId::as_str),
            self.content.as_ref().map(ContentId::as_str),
            kid.as_deref(),
            self.credential.as_deref(),
            self.operator.as_deref(),
            address.as_deref(),
            self.reference.as_deref(),
            self.viewer.as_deref(),
        ];
        texts.into_iter().flatten().map(encoded_text).collect()
    }
}

fn is_action(found: &Action, wanted: &str) -> bool {
    match wanted.ends_with('.') {
        true => found.as_str().starts_with(wanted),
        false => found.as_str() == wanted,
    }
}

/// An event that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub number: u64,
    pub event: Event,
    /// The event as it is on disk.
    pub bytes: Bytes,
}

/// Some of what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub events: Vec<Found>,
    /// The cursor of the next page; `None` when all was searched. A page may be empty and have a next one, because
    /// only so much is read for one page.
    pub next: Option<u64>,
    /// The first event that was not deleted yet: older ones cannot be found.
    pub first_kept: u64,
}
