//! The protocol `http`: Keymoot's own, for a CAS that is written for it.
//!
//! The request names the viewer by the members of the custom data. The response is
//! `{"allow":true}`, with `policy`, `license_duration_s`, `playback_duration_s` and
//! `rental_duration_s` as options, or `{"allow":false}`. Unknown members are refused: a misspelt
//! duration would otherwise be one without end.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::member::{bytes_of, object, policy, present, seconds};
use super::{Entitled, NotEntitled, Viewer};

#[derive(Serialize)]
struct OwnRequest<'a> {
    account_id: &'a str,
    ca_system: &'a str,
    content_id: &'a str,
    files: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    user_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    udid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_cas_system: Option<&'a str>,
    client_address: IpAddr,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnAnswer {
    allow: bool,
    #[serde(default, deserialize_with = "present")]
    policy: Option<String>,
    #[serde(default, deserialize_with = "present")]
    license_duration_s: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    playback_duration_s: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    rental_duration_s: Option<i64>,
}

pub(super) fn request(viewer: &Viewer<'_>) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
    bytes_of(&OwnRequest {
        account_id: viewer.account.id.as_str(),
        ca_system: viewer.ca_system.as_str(),
        content_id: viewer.content.as_str(),
        files: viewer.files,
        user_token: viewer.user_token,
        udid: viewer.udid,
        additional_cas_system: viewer.additional_cas_system,
        client_address: viewer.client,
    })
}

pub(super) fn read(answer: &[u8]) -> Result<Entitled, NotEntitled> {
    let answer: OwnAnswer = object(answer)?;
    if !answer.allow {
        return Err(NotEntitled::Refused);
    }
    let limit = |member, value: Option<i64>| value.map(|value| seconds(member, value)).transpose();
    Ok(Entitled {
        policy: answer.policy.map(policy).transpose()?,
        license_duration_s: limit("license_duration_s", answer.license_duration_s)?,
        playback_duration_s: limit("playback_duration_s", answer.playback_duration_s)?,
        rental_duration_s: limit("rental_duration_s", answer.rental_duration_s)?,
    })
}
