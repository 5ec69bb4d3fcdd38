//! What the readers hold members to and types do not say: lengths, alphabets, what goes with what. A test drives a
//! node by this document and finds where the two differ (`cluster-tests/tests/it/published_api.rs`).

use serde_json::{Value, json};

use keymoot_drm::EncryptionProvider;
use keymoot_model::{AccountId, ContentId, TrackName};

/// No character that ends a line or means something to a terminal.
const PLAIN: &str = r"^[^\x00-\x1f\x7f-\x9f]+$";
/// Base64 of sixteen bytes.
const SIXTEEN_BYTES: &str = "^[A-Za-z0-9+/]{21}[AQgw]==$";
/// The same in either alphabet, padded or not.
const SIXTEEN_BYTES_LOOSE: &str = "^([A-Za-z0-9+/]{21}|[A-Za-z0-9_-]{21})[AQgw](==)?$";
/// Base64 of thirty-two bytes.
const KEY_OF_RECIPIENT: &str = "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$";
const BASE64: &str = "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/][AQgw]==)?$";
const GUID: &str = "^[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}$";
/// Base64 of an object, in either alphabet.
const DOCUMENT: &str = "^([A-Za-z0-9+/]+|[A-Za-z0-9_-]+)={0,2}$";
const INSTANT: &str = r"^([0-9]{1,10}|[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z)?$";

/// Adds to the document what its types do not say.
pub(super) fn constrain(document: &mut Value) {
    if let Some(Value::Object(known)) = document.pointer_mut("/components/schemas") {
        for (name, more) in schemas() {
            merge(known.entry(name).or_insert(Value::Null), more);
        }
        let deleting = known.get("CustomData").cloned().map(deleting);
        known.extend(deleting.map(|schema| ("DeleteData".to_owned(), schema)));
    }
    let Some(Value::Object(paths)) = document.pointer_mut("/paths") else { return };
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten() {
            of_operation(path, method, operation);
        }
    }
}

/// Objects are merged member by member; anything else takes the place of what is there.
fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(members), Value::Object(more)) => {
            for (name, value) in more {
                merge(members.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

/// What a request says of itself.
fn of_operation(path: &str, method: &str, operation: &mut Value) {
    let parameters = operation.pointer_mut("/parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let name = parameter.pointer("/name").and_then(Value::as_str);
        let schema = match name {
            Some("custom_data") => json!({
                "pattern": DOCUMENT, "contentEncoding": "base64", "contentMediaType": "application/json",
            }),
            Some("kid") => json!({"pattern": GUID}),
            Some("aux") => json!({"enum": ["0", "1", "true", "false"]}),
            Some("name" | "account") => json!({"pattern": "^[A-Za-z0-9._-]+$", "maxLength": 64}),
            _ => continue,
        };
        merge(parameter, json!({ "schema": schema }));
    }
    let Some(body) = operation.pointer_mut("/requestBody/content/application~1json/schema") else { return };
    let (name, more) = match (path.rsplit_once('/'), method) {
        (Some((provider, "encryption")), "delete") => ("DeleteData", of_provider(provider)),
        (Some((provider, "encryption")), _) => ("CustomData", of_provider(provider)),
        (Some((provider, "schedule")), "put") => ("ScheduleChange", of_provider(provider)),
        (Some((provider, "schedule")), _) => ("ScheduleData", of_provider(provider)),
        (Some((_, "license")), "post") => ("ClearKeyRequest", json!({})),
        _ if path.starts_with("/policy") => {
            ("PolicyData", json!({"properties": {"method": {"enum": [method.to_uppercase(), null]}}}))
        }
        _ => return,
    };
    *body = json!({"allOf": [{"$ref": format!("#/components/schemas/{name}")}, more]});
}

/// What the members of custom data may be at a provider's paths.
fn of_provider(path: &str) -> Value {
    let Ok(provider) = path.parse::<EncryptionProvider>() else { return json!({}) };
    let names: Vec<&str> = provider.schemes().iter().map(|scheme| scheme.name()).collect();
    let upper = names.iter().map(|name| name.to_uppercase()).collect::<Vec<_>>();
    let schemes = json!({"pattern": format!("^({}|{})?$", names.join("|"), upper.join("|"))});
    let own = provider.track();
    match provider {
        EncryptionProvider::Hls => json!({"properties": {
            "scheme": {"enum": ["", null]}, "track": {"enum": [own, TrackName::default_track(), "", null]},
        }}),
        _ if names.is_empty() => json!({"properties": {"scheme": {"enum": ["", null]}}}),
        _ => json!({"properties": {"scheme": schemes}}),
    }
}

/// Custom data of a request that deletes: what only others read may be anything, and a key id alone names a version.
fn deleting(mut custom_data: Value) -> Value {
    let anything = json!({"type": ["string", "number", "boolean", "object", "array", "null"]});
    if let Some(members) = custom_data.pointer_mut("/properties").and_then(Value::as_object_mut) {
        members.insert("policy".to_owned(), anything);
    }
    merge(
        &mut custom_data,
        json!({"description": "Custom data of a request that deletes.", "allOf": [{"anyOf": [
            {"required": ["key_id"], "properties": {"key_id": {"type": "string"}}},
            {"properties": {"key": {"type": "null"}}},
        ]}]}),
    );
    custom_data
}

/// Text of an identifier, or a number for its digits.
fn id(bytes_max: usize, pattern: &str) -> Value {
    json!({
        "type": ["string", "integer"], "minLength": 1, "maxLength": bytes_max, "pattern": pattern,
        "minimum": i64::MIN, "maximum": u64::MAX,
    })
}

/// A whole number or its text; empty or null for none.
fn number(pattern: &str, minimum: u64, maximum: u64) -> Value {
    json!({"type": ["string", "integer", "null"], "pattern": pattern, "minimum": minimum, "maximum": maximum})
}

/// A member that is there and says something.
fn said(name: &str) -> Value {
    json!({"required": [name], "properties": {name: {"type": ["string", "integer"], "minLength": 1}}})
}

/// A member that is not there, or says nothing.
fn unsaid(name: &str) -> Value {
    json!({"properties": {name: {"enum": [null, ""]}}})
}

fn both_or_neither() -> Value {
    let text = json!({"type": "string"});
    let none = json!({"type": "null"});
    json!({"anyOf": [
        {"required": ["key", "key_id"], "properties": {"key": text, "key_id": text}},
        {"properties": {"key": none, "key_id": none}},
    ]})
}

/// Of each schema what its type does not say.
fn schemas() -> Vec<(&'static str, Value)> {
    let name = "^[A-Za-z0-9._-]+$";
    let account = id(AccountId::BYTES_MAX, name);
    let content = id(ContentId::BYTES_MAX, PLAIN);
    let ca_system = json!({"type": "string", "minLength": 1, "maxLength": 512, "pattern": PLAIN});
    let track = json!({"maxLength": TrackName::BYTES_MAX, "pattern": "^[A-Za-z0-9._-]*$"});
    let free = json!({"type": ["string", "integer", "null"], "minimum": i64::MIN, "maximum": u64::MAX});
    let key = json!({"type": ["string", "null"], "pattern": SIXTEEN_BYTES});
    let members = json!({
        "ca_system": ca_system, "account_id": account, "content_id": content, "track": track,
        "files": {"type": ["string", "array", "null"], "items": {"type": "string"}},
        "user_id": free, "udid": free, "user_token": free, "additional_cas_system": free,
        "key": key, "key_id": key, "policy": track,
        // What is no method is a member like any that is not known.
        "method": {"type": ["string", "number", "boolean", "object", "array", "null"]},
    });
    let count = "^([1-9][0-9]{0,3})?$";
    let periods = json!({"properties": {
        "crypto_period_seconds": number("^([1-9][0-9]{0,8})?$", 1, u32::MAX.into()),
        "first_crypto_period_index": number("^[0-9]{0,9}$", 0, u32::MAX.into()),
        "crypto_period_count": number(count, 1, 10_000),
        "time": {"type": ["string", "integer", "null"], "pattern": INSTANT.replacen("^(", "^(now|", 1)},
        "epoch": {"type": ["string", "integer", "null"], "pattern": INSTANT},
    }});
    let length = said("crypto_period_seconds");
    let from = json!({"anyOf": [
        {"allOf": [said("first_crypto_period_index"), unsaid("time")]},
        {"allOf": [said("time"), unsaid("first_crypto_period_index")]},
    ]});
    let of_one = json!({"properties": {"crypto_period_count": {"enum": [null, "", 1, "1"]}}});
    let no_key = json!({"properties": {"key": {"type": "null"}, "key_id": {"type": "null"}}});
    let own_key = json!({"required": ["key", "key_id"], "properties": {
        "key": {"type": "string"}, "key_id": {"type": "string"},
    }});
    let of_all =
        json!([{"$ref": "#/components/schemas/CustomData"}, {"$ref": "#/components/schemas/PeriodData"}]);
    let mut asked = of_all.clone();
    let mut changed = of_all;
    if let (Some(asked), Some(changed)) = (asked.as_array_mut(), changed.as_array_mut()) {
        asked.extend([length.clone(), from.clone(), no_key.clone()]);
        let whole = json!({"allOf": [no_key, unsaid("first_crypto_period_index"), unsaid("time")]});
        let some = json!({"allOf": [from, {"anyOf": [{"allOf": [own_key, of_one]}, {"properties": {"key": {"type": "null"}, "key_id": {"type": "null"}}}]}]});
        changed.extend([length, json!({"anyOf": [whole, some]})]);
    }
    vec![
        ("CustomData", json!({"properties": members, "allOf": [both_or_neither()]})),
        ("PeriodData", periods),
        ("ScheduleData", json!({"allOf": asked})),
        (
            "ScheduleChange",
            json!({
                "description": "Custom data that replace the keys of crypto periods, or one of them.", "allOf": changed,
            }),
        ),
        (
            "AuxiliaryData",
            json!({
                "additionalProperties": false,
                "properties": {
                    "ratings": {"maxItems": 8},
                    "output_protection": {
                        "maxProperties": 16, "propertyNames": {"pattern": PLAIN},
                        "additionalProperties": {"type": ["string", "integer"], "pattern": PLAIN},
                    },
                    "super_cas_id": {
                        "type": ["string", "integer"], "pattern": "^(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,9})$", "minimum": 0,
                        "maximum": u32::MAX,
                    },
                    "system_headers": {"maxItems": 4},
                },
            }),
        ),
        (
            "Rating",
            json!({
                "additionalProperties": false,
                "properties": {"scheme": {"pattern": PLAIN}, "value": {"pattern": PLAIN}},
            }),
        ),
        (
            "SystemData",
            json!({
                "additionalProperties": false,
                "properties": {"data": {"pattern": BASE64}, "uuid": {"pattern": GUID}},
            }),
        ),
        (
            "ExportRequest",
            json!({
                "additionalProperties": false,
                "properties": {
                    "export": {"const": 1}, "ca_system": ca_system, "account_id": account,
                    "recipient": {"pattern": KEY_OF_RECIPIENT},
                    "content_id": {"minLength": 1, "maxLength": ContentId::BYTES_MAX, "pattern": PLAIN},
                    "method": {"enum": ["POST", "post", null]},
                },
            }),
        ),
        (
            "PolicyData",
            json!({
                "type": "object", "required": ["ca_system", "account_id"],
                "description": "Custom data about policies. docs/policies.md has the members of a policy.",
                "properties": {
                    "ca_system": ca_system, "account_id": account, "policy": {"type": ["string", "object", "null"], "minLength": 1, "maxLength": 64, "pattern": name},
                    "content_id": {"type": ["string", "null"], "maxLength": ContentId::BYTES_MAX, "pattern": PLAIN.replace('+', "*")}, "replaces": {"type": ["integer", "null"], "minimum": 0},
                    "method": {"enum": ["GET", "POST", "PUT", "DELETE", null]},
                },
            }),
        ),
        (
            "ClearKeyRequest",
            json!({
                "type": "object", "required": ["kids"], "description": "A license request of W3C EME.",
                "properties": {
                    "kids": {"type": "array", "minItems": 1, "maxItems": 64, "items": {"type": "string", "pattern": SIXTEEN_BYTES_LOOSE}},
                    "type": {"enum": ["temporary", "persistent-license", null]},
                },
            }),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_merged_and_anything_else_is_replaced() {
        let mut into = json!({"a": {"b": 1, "c": [1]}, "d": 2});
        merge(&mut into, json!({"a": {"c": [2], "e": 3}, "d": {"f": 4}}));
        assert_eq!(into, json!({"a": {"b": 1, "c": [2], "e": 3}, "d": {"f": 4}}));
    }
}
