//! What operations are put together from: parameters, bodies, answers, refusals.

use serde_json::{Value, json};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, Required, ResponseBuilder};

pub(super) const JSON: &str = "application/json";
pub(super) const XML: &str = "text/xml";

pub(super) fn query(name: &str, description: &str) -> ParameterBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String).build();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(text))
}

pub(super) fn in_path(name: &str, description: &str, example: &str) -> Parameter {
    query(name, description).parameter_in(ParameterIn::Path).example(Some(json!(example))).build()
}

pub(super) fn body(schema: &str, example: Value) -> RequestBody {
    body_of(JSON, schema, example)
}

pub(super) fn body_of(kind: &str, schema: &str, example: Value) -> RequestBody {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).example(Some(example));
    RequestBodyBuilder::new().required(Some(Required::True)).content(kind, content.build()).build()
}

pub(super) fn answer(description: &str, kind: &str, schema: &str) -> utoipa::openapi::Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    ResponseBuilder::new().description(description).content(kind, content).build()
}

/// An answer that is a text to the document, whatever is in it.
pub(super) fn text(description: &str, kind: &str) -> utoipa::openapi::Response {
    let schema = match kind {
        JSON => ObjectBuilder::new().schema_type(Type::Object),
        _ => ObjectBuilder::new().schema_type(Type::String),
    };
    let content = ContentBuilder::new().schema(Some(schema.build())).build();
    ResponseBuilder::new().description(description).content(kind, content).build()
}

pub(super) fn refusals(op: OperationBuilder, statuses: &[&str]) -> OperationBuilder {
    statuses.iter().fold(op, |op, status| {
        let response = ResponseBuilder::new().description(meaning(status));
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Refusal"))).build();
        let response = response.content(JSON, content);
        let header = |text: &str| HeaderBuilder::new().description(Some(text)).build();
        let response = match *status {
            "401" => response
                .header("WWW-Authenticate", header("The schemes of this connection, one challenge each.")),
            "429" | "503" => response.header("Retry-After", header("Seconds to wait.")),
            _ => response,
        };
        op.response(*status, response.build())
    })
}

fn meaning(status: &str) -> &'static str {
    match status {
        "400" => "The request is wrong in itself, too large, or at odds with what is stored.",
        "401" => "Signature, account or address is not accepted. Which of them it was, only the log tells.",
        "404" => "There is no such thing, and this asks for none to be made.",
        "429" => "The account is over a limit, or too many wrong credentials came from the address.",
        "503" => "No quorum in time, or too many wait. The same request may soon succeed.",
        _ => "A fault of the server.",
    }
}
