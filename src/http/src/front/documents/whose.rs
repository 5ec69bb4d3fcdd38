//! Whose document a request is about: the path names the account, or is one of its own, or what proves the request does.

use actix_web::HttpRequest;
use actix_web::web::Bytes;

use keymoot_auth::AuthError;
use keymoot_model::{AccountId, DocumentPath};
use keymoot_protocol::{AccessKey, claimed_names};

use crate::answer::error::ApiError;
use crate::api::Api;
use crate::request::proofs;

/// The account that a request claims to be of. Whether it is, shows when it is authenticated.
pub(super) fn account(named: Option<&str>, request: &HttpRequest, api: &Api) -> Result<AccountId, ApiError> {
    if let Some(named) = named {
        // A name that no account can have is refused like one that no account has.
        return AccountId::new(named).map_err(|error| ApiError::unauthorized(error).counted_as("unsigned"));
    }
    let path = DocumentPath::new(request.path()).ok();
    // Everybody may ask at a common path, also where one account has it as its own for those that name none.
    let is_common = path.as_ref().is_some_and(|path| DocumentPath::COMMON.contains(&path.as_str()));
    let account = match is_common {
        true => by_proof(request, api)?.or(by_path(path.as_ref(), api)?),
        false => by_path(path.as_ref(), api)?.or(by_proof(request, api)?),
    };
    account.ok_or_else(|| {
        let reason = "nothing in the request names an account that there is: its path, its user name, keyid or access key id";
        ApiError::unauthorized(reason).counted_as("missing")
    })
}

fn by_path(path: Option<&DocumentPath>, api: &Api) -> Result<Option<AccountId>, ApiError> {
    let Some(path) = path else { return Ok(None) };
    let found = api.accounts.of_path(path).map_err(AuthError::Unreadable)?;
    Ok(found.map(|(account, _)| account))
}

fn by_proof(request: &HttpRequest, api: &Api) -> Result<Option<AccountId>, ApiError> {
    if !proofs::has_proof(request) {
        return Ok(None);
    }
    let envelope = proofs::envelope(request, Bytes::new());
    match AccessKey::of(&envelope) {
        // One that nobody has is refused like an account that there is not, for the same work.
        Some(AccessKey::Id(id)) => {
            let known = api.accounts.of_access_key(&id).map_err(AuthError::Unreadable)?;
            Ok(known.or_else(|| AccountId::new(id).ok()))
        }
        Some(AccessKey::Named(name)) => Ok(Some(name.account)),
        None => Ok(claimed_names(&envelope).into_iter().next().map(|name| name.account)),
    }
}
