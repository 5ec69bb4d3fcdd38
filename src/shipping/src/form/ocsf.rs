//! The Open Cybersecurity Schema Framework, version 1.3.0.
//!
//! | events | class |
//! |---|---|
//! | requests for keys, licenses and policies, the admin API, the audit itself, and what nodes do for the cluster | API Activity (6003) |
//! | an operator's sign-in | Authentication (3002) |
//! | strangers at the peer port | Network Activity (4001) |
//! | a node's start and stop | Application Lifecycle (6002) |
//!
//! `unmapped.event` holds the event as the node's own log has it.

use keymoot_audit::{Action, Actor, ActorKind, Event, KeyName, Outcome};
use serde_json::{Map, Value, json};

use super::cef::actor as kind_of_actor;
use super::{Record, ascii};

/// The version of the schema.
const VERSION: &str = "1.3.0";

/// A class of events.
struct Class {
    uid: u32,
    name: &'static str,
    category: &'static str,
}

const BASE: Class = Class { uid: 0, name: "Base Event", category: "Uncategorized" };
const API: Class = Class { uid: 6003, name: "API Activity", category: "Application Activity" };
const LIFECYCLE: Class = Class { uid: 6002, name: "Application Lifecycle", category: "Application Activity" };
const AUTHENTICATION: Class =
    Class { uid: 3002, name: "Authentication", category: "Identity & Access Management" };
const NETWORK: Class = Class { uid: 4001, name: "Network Activity", category: "Network Activity" };

pub(super) fn write(record: &Record<'_>) -> String {
    let (class, (activity, activity_name)) =
        record.event.as_ref().map_or((BASE, OTHER), |event| classified(event));
    let (severity, severity_name) = record.weight().ocsf();
    let mut object = json!({
        "activity_id": activity,
        "activity_name": activity_name,
        "category_name": class.category,
        "category_uid": class.uid / 1000,
        "class_name": class.name,
        "class_uid": class.uid,
        "message": record.summary(),
        "metadata": metadata(record),
        "severity": severity_name,
        "severity_id": severity,
        "type_name": format!("{}: {activity_name}", class.name),
        "type_uid": class.uid * 100 + activity,
    });
    if let (Some(event), Value::Object(object)) = (&record.event, &mut object) {
        object.insert("time".to_owned(), event.time_ms.into());
        describe(event, &class, record.host, object);
    }
    let mut text = object.to_string();
    // Not through a value, which could write the event in another way.
    text.truncate(text.len() - 1);
    format!("{},\"unmapped\":{{\"event\":{}}}}}", ascii(&text), ascii(record.line))
}

fn metadata(record: &Record<'_>) -> Value {
    let mut metadata = json!({
        "log_name": record.log,
        "log_provider": record.host,
        "product": product(),
        "sequence": record.number,
        "uid": format!("{}#{}", record.log, record.number),
        "version": VERSION,
    });
    if let Value::Object(metadata) = &mut metadata {
        let event = record.event.as_ref();
        put(metadata, "event_code", event.map(|event| event.action.as_str()));
        put(metadata, "correlation_uid", event.and_then(|event| event.reference.as_deref()));
        if record.is_resent {
            metadata.insert("labels".to_owned(), json!(["resent"]));
        }
    }
    metadata
}

fn product() -> Value {
    json!({"name": "Keymoot", "vendor_name": "Keymoot", "version": env!("CARGO_PKG_VERSION")})
}

type Activity = (u32, &'static str);

const CREATE: Activity = (1, "Create");
const READ: Activity = (2, "Read");
const UPDATE: Activity = (3, "Update");
const DELETE: Activity = (4, "Delete");
const OTHER: Activity = (99, "Other");

fn classified(event: &Event) -> (Class, Activity) {
    match &event.action {
        action if *action == Action::SIGN_IN => (AUTHENTICATION, (1, "Logon")),
        action if *action == Action::PEER_CONNECT => match event.outcome {
            Outcome::Done => (NETWORK, (1, "Open")),
            Outcome::Failed => (NETWORK, (4, "Fail")),
            _ => (NETWORK, (5, "Refuse")),
        },
        action if *action == Action::NODE_START => (LIFECYCLE, (3, "Start")),
        action if *action == Action::NODE_STOP => (LIFECYCLE, (4, "Stop")),
        action => (API, of_api(action)),
    }
}

/// By the last part of the action's name. What operators do is told apart by `api.operation`.
fn of_api(action: &Action) -> Activity {
    match action.as_str().rsplit('.').next().unwrap_or_default() {
        "create" | "issue" | "join" | "take" | "begin" => CREATE,
        "read" | "look_up" | "export" | "play" => READ,
        "replace" | "reseed" | "renew" | "put" | "attach" | "default" | "change" | "claim" | "rewrap" => {
            UPDATE
        }
        "delete" | "release" | "remove" => DELETE,
        _ => OTHER,
    }
}

/// What of an event has a place in its class.
fn describe(event: &Event, class: &Class, host: &str, object: &mut Map<String, Value>) {
    let (status, status_name) = match event.outcome {
        Outcome::Done | Outcome::NotFound => (1, "Success"),
        Outcome::Refused | Outcome::Failed => (2, "Failure"),
        Outcome::Unknown => (0, "Unknown"),
        Outcome::Intended => (99, "Intended"),
    };
    object.insert("status_id".to_owned(), status.into());
    object.insert("status".to_owned(), status_name.into());
    put(object, "status_code", event.status.map(|status| status.to_string()));
    put(object, "status_detail", event.reason.as_deref());
    put(object, "count", event.repeated);
    let node = json!({"name": host, "uid": event.node.to_string()});
    let from = event.address.map_or_else(|| node.clone(), |address| json!({"ip": address.to_string()}));
    object.insert("src_endpoint".to_owned(), from);
    object.insert("dst_endpoint".to_owned(), node);
    object.insert("actor".to_owned(), json!({"user": user(&event.actor)}));
    match class.uid {
        3002 => {
            object.insert("user".to_owned(), user(&event.actor));
            object.insert("is_remote".to_owned(), true.into());
            object.insert("service".to_owned(), json!({"name": "keymoot"}));
        }
        6002 => {
            object.insert("app".to_owned(), product());
        }
        6003 => {
            object.insert("api".to_owned(), api(event));
            let resources = resources(event);
            if !resources.is_empty() {
                object.insert("resources".to_owned(), resources.into());
            }
        }
        _ => {}
    }
}

fn user(actor: &Actor) -> Value {
    let (type_id, kind) = match actor.kind {
        ActorKind::Account | ActorKind::Stranger => (1, "User"),
        ActorKind::Operator => (2, "Admin"),
        ActorKind::Node | ActorKind::System => (3, "System"),
        ActorKind::Keyring => (99, "Keyring"),
    };
    // Nobody is known by name where nobody proved anything; a user has a name nevertheless.
    let name = actor.id.as_deref().unwrap_or(kind_of_actor(actor.kind));
    let mut user = Map::new();
    put(&mut user, "name", Some(name));
    put(&mut user, "type_id", Some(type_id));
    put(&mut user, "type", Some(kind));
    put(&mut user, "credential_uid", actor.credential.as_deref());
    if let Some(role) = &actor.role {
        user.insert("groups".to_owned(), json!([{"name": role}]));
    }
    user.into()
}

fn api(event: &Event) -> Value {
    let mut api = Map::new();
    put(&mut api, "operation", Some(event.action.as_str()));
    api.insert("service".to_owned(), json!({"name": "keymoot"}));
    if let Some(reference) = &event.reference {
        api.insert("request".to_owned(), json!({"uid": reference}));
    }
    if let Some(status) = event.status {
        api.insert("response".to_owned(), json!({"code": status}));
    }
    api.into()
}

fn resources(event: &Event) -> Vec<Value> {
    let named = |kind: &str, name: Option<String>| name.map(|name| json!({"type": kind, "name": name}));
    let mut all = Vec::new();
    all.extend(named("account", event.account.as_ref().map(ToString::to_string)));
    all.extend(named("content", event.content.as_ref().map(ToString::to_string)));
    all.extend(named("policy", event.policy.as_ref().map(ToString::to_string)));
    all.extend(named("object", event.object.clone()));
    all.extend(named("recipient", event.recipient.clone()));
    all.extend(event.keys.iter().map(key));
    all
}

fn key(name: &KeyName) -> Value {
    let mut key = Map::new();
    put(&mut key, "type", Some("content key"));
    put(&mut key, "uid", name.kid.as_ref().map(|kid| kid.to_base64()));
    put(&mut key, "name", name.track.as_ref().map(ToString::to_string));
    put(&mut key, "version", name.version.map(|version| version.to_string()));
    put(&mut key, "namespace", name.content.as_ref().map(ToString::to_string));
    if let Some(period) = &name.period {
        key.insert("data".to_owned(), json!({"period": period}));
    }
    key.into()
}

fn put(object: &mut Map<String, Value>, key: &str, value: Option<impl Into<Value>>) {
    if let Some(value) = value {
        object.insert(key.to_owned(), value.into());
    }
}
