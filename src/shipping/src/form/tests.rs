use std::path::Path;

use keymoot_audit::{Action, Actor, ActorKind, DrmUse, Event, KeyName, Outcome};
use keymoot_model::{AccountId, ContentId, Kid, Period, PolicyName, TrackName};
use serde_json::Value;

use super::*;

const LOG: &str = "moot.keymoot.audit/3/00112233445566ff";
const HOST: &str = "node-3.moot.keymoot.internal";

/// An event in which everything is said.
fn full(action: Action, outcome: Outcome) -> Event {
    let actor = Actor {
        kind: ActorKind::Account,
        id: Some("demo".to_owned()),
        credential: Some("packager-1".to_owned()),
        role: None,
    };
    let mut event = Event::new(3, 1_700_000_000_123, action, outcome, actor);
    event.scheme = Some("rfc9421".to_owned());
    event.address = Some("192.0.2.7".parse().unwrap());
    event.account = Some(AccountId::new("demo").unwrap());
    event.content = Some(ContentId::new("film-1").unwrap());
    event.keys = vec![KeyName {
        content: None,
        track: Some(TrackName::new("UHD1").unwrap()),
        kid: Some(Kid::from_bytes([7; 16])),
        version: Some(2),
        period: Some(Period { length_s: 10, index: 4 }),
    }];
    event.policy = Some(PolicyName::new("strict").unwrap());
    event.status = Some(200);
    event.reference = Some("ref-1".to_owned());
    event.log_index = Some(77);
    event
}

fn line(event: &Event) -> String {
    ascii(&serde_json::to_string(event).unwrap()).into_owned()
}

fn written(event: &Event, form: Form, is_resent: bool) -> String {
    let line = line(event);
    form.write(&Record::new(LOG, HOST, 41, &line, is_resent))
}

/// Every action, with an outcome of each kind among them.
fn samples() -> Vec<Event> {
    let outcomes = [
        Outcome::Done,
        Outcome::Refused,
        Outcome::Intended,
        Outcome::NotFound,
        Outcome::Failed,
        Outcome::Unknown,
    ];
    let known = Action::ALL.iter().map(|(action, _)| action.clone());
    let all = known.chain([Action::of_use_case("add_operator")]);
    let mut events: Vec<Event> =
        all.zip(outcomes.iter().cycle()).map(|(action, outcome)| full(action, *outcome)).collect();
    let mut license = full(Action::LICENSE_ISSUE, Outcome::Refused);
    license.drm = Some(DrmUse {
        system: "widevine".to_owned(),
        viewer: Some("5f1e".to_owned()),
        device: Some("0a0b".to_owned()),
    });
    license.reason = Some("the viewer is not entitled".to_owned());
    license.address = Some("2001:db8::7".parse().unwrap());
    let mut operator = full(Action::of_use_case("revoke_operator"), Outcome::Done);
    operator.actor = Actor {
        kind: ActorKind::Operator,
        id: Some("ada".to_owned()),
        credential: Some("sha256:0a".to_owned()),
        role: Some("security".to_owned()),
    };
    operator.object = Some("operator=bob".to_owned());
    operator.recipient = Some("hpke:0b".to_owned());
    operator.intent = Some(40);
    operator.repeated = Some(3);
    events.extend([license, operator, Event::new(3, 1, Action::NODE_START, Outcome::Done, Actor::SYSTEM)]);
    events
}

/// Compares with the file, or writes it anew.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/form/goldens").join(name);
    if std::env::var_os("KEYMOOT_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expected, "run this test with KEYMOOT_BLESS=1 if that is meant");
}

#[test]
fn every_action_is_written_as_the_goldens_have_it() {
    for (form, name) in [(Form::Json, "json.jsonl"), (Form::Ocsf, "ocsf.jsonl"), (Form::Cef, "cef.txt")] {
        let lines = samples().into_iter().map(|event| written(&event, form, false) + "\n");
        let version = env!("CARGO_PKG_VERSION");
        golden(
            name,
            &lines
                .collect::<String>()
                .replace(&format!("|{version}|"), "|VERSION|")
                .replace(&format!("\"version\":\"{version}\""), "\"version\":\"VERSION\""),
        );
    }
}

#[test]
fn json_holds_the_very_bytes_of_the_log() {
    let event = full(Action::KEY_READ, Outcome::Done);
    let text = written(&event, Form::Json, true);
    assert!(text.ends_with(&format!("\"resent\":true,\"event\":{}}}", line(&event))), "{text}");
    for form in [Form::Json, Form::Ocsf] {
        let value: Value = serde_json::from_str(&written(&event, form, false)).unwrap();
        let held = if form == Form::Json { &value["event"] } else { &value["unmapped"]["event"] };
        assert_eq!(serde_json::from_value::<Event>(held.clone()).unwrap(), event);
    }
}

#[test]
fn every_class_of_ocsf_has_what_it_requires() {
    for event in samples() {
        let value: Value = serde_json::from_str(&written(&event, Form::Ocsf, true)).unwrap();
        let needed =
            ["activity_id", "category_uid", "class_uid", "type_uid", "severity_id", "time", "metadata"];
        for key in needed {
            assert!(!value[key].is_null(), "{key}: {value}");
        }
        let of = |key: &str| value[key].as_u64().unwrap();
        assert_eq!(of("type_uid"), of("class_uid") * 100 + of("activity_id"));
        assert_eq!(of("category_uid"), of("class_uid") / 1000);
        let metadata = &value["metadata"];
        assert_eq!(metadata["labels"], serde_json::json!(["resent"]));
        assert!(metadata["product"]["vendor_name"].is_string() && metadata["version"].is_string());
        let required: &[&str] = match of("class_uid") {
            6003 => &["/actor/user/name", "/api/operation", "/src_endpoint"],
            3002 => &["/user/name", "/service/name"],
            4001 => &["/src_endpoint", "/dst_endpoint"],
            6002 => &["/app/name", "/app/vendor_name"],
            other => panic!("{other}"),
        };
        for pointer in required {
            assert!(value.pointer(pointer).is_some(), "{pointer}: {value}");
        }
    }
}

#[test]
fn nothing_in_a_name_forges_or_disguises_a_line() {
    const HOSTILE: &str = "a|b=c\\d \"e\" ]f{g}\r\nCEF:0|x \u{2028}\u{202e}\u{85}\u{0}é🎬 src=1.2.3.4";
    let mut event = full(Action::KEY_READ, Outcome::Refused);
    event.actor.id = Some(HOSTILE.to_owned());
    event.reason = Some(HOSTILE.to_owned());
    event.object = Some(HOSTILE.to_owned());
    event.actor.credential = Some(HOSTILE.to_owned());
    // As the log has it, and as a log would that escapes less.
    for line in [line(&event), serde_json::to_string(&event).unwrap()] {
        for form in [Form::Json, Form::Ocsf, Form::Cef] {
            let text = form.write(&Record::new(LOG, HOST, 1, &line, false));
            assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{text}");
            match form {
                Form::Json | Form::Ocsf => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    let told =
                        if form == Form::Json { &value["event"]["reason"] } else { &value["status_detail"] };
                    assert_eq!(told, HOSTILE);
                }
                Form::Cef => {
                    let fields = cef_fields(&text);
                    assert_eq!(fields.iter().filter(|(key, _)| key == "src").count(), 1, "{text}");
                    let reason = &fields.iter().find(|(key, _)| key == "reason").unwrap().1;
                    let json = format!("\"{}\"", reason.replace('"', "\\\""));
                    assert_eq!(serde_json::from_str::<String>(&json).unwrap(), HOSTILE);
                }
            }
        }
    }
}

/// Reads the extension as a receiver does: a key is what stands before a `=` without a backslash.
fn cef_fields(line: &str) -> Vec<(String, String)> {
    let mut parts = Vec::new();
    let (mut part, mut chars) = (String::new(), line.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' => part.push(chars.next().unwrap()),
            '|' if parts.len() < 7 => parts.push(std::mem::take(&mut part)),
            // What no field can hold unescaped.
            '=' if parts.len() == 7 => part.push('\u{1}'),
            _ => part.push(c),
        }
    }
    assert_eq!(parts.len(), 7, "{line}");
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut pieces = part.split('\u{1}').peekable();
    let mut key = pieces.next().unwrap().to_owned();
    while let Some(piece) = pieces.next() {
        let (value, next) = match pieces.peek() {
            Some(_) => piece.rsplit_once(' ').unwrap(),
            None => (piece, ""),
        };
        fields.push((std::mem::replace(&mut key, next.to_owned()), value.to_owned()));
    }
    fields
}

#[test]
fn what_another_version_wrote_is_shipped_all_the_same() {
    let line = "{\"time_ms\":1,\"outcome\":\"of tomorrow\",\"a\":\"\u{202e}=|\"}";
    for form in [Form::Json, Form::Ocsf, Form::Cef] {
        let text = form.write(&Record::new(LOG, HOST, 9, line, false));
        assert!(text.contains("of tomorrow") && text.is_ascii(), "{text}");
    }
}

mod property {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_name_is_told_exactly_and_on_one_line(name in any::<String>(), number in any::<u64>()) {
            let mut event = full(Action::REQUEST, Outcome::Refused);
            event.actor.id = Some(name.clone());
            let line = line(&event);
            for form in [Form::Json, Form::Ocsf, Form::Cef] {
                let text = form.write(&Record::new(LOG, HOST, number, &line, false));
                prop_assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')));
                let told = match form {
                    Form::Json => serde_json::from_str::<Value>(&text).unwrap()["event"]["actor"]["id"].clone(),
                    Form::Ocsf => serde_json::from_str::<Value>(&text).unwrap()["actor"]["user"]["name"].clone(),
                    Form::Cef => {
                        let fields = cef_fields(&text);
                        let json = format!("\"{}\"", fields.iter().find(|(key, _)| key == "suser").unwrap().1.replace('"', "\\\""));
                        serde_json::from_str(&json).unwrap()
                    }
                };
                prop_assert_eq!(told, name.as_str());
            }
        }
    }
}
