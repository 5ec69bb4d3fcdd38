//! What the document says of licenses and policies.

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use utoipa::openapi::path::{OperationBuilder, Parameter};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Required};

use super::operations::{LICENSES, POLICIES};
use super::parts::{JSON, in_path, query, refusals, text};
use super::security;
use keymoot_license::LicenseProvider;

/// A license of one system.
pub(super) fn license(provider: LicenseProvider) -> OperationBuilder {
    let op = OperationBuilder::new().tag(LICENSES).securities(Some(security::any()));
    let op = op.summary(Some("A license")).description(Some(
        "For players: the DRM system's own challenge in, its own license out. Custom data is signed with a \
         credential of scope `license`; the challenge is not, and only picks among the content's keys. Who is not \
         entitled, or not by the content's policy, is refused. docs/licenses.md has each system's part.",
    ));
    let data = json!({"ca_system": "OVP", "account_id": "demo", "content_id": "film.mp4", "files": ""});
    let challenge = provider.challenge_form();
    let schema = ObjectBuilder::new().schema_type(Type::String).build();
    let as_text = || json!(challenge.example);
    let example = match challenge.media_type {
        JSON => serde_json::from_str(challenge.example).unwrap_or_else(|_| as_text()),
        _ => as_text(),
    };
    let content = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
    let body = RequestBodyBuilder::new()
        .required(Some(Required::True))
        .content(challenge.media_type, content)
        .build();
    let op = op.parameter(custom_data(&data)).request_body(Some(body));
    let media_type = provider.license_type().split(';').next().unwrap_or_default();
    refusals(
        op.response("200", text("The license.", media_type)),
        &["400", "401", "404", "429", "500", "503"],
    )
}

/// The policies of an account.
pub(super) fn policies(method: &Method) -> OperationBuilder {
    let op = keeper();
    if *method == Method::GET {
        let op = op.summary(Some("List the policies")).description(Some(
            "With the account's default and, when the custom data names a content, the policy that holds for it.",
        ));
        let op = op.parameter(custom_data(&about("GET", Value::Null)));
        return refusals(
            op.response("200", text("The policies.", JSON)),
            &["400", "401", "429", "500", "503"],
        );
    }
    let op = op.summary(Some("Create a policy")).description(Some(
        "Another one of its name is a conflict; the same one again gets the same answer. docs/policies.md has \
         every member and its values.",
    ));
    let op = op.request_body(Some(object(about("POST", document()))));
    refusals(
        op.response("200", text("The policy, with its ETag.", JSON)),
        &["400", "401", "429", "500", "503"],
    )
}

pub(super) fn policy(method: &Method) -> OperationBuilder {
    let op = keeper().parameter(name());
    let (op, answer) = match *method {
        Method::GET => {
            let op = op.summary(Some("Read a policy")).parameter(custom_data(&about("GET", Value::Null)));
            (op, "The policy, with its ETag.")
        }
        Method::DELETE => {
            let op = op.summary(Some("Delete a policy")).description(Some(
                "One that is in use is a conflict. `If-Match` with the ETag deletes that version only, and so does \
                 `replaces` in what is signed, which SHA-1 needs.",
            ));
            (op.request_body(Some(object(replacing(about("DELETE", json!("hd")))))), "Its name.")
        }
        _ => {
            let op = op.summary(Some("Create or change a policy")).description(Some(
                "`If-Match` with the ETag changes that version only, and so does `replaces` in what is signed, which \
                 SHA-1 needs (0: there is none yet); POST creates, and changes none.",
            ));
            let example = match *method {
                Method::PUT => replacing(about("PUT", document())),
                _ => about("POST", document()),
            };
            (op.request_body(Some(object(example))), "The policy, with its ETag.")
        }
    };
    refusals(op.response("200", text(answer, JSON)), &["400", "401", "404", "429", "500", "503"])
}

pub(super) fn policy_content(method: &Method) -> OperationBuilder {
    let summary = match *method {
        Method::PUT => "Attach a policy to a content",
        _ => "Detach a policy from a content",
    };
    let mut example = about(method.as_str(), json!("hd"));
    if let Some(members) = example.as_object_mut() {
        members.insert("content_id".to_owned(), json!("film.mp4"));
    }
    let op = keeper().summary(Some(summary)).parameter(name()).request_body(Some(object(example)));
    refusals(
        op.response("200", text("What the content has now.", JSON)),
        &["400", "401", "404", "429", "500", "503"],
    )
}

pub(super) fn policy_default(method: &Method) -> OperationBuilder {
    let summary = match *method {
        Method::PUT => "Make a policy the account's default",
        _ => "Make a policy the account's default no longer",
    };
    let example = object(about(method.as_str(), json!("hd")));
    let op = keeper().summary(Some(summary)).parameter(name()).request_body(Some(example));
    refusals(op.response("200", text("The default now.", JSON)), &["400", "401", "404", "429", "500", "503"])
}

/// An operation for a credential of scope `policy`.
fn keeper() -> OperationBuilder {
    OperationBuilder::new().tag(POLICIES).securities(Some(security::any()))
}

fn name() -> Parameter {
    in_path("name", "The policy's name.", "hd")
}

/// Custom data about a policy.
fn about(method: &str, policy: Value) -> Value {
    let mut data = json!({"ca_system": "OVP", "account_id": "demo", "method": method});
    if let Some(members) = data.as_object_mut().filter(|_| !policy.is_null()) {
        members.insert("policy".to_owned(), policy);
    }
    data
}

/// The same for the first version of a policy.
fn replacing(mut data: Value) -> Value {
    if let Some(members) = data.as_object_mut() {
        members.insert("replaces".to_owned(), json!(1));
    }
    data
}

fn document() -> Value {
    json!({
        "name": "hd",
        "license_duration_seconds": 86400,
        "protection": {"playready": {"minimum_security_level": 2000, "uncompressed_digital_video": 270}},
        "tracks": {"UHD1": {"widevine": {"hdcp": "v2.2"}}},
    })
}

fn custom_data(data: &Value) -> Parameter {
    let example = STANDARD.encode(data.to_string());
    let parameter = query("custom_data", "Base64 of the custom data, whose bytes are signed.");
    parameter.required(Required::True).example(Some(json!(example))).build()
}

fn object(example: Value) -> RequestBody {
    let schema = ObjectBuilder::new().schema_type(Type::Object).build();
    let content = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
    RequestBodyBuilder::new().required(Some(Required::True)).content(JSON, content).build()
}
