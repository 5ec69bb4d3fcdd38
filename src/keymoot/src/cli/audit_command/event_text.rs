//! Events as people and spreadsheets read them. Whatever a stranger put into a name stays within its cell.

use keymoot_audit::{Actor, ActorKind, Event, KeyName};
use keymoot_cluster::{AuditGap, FoundEvent};
use keymoot_command::Column::{Left, Right};
use keymoot_command::Table;
use keymoot_model::TimeStamp;
use keymoot_telemetry::visible;

/// The columns of comma-separated values.
pub(super) const CSV_HEADING: &str = "time,node,log,number,action,outcome,actor_kind,actor,credential,role,scheme,address,\
                                      account,content,track,key_id,version,period_index,period_length_s,drm,viewer,device,\
                                      recipient,policy,object,reason,status,reference,intent,log_index,repeated\n";

/// When an event happened, to the millisecond.
pub(super) fn time_text(ms: u64) -> String {
    let stamp = TimeStamp::from_unix_ms(ms);
    let text = stamp.map_or_else(|| ms.to_string(), |stamp| stamp.to_string());
    match text.strip_suffix('Z') {
        Some(seconds) => format!("{seconds}.{:03}Z", ms % 1000),
        None => text,
    }
}

/// A word of an enum, as the log has it.
fn word(value: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// The table of these events.
pub(super) fn table(events: &[FoundEvent]) -> String {
    let mut table = Table::new([
        Left("TIME"),
        Left("NODE"),
        Right("NUMBER"),
        Left("ACTION"),
        Left("OUTCOME"),
        Left("WHO"),
        Left("BY"),
        Left("FROM"),
        Left("WHAT"),
    ]);
    for found in events {
        let head = [found.name.node.to_string(), found.number.to_string()];
        let [node, number] = head;
        let Ok(event) = Event::decode(found.event.as_bytes()) else {
            let damaged = visible(&format!("it cannot be read: {}", found.event));
            let empty = String::new;
            table.row([empty(), node, number, empty(), empty(), empty(), empty(), empty(), damaged]);
            continue;
        };
        table.row([
            time_text(event.time_ms),
            node,
            number,
            event.action.as_str().to_owned(),
            word(&event.outcome),
            visible(&who(&event.actor)),
            visible(&by(&event)),
            event.address.map(|address| address.to_string()).unwrap_or_default(),
            visible(&what(&event)),
        ]);
    }
    table.to_string()
}

fn who(actor: &Actor) -> String {
    let id = actor.id.as_deref().unwrap_or_default();
    match actor.kind {
        ActorKind::Account => id.to_owned(),
        // What was claimed, and by nobody who proved it.
        ActorKind::Stranger if id.is_empty() => "a stranger".to_owned(),
        ActorKind::Stranger => format!("a stranger ({id})"),
        ActorKind::Keyring => "a keyring".to_owned(),
        ActorKind::Operator => format!("operator {id}"),
        ActorKind::Node => format!("node {id}"),
        ActorKind::System => "this node".to_owned(),
    }
}

fn by(event: &Event) -> String {
    let parts = [event.actor.credential.as_deref(), event.scheme.as_deref()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// What it is about, and why it was refused.
fn what(event: &Event) -> String {
    let mut parts = Vec::new();
    let named = |name: &str, value: &dyn std::fmt::Display| format!("{name}={value}");
    parts.extend(event.account.as_ref().map(|account| named("account", account)));
    parts.extend(event.content.as_ref().map(|content| named("content", content)));
    parts.extend(event.keys.iter().map(key));
    if let Some(drm) = &event.drm {
        parts.push(named("drm", &drm.system));
        parts.extend(drm.viewer.as_ref().map(|viewer| named("viewer", viewer)));
        parts.extend(drm.device.as_ref().map(|device| named("device", device)));
    }
    parts.extend(event.recipient.as_ref().map(|recipient| named("recipient", recipient)));
    parts.extend(event.policy.as_ref().map(|policy| named("policy", policy)));
    parts.extend(event.object.clone());
    parts.extend(event.reason.as_ref().map(|reason| named("reason", reason)));
    parts.extend(event.status.map(|status| named("status", &status)));
    parts.extend(event.reference.as_ref().map(|reference| named("reference", reference)));
    parts.extend(event.intent.map(|intent| named("intent", &intent)));
    parts.extend(event.repeated.map(|repeated| named("repeated", &repeated)));
    parts.join(" ")
}

fn key(key: &KeyName) -> String {
    let mut text = "key=".to_owned();
    for part in [key.content.as_ref().map(ToString::to_string), key.track.as_ref().map(ToString::to_string)] {
        text.extend(part.map(|part| format!("{part}/")));
    }
    text.push_str(&key.kid.map(|kid| kid.to_string()).unwrap_or_default());
    text.extend(key.version.map(|version| format!(":{version}")));
    text.extend(key.period.map(|period| format!("@{}", period.index)));
    text
}

/// The rows of these events, one for each key of each event.
pub(super) fn csv(events: &[FoundEvent]) -> String {
    events.iter().map(csv_of).collect()
}

fn csv_of(found: &FoundEvent) -> String {
    let Ok(event) = Event::decode(found.event.as_bytes()) else {
        let mut cells = vec![String::new(); 31];
        let head = [
            (1, found.name.node.to_string()),
            (2, found.name.log.to_string()),
            (3, found.number.to_string()),
        ];
        for (at, text) in head.into_iter().chain([(25, format!("it cannot be read: {}", found.event))]) {
            if let Some(cell) = cells.get_mut(at) {
                *cell = text;
            }
        }
        return row(&cells);
    };
    let none = [KeyName::default()];
    let keys = if event.keys.is_empty() { &none[..] } else { &event.keys };
    keys.iter().map(|key| row(&cells(found, &event, key))).collect()
}

fn cells(found: &FoundEvent, event: &Event, key: &KeyName) -> [String; 31] {
    fn text<T: ToString>(value: Option<T>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let content = key.content.as_ref().or(event.content.as_ref());
    let drm = event.drm.as_ref();
    [
        time_text(event.time_ms),
        found.name.node.to_string(),
        found.name.log.to_string(),
        found.number.to_string(),
        event.action.as_str().to_owned(),
        word(&event.outcome),
        word(&event.actor.kind),
        text(event.actor.id.as_ref()),
        text(event.actor.credential.as_ref()),
        text(event.actor.role.as_ref()),
        text(event.scheme.as_ref()),
        text(event.address),
        text(event.account.as_ref()),
        text(content),
        text(key.track.as_ref()),
        text(key.kid),
        text(key.version),
        text(key.period.map(|period| period.index)),
        text(key.period.map(|period| period.length_s)),
        text(drm.map(|drm| &drm.system)),
        text(drm.and_then(|drm| drm.viewer.as_ref())),
        text(drm.and_then(|drm| drm.device.as_ref())),
        text(event.recipient.as_ref()),
        text(event.policy.as_ref()),
        text(event.object.as_ref()),
        text(event.reason.as_ref()),
        text(event.status),
        text(event.reference.as_ref()),
        text(event.intent),
        text(event.log_index),
        text(event.repeated),
    ]
}

fn row(cells: &[String]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
    cells.join(",") + "\n"
}

/// A cell that stays one, and that no spreadsheet takes for a formula.
fn csv_cell(text: &str) -> String {
    let text = visible(text);
    let text = if text.starts_with(['=', '+', '-', '@']) { format!("'{text}") } else { text };
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// What could not be searched, in a line.
pub(super) fn gap(gap: &AuditGap) -> String {
    let AuditGap { node, log, from, to, why } = gap;
    let events = match to {
        Some(to) => format!("events {from} to {}", to.saturating_sub(1)),
        None if *from == 0 => "the events".to_owned(),
        None => format!("events from {from} on, if there are any,"),
    };
    let log = log.map(|log| format!(" of the audit log {node}/{log}")).unwrap_or_default();
    format!("{events}{log} of node {node} are not in this answer: {why}")
}

#[cfg(test)]
mod tests {
    use keymoot_audit::{Action, Outcome};
    use keymoot_cluster::AuditPosition;
    use keymoot_model::{AccountId, Kid};

    use super::*;

    fn found(event: &Event) -> FoundEvent {
        let AuditPosition { name, .. } =
            keymoot_cluster::audit_positions("3/0011223344556677:1").unwrap().remove(0);
        FoundEvent { name, number: 7, event: String::from_utf8(event.encode().unwrap()).unwrap() }
    }

    fn event() -> Event {
        let actor = Actor {
            kind: ActorKind::Account,
            id: Some("acme".to_owned()),
            credential: Some("enc-1".to_owned()),
            role: None,
        };
        let mut event = Event::new(3, 1_700_000_000_123, Action::KEY_READ, Outcome::Done, actor);
        event.account = Some(AccountId::new("acme").unwrap());
        event.address = Some("192.0.2.1".parse().unwrap());
        let kid =
            |byte| KeyName { kid: Some(Kid::from_bytes([byte; 16])), version: Some(2), ..KeyName::default() };
        event.keys = vec![kid(1), kid(2)];
        event
    }

    #[test]
    fn an_event_is_a_line_that_says_who_got_which_key_when_and_from_where() {
        let text = table(&[found(&event())]);
        let line = text.lines().nth(1).unwrap();
        for part in [
            "2023-11-14T22:13:20.123Z",
            "key.read",
            "acme",
            "enc-1",
            "192.0.2.1",
            "key=01010101-0101-0101-0101-010101010101:2",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }

    #[test]
    fn each_key_has_a_row_and_every_row_all_columns() {
        let text = csv(&[found(&event())]);
        assert_eq!(text.lines().count(), 2);
        let columns = CSV_HEADING.trim().split(',').count();
        assert!(text.lines().all(|line| line.split(',').count() == columns), "{text}");
    }

    #[test]
    fn nothing_that_a_stranger_wrote_leaves_its_cell_or_is_taken_for_a_formula() {
        let mut event = event();
        event.reason = Some("=cmd|' /C calc'!A0\n\"x\",\u{202e}y".to_owned());
        let text = csv(&[found(&event)]);
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains("\"'=cmd|' /C calc'!A0\\u000a\"\"x\"\",\\u202ey\""), "{text}");
        let text = table(&[found(&event)]);
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains("A0\\u000a\"x\",\\u202ey"), "{text}");
    }

    #[test]
    fn a_damaged_event_is_shown_as_such() {
        let damaged = FoundEvent { event: "{\u{1b}".to_owned(), ..found(&event()) };
        assert!(table(std::slice::from_ref(&damaged)).contains("it cannot be read: {\\u001b"));
        assert!(csv(&[damaged]).starts_with(",3,0011223344556677,7,"));
    }
}
