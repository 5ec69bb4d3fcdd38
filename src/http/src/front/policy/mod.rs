//! Policies (uDRM 2.4): `/policy`, `/policy/{name}`, `/policy/{name}/content`, `/policy/{name}/default`.
//!
//! Requests are signed like all of uDRM's, with a credential of scope `policy`: the body of POST and
//! PUT, the decoded `custom_data` of GET and of a DELETE without a body. What a change is about
//! stands in what is signed; the path must name the same policy, because not every scheme covers it.

mod answer;

use actix_web::http::Method;
use actix_web::web;
use actix_web::{HttpRequest, HttpResponse};

use keymoot_auth::{AuthHandle, Denied, Grant, UnsaidPart};
use keymoot_model::{ContentId, Policy, PolicyError, PolicyName, Scope};
use keymoot_protocol::query::Query;
use keymoot_protocol::{GivenPolicy, PolicyData, SignedPayload};
use keymoot_service::PolicyCondition;

use crate::answer::error::{ApiError, ErrorKind};
use crate::api::Api;
use crate::request::authentication::{self, read_listed_body};
use crate::request::conditions;
use crate::request::custom_data::signed_bytes;

/// What of policies a path leads to; the policy in the case it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyRoute<'p> {
    /// All of an account.
    All,
    One(&'p str),
    /// The content that one is attached to.
    Content(&'p str),
    /// Whether one is the account's default.
    Default(&'p str),
}

impl PolicyRoute<'_> {
    fn name(self) -> Result<Option<PolicyName>, ApiError> {
        match self {
            Self::All => Ok(None),
            Self::One(name) | Self::Content(name) | Self::Default(name) => {
                let name = PolicyName::new(name);
                name.map(Some).map_err(|error| ApiError::new(ErrorKind::Invalid, error.to_string()))
            }
        }
    }
}

/// Answers a request about policies.
pub(crate) async fn policy(
    route: PolicyRoute<'_>,
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<HttpResponse, ApiError> {
    let named = route.name()?;
    let (grant, data) = receive(request, payload, api, auth).await?;
    if let Some(name) = &named {
        grant.trail().policy(name);
    }
    let asked = PolicyRequest { request, api, grant: &grant, data: &data };
    match (route, named) {
        (PolicyRoute::One(_), Some(name)) => one(&name, &asked).await,
        (PolicyRoute::Content(_), Some(name)) => content(&name, &asked).await,
        (PolicyRoute::Default(_), Some(name)) => default(&name, &asked).await,
        _ if *request.method() == Method::GET => list(&asked).await,
        _ => create(None, &asked).await,
    }
}

/// A request whose proof was accepted.
struct PolicyRequest<'r> {
    request: &'r HttpRequest,
    api: &'r Api,
    grant: &'r Grant,
    data: &'r PolicyData,
}

async fn receive(
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
    auth: &AuthHandle,
) -> Result<(Grant, PolicyData), ApiError> {
    let query = Query::parse(request.query_string())?;
    let body = read_listed_body(request, payload, api).await?;
    let signed = signed_bytes(request.method(), body.clone(), query.custom_data)?;
    let payload = SignedPayload::<PolicyData>::read(signed)?;
    let claim = (Scope::Policy, &payload, query.signature);
    Ok((authentication::authenticate(request, body, claim, api, auth).await?, payload.into_value()))
}

async fn list(asked: &PolicyRequest<'_>) -> Result<HttpResponse, ApiError> {
    let listed = asked.api.policies.list(asked.grant).await?;
    let attached = match &asked.data.content {
        Some(content) => Some((content, asked.api.policies.attached(asked.grant, content).await?)),
        None => None,
    };
    Ok(answer::list(&listed, attached))
}

async fn one(name: &PolicyName, asked: &PolicyRequest<'_>) -> Result<HttpResponse, ApiError> {
    match *asked.request.method() {
        Method::GET => found(name, asked).await,
        Method::POST => create(Some(name), asked).await,
        Method::PUT => {
            let policy = given(Some(name), asked.data)?;
            store(policy, condition(asked)?, asked).await
        }
        _ => {
            must_name(name, asked.data)?;
            asked.api.policies.delete(asked.grant, name, condition(asked)?).await?;
            Ok(answer::deleted(name))
        }
    }
}

/// What must hold of the policy that is replaced or deleted: what the signed data say of its version, and the
/// headers. A signature over the data alone must say it, or an old one would bring an old policy back.
fn condition(asked: &PolicyRequest<'_>) -> Result<PolicyCondition, ApiError> {
    let by_headers = conditions::of(asked.request)?;
    match (asked.data.replaces, by_headers) {
        (None, _) if asked.grant.is_bound_sha1() => {
            let account = asked.grant.account().id.clone();
            Err(Denied::Unsaid { account, unsaid: UnsaidPart::Version }.into())
        }
        (None, by_headers) => Ok(by_headers),
        (Some(0), PolicyCondition::Always | PolicyCondition::IfAbsent) => Ok(PolicyCondition::IfAbsent),
        (Some(version), PolicyCondition::Always | PolicyCondition::IfPresent) if version > 0 => {
            Ok(PolicyCondition::IfVersion(version))
        }
        (Some(version), PolicyCondition::IfVersion(same)) if version == same => Ok(by_headers),
        _ => {
            let message =
                "custom data replaces and the header If-Match or If-None-Match name different versions";
            Err(ApiError::new(ErrorKind::Invalid, message))
        }
    }
}

async fn create(name: Option<&PolicyName>, asked: &PolicyRequest<'_>) -> Result<HttpResponse, ApiError> {
    store(given(name, asked.data)?, PolicyCondition::IfAbsent, asked).await
}

async fn store(
    policy: Policy,
    condition: PolicyCondition,
    asked: &PolicyRequest<'_>,
) -> Result<HttpResponse, ApiError> {
    let record = asked.api.policies.put(asked.grant, policy, condition).await?;
    // What uses it is told as of now; the policy itself is the one that was stored.
    let listed = asked.api.policies.listed(asked.grant, record)?;
    Ok(answer::policy(&listed))
}

async fn found(name: &PolicyName, asked: &PolicyRequest<'_>) -> Result<HttpResponse, ApiError> {
    let account = asked.grant.account();
    let record = asked.api.policies.named(account, name, account.consistency).await?;
    let listed = asked.api.policies.listed(asked.grant, record)?;
    Ok(answer::policy(&listed))
}

async fn content(name: &PolicyName, asked: &PolicyRequest<'_>) -> Result<HttpResponse, ApiError> {
    must_name(name, asked.data)?;
    must_not_replace(asked.data)?;
    let content: &ContentId = asked
        .data
        .content
        .as_ref()
        .ok_or_else(|| ApiError::new(ErrorKind::Invalid, "Missing custom data content_id"))?;
    let policies = &asked.api.policies;
    if *asked.request.method() == Method::PUT {
        policies.attach(asked.grant, content, name, false).await?;
        return Ok(answer::attached(content, Some(name)));
    }
    policies.detach(asked.grant, content, name).await?;
    Ok(answer::attached(content, None))
}

async fn default(name: &PolicyName, asked: &PolicyRequest<'_>) -> Result<HttpResponse, ApiError> {
    must_name(name, asked.data)?;
    must_not_replace(asked.data)?;
    if asked.data.content.is_some() && asked.grant.is_bound_sha1() {
        let message =
            "custom data with content_id are for /policy/{name}/content; leave it out for the default";
        return Err(ApiError::new(ErrorKind::Invalid, message));
    }
    let policies = &asked.api.policies;
    if *asked.request.method() == Method::PUT {
        policies.set_default(asked.grant, name).await?;
        return Ok(answer::default(Some(name)));
    }
    policies.unset_default(asked.grant, name).await?;
    Ok(answer::default(None))
}

/// The policy that a request gives, which must bear the name of the path if that has one.
fn given(path: Option<&PolicyName>, data: &PolicyData) -> Result<Policy, ApiError> {
    let Some(GivenPolicy::Document(document)) = &data.policy else {
        let message = "Missing custom data policy: give the policy as an object, its name in it";
        return Err(ApiError::new(ErrorKind::Invalid, message));
    };
    let policy = Policy::from_value(document.clone(), None)?;
    match path {
        Some(name) if *name != policy.name => Err(other_name(name)),
        _ => Ok(policy),
    }
}

/// What is signed must name the policy that the path names.
fn must_name(name: &PolicyName, data: &PolicyData) -> Result<(), ApiError> {
    match &data.policy {
        Some(GivenPolicy::Name(signed)) if signed == name => Ok(()),
        None => {
            let message = "Missing custom data policy: give the name of the policy, as in the path";
            Err(ApiError::new(ErrorKind::Invalid, message))
        }
        _ => Err(other_name(name)),
    }
}

/// What is signed to replace or delete a policy does neither attach nor detach one.
fn must_not_replace(data: &PolicyData) -> Result<(), ApiError> {
    match data.replaces {
        None => Ok(()),
        Some(_) => {
            let message = "custom data replaces is for PUT and DELETE of /policy/{name} only; leave it out";
            Err(ApiError::new(ErrorKind::Invalid, message))
        }
    }
}

fn other_name(path: &PolicyName) -> ApiError {
    let message = format!("custom data policy must name {path}, as the path does");
    ApiError::new(ErrorKind::Invalid, message)
}

impl From<PolicyError> for ApiError {
    fn from(error: PolicyError) -> Self {
        Self::new(ErrorKind::Invalid, error.to_string())
    }
}
