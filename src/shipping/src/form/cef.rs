//! The Common Event Format, version 0.
//!
//! A value is written as in JSON's strings first, but for quotes, and then as CEF has it: a backslash is doubled, `=`
//! has one in front. So a value can hold no line break, no other field and no mark of direction, and what was in the
//! event can be told exactly.

use std::fmt::{Display, Write as _};
use std::net::IpAddr;

use keymoot_audit::{ActorKind, Event, Outcome};

use super::{Record, ascii};

/// The longest value of a custom string that receivers keep.
const CUSTOM_BYTES_MAX: usize = 4000;

pub(super) fn write(record: &Record<'_>) -> String {
    let action = record.event.as_ref().map_or("unreadable", |event| event.action.as_str());
    let mut line = format!(
        "CEF:0|Keymoot|Keymoot|{}|{}|{}|{}|",
        header(env!("CARGO_PKG_VERSION")),
        header(action),
        header(record.summary()),
        record.weight().cef()
    );
    let mut fields = Fields(&mut line);
    fields.put("externalId", record.number);
    fields.put("dvchost", record.host);
    fields.put("deviceFacility", record.log);
    if record.is_resent {
        fields.put("KeymootResent", true);
    }
    match &record.event {
        Some(event) => fields.put_event(event),
        None => fields.put("msg", record.line),
    }
    line.truncate(line.trim_end().len());
    line
}

/// The extension, which is written field by field.
struct Fields<'l>(&'l mut String);

impl Fields<'_> {
    fn put(&mut self, key: &str, value: impl Display) {
        // Writing to a string does not fail.
        let _ = write!(self.0, "{key}={} ", extension(&value.to_string()));
    }

    fn put_some(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    fn put_labelled(&mut self, key: &str, label: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.put(key, value);
            self.put(&format!("{key}Label"), label);
        }
    }

    fn put_event(&mut self, event: &Event) {
        self.put("rt", event.time_ms);
        self.put("outcome", outcome(event.outcome));
        self.put_some("reason", event.reason.as_ref());
        match event.address {
            Some(IpAddr::V4(address)) => self.put("src", address),
            Some(IpAddr::V6(address)) => {
                self.put_labelled("c6a2", "Source IPv6 Address", Some(address));
            }
            None => {}
        }
        self.put("KeymootActor", actor(event.actor.kind));
        self.put_some("suser", event.actor.id.as_ref());
        self.put_some("spriv", event.actor.role.as_ref());
        self.put_labelled("cs1", "account", event.account.as_ref());
        self.put_labelled("cs2", "content", event.content.as_ref());
        self.put_labelled("cs3", "credential", event.actor.credential.as_ref());
        self.put_labelled("cs4", "scheme", event.scheme.as_ref());
        self.put_labelled("cs5", "policy", event.policy.as_ref());
        let keys = keys(event);
        let is_long = keys.len() > CUSTOM_BYTES_MAX;
        // A custom string may be cut; a key of our own is not known to be.
        self.put_labelled("cs6", "keys", Some(&keys).filter(|keys| !keys.is_empty() && !is_long));
        self.put_some("KeymootKeys", Some(&keys).filter(|_| is_long));
        self.put_labelled("cn1", "status", event.status);
        self.put_labelled("cn2", "log index", event.log_index);
        self.put_labelled("cn3", "intent", event.intent);
        self.put_some("cnt", event.repeated);
        self.put_some("KeymootReference", event.reference.as_ref());
        self.put_some("KeymootRecipient", event.recipient.as_ref());
        self.put_some("KeymootObject", event.object.as_ref());
        if let Some(drm) = &event.drm {
            self.put("KeymootDrmSystem", &drm.system);
            self.put_some("KeymootViewer", drm.viewer.as_ref());
            self.put_some("KeymootDevice", drm.device.as_ref());
        }
    }
}

/// The keys, each as JSON, in a list.
fn keys(event: &Event) -> String {
    match event.keys.as_slice() {
        [] => String::new(),
        // Every name of a key has a JSON form.
        keys => serde_json::to_string(keys).unwrap_or_default(),
    }
}

fn header(text: &str) -> String {
    ascii(text).replace('\\', "\\\\").replace('|', "\\|")
}

fn extension(text: &str) -> String {
    // What JSON escapes keeps its backslash apart from those in the text.
    ascii(&text.replace('\\', "\\\\")).replace('\\', "\\\\").replace('=', "\\=")
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Intended => "intended",
        Outcome::Done => "success",
        Outcome::NotFound => "not found",
        Outcome::Refused => "refused",
        Outcome::Failed => "failure",
        Outcome::Unknown => "unknown",
    }
}

pub(super) const fn actor(kind: ActorKind) -> &'static str {
    match kind {
        ActorKind::Account => "account",
        ActorKind::Operator => "operator",
        ActorKind::Keyring => "keyring",
        ActorKind::Node => "node",
        ActorKind::Stranger => "stranger",
        ActorKind::System => "system",
    }
}
