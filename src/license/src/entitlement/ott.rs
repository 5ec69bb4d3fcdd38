//! The protocol `ott`: an OTT back end, called with the members of the custom data.
//!
//! The request has the names and forms that OTT players use in their custom data: `files` is one
//! text with commas, and empty members are empty texts. The response has the platform's terms, bare
//! or under `result` as OTT services wrap theirs; `result.error` is a refusal.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::member::{bytes_of, object};
use super::ovp::Terms;
use super::{Entitled, NotEntitled, Viewer};

#[derive(Serialize)]
struct OttRequest<'a> {
    ca_system: &'a str,
    user_token: &'a str,
    account_id: &'a str,
    content_id: &'a str,
    files: String,
    udid: &'a str,
    additional_cas_system: &'a str,
    client_address: IpAddr,
}

#[derive(Deserialize)]
struct Wrapped {
    result: Option<Outcome>,
    #[serde(flatten)]
    bare: Terms,
}

#[derive(Deserialize)]
struct Outcome {
    error: Option<serde::de::IgnoredAny>,
    #[serde(flatten)]
    terms: Terms,
}

pub(super) fn request(viewer: &Viewer<'_>) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    bytes_of(&OttRequest {
        ca_system: viewer.ca_system.as_str(),
        user_token: viewer.user_token.unwrap_or(""),
        account_id: viewer.account.id.as_str(),
        content_id: viewer.content.as_str(),
        files: viewer.files.join(","),
        udid: viewer.udid.unwrap_or(""),
        additional_cas_system: viewer.additional_cas_system.unwrap_or(""),
        client_address: viewer.client,
    })
}

pub(super) fn read(answer: &[u8]) -> Result<Entitled, NotEntitled> {
    match object::<Wrapped>(answer)? {
        Wrapped { result: Some(Outcome { error: Some(_), .. }), .. } => Err(NotEntitled::Refused),
        Wrapped { result: Some(outcome), .. } => outcome.terms.read(),
        Wrapped { result: None, bare } => bare.read(),
    }
}
