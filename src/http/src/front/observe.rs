//! What a monitor asks of a node: alive, ready, measured.

use std::fmt::Display;

use actix_web::HttpResponse;

use crate::answer::error::{ApiError, ErrorKind};
use crate::api::Api;

/// The process answers. Says nothing about the cluster.
pub(crate) fn healthy() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("alive\n")
}

/// The node can serve now: it is not about to stop, reaches a quorum, has caught up, and its keyring
/// opens the cluster's keys.
pub(crate) async fn ready(api: &Api) -> Result<HttpResponse, ApiError> {
    if api.drain.has_begun() {
        return Err(not_ready("the node is stopping"));
    }
    api.readiness.check().await.map_err(not_ready)?;
    Ok(HttpResponse::Ok().content_type("text/plain").body("ready\n"))
}

fn not_ready(reason: impl Display) -> ApiError {
    ApiError::new(ErrorKind::Busy, format!("not ready: {reason}"))
}

pub(crate) fn metrics(api: &Api) -> Result<HttpResponse, ApiError> {
    let text = api.metrics.encode().map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(text))
}
