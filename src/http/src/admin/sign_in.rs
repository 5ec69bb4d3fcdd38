//! `POST /v1/session`: the one request that needs no credential, for it is where one comes from.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::http::Method;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};

use keymoot_service::admin::{SignInAttempt, SignInError};

use super::problem::Problem;
use super::{AdminSite, check_json, from, json, parse_json};
use crate::request::incoming_body::read_body;

/// Where operators sign in.
pub(super) const PATH: &str = "/v1/session";

/// Whether somebody signs in.
pub(super) fn is_asked_for(request: &HttpRequest) -> bool {
    request.method() == Method::POST && request.path() == PATH
}

/// Begins a session. What was typed as a name is not logged before it is known to be one: people type passwords there.
pub(super) async fn answer(
    request: &HttpRequest,
    payload: Payload,
    site: &AdminSite,
) -> Result<HttpResponse, Problem> {
    check_json(request)?;
    let attempt: SignInAttempt = parse_json(&read_body(request, payload, &site.api).await?)?;
    let at = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    match site.administration.sign_in(attempt, at).await {
        Ok(signed_in) => {
            tracing::info!(
                target: "audit", operator = %signed_in.operator, from = %from(request), action = "SignIn",
                outcome = "done", "an operator signed in"
            );
            Ok(json(&signed_in))
        }
        Err(error) => {
            let name = match &error {
                SignInError::Wrong(Some(name)) => name.as_str(),
                _ => "unknown",
            };
            tracing::warn!(
                target: "audit", operator = name, from = %from(request), action = "SignIn", outcome = "refused", reason = %error,
                "an operator's request"
            );
            match &error {
                SignInError::Wrong(_) => {
                    site.api.metrics.auth_refusals_total.with_label_values(&["operator"]).inc();
                }
                SignInError::Slowed(_) => site.api.metrics.auth_delays_total.inc(),
                _ => {}
            }
            Err(error.into())
        }
    }
}
