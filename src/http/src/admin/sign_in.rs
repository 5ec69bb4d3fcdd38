//! `POST /v1/session`: the one request that needs no credential, for it is where one comes from.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::http::Method;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};

use keymoot_service::admin::{SignInAttempt, SignInError};

use super::problem::Problem;
use super::{AdminSite, audited, check_json, json, parse_json};
use crate::request::incoming_body::read_body;

/// Where operators sign in.
pub(super) const PATH: &str = "/v1/session";

/// Whether somebody signs in.
pub(super) fn is_asked_for(request: &HttpRequest) -> bool {
    request.method() == Method::POST && request.path() == PATH
}

/// Begins a session.
pub(super) async fn answer(
    request: &HttpRequest,
    payload: Payload,
    site: &AdminSite,
) -> Result<HttpResponse, Problem> {
    let attempt = read(request, payload, site).await;
    let attempt = attempt.map_err(|problem| audited::unproved(request, problem, site))?;
    // Whoever is told a session must be told of.
    site.api.audit.log.state().map_err(|why| Problem::unaudited(&why))?;
    let at = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let signed_in = site.administration.sign_in(attempt, at).await;
    let told = signed_in.as_ref().map(|signed_in| signed_in.operator.as_str());
    audited::signed_in(request, told, site).await?;
    match &signed_in {
        Err(SignInError::Wrong(_)) => {
            site.api.metrics.auth_refusals_total.with_label_values(&["operator"]).inc();
        }
        Err(SignInError::Slowed(_)) => site.api.metrics.auth_delays_total.inc(),
        _ => {}
    }
    Ok(json(&signed_in?))
}

async fn read(request: &HttpRequest, payload: Payload, site: &AdminSite) -> Result<SignInAttempt, Problem> {
    check_json(request)?;
    parse_json(&read_body(request, payload, &site.api).await?)
}
