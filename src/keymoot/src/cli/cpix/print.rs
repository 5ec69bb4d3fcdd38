//! How what a document asks for is printed.

use serde_json::{Value, json};

use keymoot_command::Column::Left;
use keymoot_command::Table;
use keymoot_cpix::{KeyKind, KeyPeriod, PeriodSpan, Wanted, WantedKey};
use time::format_description::well_known::Rfc3339;

/// For people.
pub(super) fn table(wanted: &Wanted) -> String {
    let mut text = format!("sent as    {}\n", wanted.protocol);
    text.push_str(&match wanted.recipients.as_slice() {
        [] => "keys go    in the clear\n".to_owned(),
        all => {
            let subjects: Vec<&str> = all.iter().map(|recipient| recipient.subject.as_str()).collect();
            format!("keys go    encrypted to {}\n", subjects.join("; "))
        }
    });
    let mut keys = Table::new([
        Left("KID"),
        Left("CONTENT"),
        Left("SCHEME"),
        Left("IV"),
        Left("TRACKS"),
        Left("PERIODS"),
        Left("SYSTEMS"),
    ]);
    for key in &wanted.keys {
        keys.row([
            key.kid.to_string(),
            key.content.to_string(),
            scheme(key),
            if key.explicit_iv.is_some() { "given" } else { "-" }.to_owned(),
            listed(key.track_types.iter()),
            listed(key.period_ids.iter()),
            listed(key.systems.iter()),
        ]);
    }
    text.push_str(&format!("\n{keys}"));
    if !wanted.periods.is_empty() {
        let mut periods = Table::new([Left("PERIOD"), Left("INDEX"), Left("FROM"), Left("TO")]);
        for period in &wanted.periods {
            let [from, to] = span(period).map(|end| end.unwrap_or_else(|| "-".to_owned()));
            let index = period.index.map_or_else(|| "-".to_owned(), |index| index.to_string());
            periods.row([period.id.clone(), index, from, to]);
        }
        text.push_str(&format!("\n{periods}"));
    }
    for note in &wanted.notes {
        text.push_str(&format!("\nnote: {}: {}", note.place, note.text));
    }
    if !wanted.notes.is_empty() {
        text.push('\n');
    }
    text
}

/// For scripts.
pub(super) fn json(wanted: &Wanted) -> String {
    let keys = wanted.keys.iter().map(|key| {
        json!({
            "kid": key.kid.to_string(),
            "content_id": key.content.as_str(),
            "scheme": key.scheme.name(),
            "clear": key.kind == KeyKind::Clear,
            "explicit_iv": key.explicit_iv.is_some(),
            "track_types": texts(key.track_types.iter()),
            "periods": key.period_ids,
            "systems": texts(key.systems.iter()),
        })
    });
    let systems = wanted.systems.iter().map(|system| {
        let elements: Vec<&str> = system.elements.iter().map(|element| element.name()).collect();
        json!({"kid": system.kid.to_string(), "system": system.system.name(), "elements": elements})
    });
    let periods = wanted.periods.iter().map(|period| {
        let [from, to] = span(period);
        json!({"id": period.id, "index": period.index, "from": from, "to": to})
    });
    let notes = wanted.notes.iter().map(|note| {
        json!({"element": note.place.element, "line": note.place.line, "column": note.place.column, "text": note.text})
    });
    let recipients: Vec<&str> =
        wanted.recipients.iter().map(|recipient| recipient.subject.as_str()).collect();
    let document = json!({
        "protocol": wanted.protocol.name(),
        "keys": Value::Array(keys.collect()),
        "systems": Value::Array(systems.collect()),
        "periods": Value::Array(periods.collect()),
        "recipients": recipients,
        "notes": Value::Array(notes.collect()),
    });
    format!("{document:#}\n")
}

fn scheme(key: &WantedKey) -> String {
    match key.kind {
        KeyKind::Protected => key.scheme.to_string(),
        KeyKind::Clear => format!("{} (clear)", key.scheme),
    }
}

fn texts<T: ToString>(all: impl Iterator<Item = T>) -> Vec<String> {
    all.map(|one| one.to_string()).collect()
}

fn listed<T: ToString>(all: impl Iterator<Item = T>) -> String {
    let all = texts(all);
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

/// When a period begins and ends: as instants, or as seconds from the beginning.
fn span(period: &KeyPeriod) -> [Option<String>; 2] {
    match period.span {
        None => [None, None],
        Some(PeriodSpan::Instants { start, end }) => {
            [start, end].map(|instant| instant.format(&Rfc3339).ok())
        }
        Some(PeriodSpan::Offsets { start, end }) => {
            [start, end].map(|offset| Some(format!("{} s", offset.as_seconds_f64())))
        }
    }
}
