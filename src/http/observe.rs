//! What a monitor asks of a node: alive, ready, measured.

use actix_web::HttpResponse;

use super::error::ApiError;
use super::server::Api;

/// The process answers. Says nothing about the cluster.
pub fn healthy() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("alive\n")
}

/// The node can answer a linearizable read now: it reaches a quorum and has caught up.
pub async fn ready(api: &Api) -> Result<HttpResponse, ApiError> {
    api.accounts.refresh().await?;
    Ok(HttpResponse::Ok().content_type("text/plain").body("ready\n"))
}

/// Prometheus text format.
pub fn metrics(api: &Api) -> Result<HttpResponse, ApiError> {
    let text = api.metrics.encode().map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text))
}
