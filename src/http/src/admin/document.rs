//! The OpenAPI document of the admin API, made from the table of its use cases.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use keymoot_model::Role;
use keymoot_service::admin::{Method, UseCase, example};

use super::sign_in;

const DESCRIPTION: &str = "Operators administer the cluster here, over TLS: each shows a client certificate that is \
registered under their name, or the token of a session. What a role may do stands with each operation. Any node answers. \
A refusal is a problem (RFC 9457): `detail` says what was wrong, `remedy` what to do. 503 comes with `Retry-After`.";

/// The document, written once.
static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", document()));

/// The document.
pub(super) fn text() -> &'static str {
    &TEXT
}

fn document() -> Value {
    let mut paths = Map::new();
    for case in UseCase::ALL.iter().copied() {
        let method = match case.method() {
            Method::Get => "get",
            Method::Post => "post",
        };
        paths.insert(case.path().to_owned(), json!({ method: operation(case) }));
    }
    paths.insert(sign_in::PATH.to_owned(), json!({ "post": sign_in() }));
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Keymoot administration", "version": env!("CARGO_PKG_VERSION"), "description": DESCRIPTION },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "operator": { "type": "mutualTLS" },
                "session": { "type": "http", "scheme": "bearer" },
            },
            "schemas": { "Problem": problem() },
        },
        "security": [{ "operator": [] }, { "session": [] }],
    })
}

fn operation(case: UseCase) -> Value {
    let roles: Vec<&str> = case.roles().iter().map(|role| role.name()).collect();
    let all = if roles.len() == Role::ALL.len() { "any role".to_owned() } else { roles.join(", ") };
    let mut operation = json!({
        "operationId": case.name(),
        "summary": case.summary(),
        "description": format!("For {all}."),
        "x-roles": roles,
        "responses": responses(),
    });
    let own = match (case.method(), example(case)) {
        (Method::Get, Value::Object(members)) => {
            let parameters = members.iter().map(|(name, value)| {
                json!({ "name": name, "in": "query", "schema": { "type": "string" }, "example": value })
            });
            ("parameters", parameters.collect())
        }
        (_, example) => {
            let content = json!({ "application/json": { "example": example } });
            ("requestBody", json!({ "required": true, "content": content }))
        }
    };
    if let Some(members) = operation.as_object_mut() {
        members.insert(own.0.to_owned(), own.1);
    }
    operation
}

/// The one operation that needs no credential.
fn sign_in() -> Value {
    let example =
        json!({ "name": "alice@example.net", "password": "correct horse battery", "code": "287082" });
    let content = json!({ "application/json": { "example": example } });
    let mut responses = responses();
    if let Some(members) = responses.as_object_mut() {
        let slowed = json!({ "description": "Too many attempts; `Retry-After` says for how long to wait." });
        members.insert("429".to_owned(), slowed);
    }
    json!({
        "operationId": "SignIn",
        "summary": "Begins a session, whose token opens what the operator's certificate would.",
        "description": "For everybody who knows name, password and one-time code.",
        "security": [],
        "requestBody": { "required": true, "content": content },
        "responses": responses,
    })
}

fn responses() -> Value {
    let refusal = |what: &str| {
        let schema = json!({ "$ref": "#/components/schemas/Problem" });
        json!({ "description": what, "content": { "application/problem+json": { "schema": schema } } })
    };
    json!({
        "200": { "description": "It is done, or the answer.", "content": { "application/json": {} } },
        "400": refusal("What was sent cannot be used."),
        "401": refusal("There is no credential, or it is no operator's, was revoked or has ended."),
        "403": refusal("No role of the operator's may do this."),
        "404": refusal("There is no such thing."),
        "409": refusal("The state of the cluster does not allow it, or it takes two persons: then `approval` is the number of \
            the approval that another operator must give."),
        "413": refusal("The body is too long."),
        "503": refusal("No quorum answered in time."),
    })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string", "description": "What was wrong." },
            "remedy": { "type": ["string", "null"], "description": "What to do." },
            "approval": { "type": "integer", "description": "The approval of another operator that it waits for." },
        },
    })
}

#[cfg(test)]
mod tests;
