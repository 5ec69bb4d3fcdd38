//! The published API (key exchange, requirement 5.1.1): one OpenAPI document, and a page that shows it.
//!
//! The document is made from the dispatcher's own table of routes and from the types that the handlers
//! read and write, so it cannot fall behind them; what it says is held by a golden file. It tells the
//! same on every node and nothing about accounts, so anybody may read it.

mod archive;
mod documents;
mod exact;
mod licensing;
mod operations;
mod parts;
mod schemas;
mod security;
mod viewer;

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::web::Bytes;
use utoipa::openapi::path::{HttpMethod, PathItemBuilder};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathsBuilder};

use crate::answer::error::ApiError;
use crate::dispatch::route_table::API;
pub(crate) use viewer::viewer;

/// What stands above the operations.
const DESCRIPTION: &str = "Keymoot hands out content keys to scramblers. Any node answers any request. \
Paths match without regard to case, and doubled or trailing slashes do no harm.\n\n\
A request is signed. A signing key of scope `encryption` opens the endpoints with keys, and only from the \
account's allow-list; one of scope `license` opens those for players, one of scope `policy` those for policies. `GET /capabilities` lists the schemes of a connection, the strongest first, and each 401 \
names them in `WWW-Authenticate`. With the header `Accept-Signature` an answer is signed, too (RFC 9421).\n\n\
A refusal has one format: a message, the status as text, and a reference under which the node's log has the \
reason. 503 comes with `Retry-After`: the same request may soon succeed, here or at another node. So does 429: it may \
succeed then.";

/// The document, encoded once.
static DOCUMENT: LazyLock<Result<Bytes, String>> = LazyLock::new(|| {
    let mut whole = serde_json::to_value(document()).map_err(|error| error.to_string())?;
    exact::constrain(&mut whole);
    let text = serde_json::to_string_pretty(&whole).map_err(|error| error.to_string())?;
    Ok(Bytes::from(text + "\n"))
});

/// The answer to `GET /openapi.json`.
pub(crate) fn answer() -> Result<HttpResponse, ApiError> {
    let text = DOCUMENT.as_ref().map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok().content_type("application/json").body(text.clone()))
}

fn document() -> OpenApi {
    let license =
        LicenseBuilder::new().name("MIT OR Apache-2.0").identifier(Some("MIT OR Apache-2.0")).build();
    let info = InfoBuilder::new()
        .title("Keymoot")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license));
    let tag = |(name, text): (&str, &str)| TagBuilder::new().name(name).description(Some(text)).build();
    let mut paths = PathsBuilder::new();
    for (path, endpoint) in API.rows() {
        let mut item = PathItemBuilder::new();
        for method in endpoint.methods() {
            let operation = operations::operation(path, endpoint, method);
            if let (Some(known), Some(operation)) = (http_method(method.as_str()), operation) {
                item = item.operation(known, operation);
            }
        }
        paths = paths.path(path, item.build());
    }
    OpenApiBuilder::new()
        .info(info.build())
        .paths(paths)
        .components(Some(security::add_to(schemas::components())))
        .tags(Some(operations::TAGS.map(tag)))
        .build()
}

fn http_method(name: &str) -> Option<HttpMethod> {
    Some(match name {
        "GET" => HttpMethod::Get,
        "POST" => HttpMethod::Post,
        "PUT" => HttpMethod::Put,
        "DELETE" => HttpMethod::Delete,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
