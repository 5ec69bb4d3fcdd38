//! What operators ask for, as the audit tells it: what changes something before it is done and after, and what looks
//! at something before the answer leaves.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;

use keymoot_audit::{Action, Actor, ActorKind, Event, Outcome};
use keymoot_cluster::noting_log_index;
use keymoot_service::admin::{
    Administration, Call, Method, OperatorGrant, OperatorProof, Performed, RefusedOperator, SignInError,
    UseCase,
};

use super::AdminSite;
use super::problem::Problem;
use crate::api::Api;

/// An event of a request to the admin API.
fn event(request: &HttpRequest, action: Action, actor: Actor, api: &Api) -> Event {
    let address = request.peer_addr().map(|address| address.ip());
    Event { address, ..api.audit.event(action, Outcome::Done, actor) }
}

fn operator(name: Option<&str>, kind: ActorKind, proof: Option<OperatorProof>) -> Actor {
    let credential = proof.map(|proof| match proof {
        OperatorProof::Certificate(fingerprint) => format!("certificate {fingerprint}"),
        OperatorProof::Session(digest) => format!("session {digest}"),
    });
    Actor { kind, id: name.map(str::to_owned), credential, role: None }
}

/// Tells of a request that nobody who may ask has made. Strangers' are not told without end.
fn tell_refusal(event: Event, problem: &Problem, api: &Api) {
    let (reason, status) = (Some(problem.detail().to_owned()), Some(problem.status().as_u16()));
    let mut event = Event { outcome: problem.outcome(), reason, status, ..event };
    if event.actor.kind == ActorKind::Stranger
        && let Some(address) = event.address
    {
        match api.strangers.note(keymoot_model::client_network(address)) {
            Some(left_out) => event.repeated = (left_out > 0).then_some(left_out),
            None => return,
        }
    }
    api.audit.note(event);
}

/// Tells of a request that shows no proof.
pub(super) fn unproved(request: &HttpRequest, problem: Problem, site: &AdminSite) -> Problem {
    tell_refusal(event(request, Action::ADMIN_REQUEST, Actor::STRANGER, &site.api), &problem, &site.api);
    problem
}

/// Tells of a request whose proof does not open the use case.
pub(super) fn refused(
    request: &HttpRequest,
    (proof, case): (OperatorProof, UseCase),
    refused: RefusedOperator,
    site: &AdminSite,
) -> Problem {
    let (name, kind) = match &refused {
        // Who these are is proved, and not enough.
        RefusedOperator::FirstPassword { name } | RefusedOperator::Role { name, .. } => {
            (Some(name.to_string()), ActorKind::Operator)
        }
        RefusedOperator::Revoked { name }
        | RefusedOperator::CertificateRevoked { name }
        | RefusedOperator::Expired { name } => (Some(name.to_string()), ActorKind::Stranger),
        RefusedOperator::Unregistered { .. }
        | RefusedOperator::SessionEnded
        | RefusedOperator::Unconfirmed(_)
        | RefusedOperator::State(_) => (None, ActorKind::Stranger),
    };
    let actor = operator(name.as_deref(), kind, Some(proof));
    let problem = Problem::from(refused);
    tell_refusal(event(request, Action::of_use_case(case.name()), actor, &site.api), &problem, &site.api);
    problem
}

/// Tells of an operator's request that names no use case.
pub(super) fn unknown(
    request: &HttpRequest,
    grant: &OperatorGrant,
    problem: Problem,
    site: &AdminSite,
) -> Problem {
    let event = Event { action: Action::ADMIN_REQUEST, ..of_operator(request, grant, site) };
    tell_refusal(event, &problem, &site.api);
    problem
}

/// Tells of a sign-in. What was typed as a name is not told before it is known to be one.
///
/// # Errors
/// When that it was done cannot be written; then no session may be told.
pub(super) async fn signed_in(
    request: &HttpRequest,
    outcome: Result<&str, &SignInError>,
    site: &AdminSite,
) -> Result<(), Problem> {
    let api = &site.api;
    match outcome {
        Ok(name) => {
            let actor = operator(Some(name), ActorKind::Operator, None);
            let written = api.audit.write(event(request, Action::SIGN_IN, actor, api)).await;
            written.map(drop).map_err(|why| Problem::unaudited(&why))
        }
        Err(error) => {
            let name = match error {
                SignInError::Wrong(Some(name)) => Some(name.as_str()),
                _ => None,
            };
            let actor = operator(name, ActorKind::Stranger, None);
            tell_refusal(event(request, Action::SIGN_IN, actor, api), &Problem::of_sign_in(error), api);
            Ok(())
        }
    }
}

fn of_operator(request: &HttpRequest, grant: &OperatorGrant, site: &AdminSite) -> Event {
    let actor = operator(Some(grant.name().as_str()), ActorKind::Operator, Some(grant.proof()));
    let actor = Actor { role: grant.role().map(|role| role.name().to_owned()), ..actor };
    event(request, Action::of_use_case(grant.case().name()), actor, &site.api)
}

/// Tells of a request that cannot be read.
pub(super) fn unreadable(request: &HttpRequest, grant: &OperatorGrant, problem: &Problem, site: &AdminSite) {
    tell_refusal(of_operator(request, grant, site), problem, &site.api);
}

/// Has done what is asked for, and tells of it.
///
/// # Errors
/// [`Problem`] says why it was not done.
pub(super) async fn carry_out(
    request: &HttpRequest,
    grant: &OperatorGrant,
    call: Call,
    site: &AdminSite,
) -> Result<Performed, Problem> {
    let event = Event { object: Some(call.object()), ..of_operator(request, grant, site) };
    match grant.case().method() {
        Method::Get => look(event, grant, call, site).await,
        Method::Post => change(event, grant, call, site).await,
    }
}

async fn look(
    event: Event,
    grant: &OperatorGrant,
    call: Call,
    site: &AdminSite,
) -> Result<Performed, Problem> {
    let audit = &site.api.audit;
    let asked = call.clone();
    let performed = perform(&site.administration, grant, call).await;
    if site.administration.is_told(grant, &asked) {
        return performed;
    }
    let told = match &performed {
        Ok(_) => event,
        Err(problem) => Event {
            outcome: problem.outcome(),
            reason: Some(problem.detail().to_owned()),
            status: Some(problem.status().as_u16()),
            ..event
        },
    };
    match audit.write(told).await {
        Ok(_) => {
            site.administration.tell(grant, &asked);
            performed
        }
        // How the node is, an operator must learn where it cannot write its audit, too.
        Err(_) if grant.case().is_of_node() => performed,
        Err(why) => Err(Problem::unaudited(&why)),
    }
}

async fn change(
    event: Event,
    grant: &OperatorGrant,
    call: Call,
    site: &AdminSite,
) -> Result<Performed, Problem> {
    let pending = site.api.audit.begin(event).await.map_err(|why| Problem::unaudited(&why))?;
    let (performed, log_index) = noting_log_index(perform(&site.administration, grant, call)).await;
    let (outcome, reason) = match &performed {
        Ok(done) => {
            let approval = done.approval.as_ref();
            let by = approval.and_then(|approval| approval.approved_by.as_ref());
            (Outcome::Done, by.map(|name| format!("approved by {name}")))
        }
        Err(problem) => (problem.outcome_of_change(), Some(problem.detail().to_owned())),
    };
    if let Ok(Some(number)) = pending.end(outcome, reason, log_index) {
        // The intent is written, and stands without an outcome where that cannot be.
        drop(site.api.audit.log.written(number).await);
    }
    performed
}

async fn perform(
    administration: &Administration,
    grant: &OperatorGrant,
    call: Call,
) -> Result<Performed, Problem> {
    administration.perform(grant, call).await.map_err(Problem::from)
}

impl Problem {
    /// What the audit calls it.
    fn outcome(&self) -> Outcome {
        match self.status() {
            StatusCode::NOT_FOUND => Outcome::NotFound,
            status if status.is_client_error() => Outcome::Refused,
            _ => Outcome::Failed,
        }
    }

    /// The same of what may have been done all the same.
    fn outcome_of_change(&self) -> Outcome {
        match self.status() {
            StatusCode::SERVICE_UNAVAILABLE => Outcome::Unknown,
            _ => self.outcome(),
        }
    }
}
