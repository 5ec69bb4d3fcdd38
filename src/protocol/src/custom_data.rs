//! The custom data of a uDRM request (uDRM 2.3.2): whose content, which content, for whom.
//!
//! It is parsed from the very bytes that the signature covers and, once parsed, valid ever after.
//! Reading is strict where two readers could disagree (see `strict_json`) and lenient where real
//! clients differ: ids may be numbers, optional members may be empty or `null`, unknown members
//! pass. Errors name the member at fault and never hold its value; `key` and `user_token` are wiped
//! on drop and not shown by `Debug`.

mod ca_system;
mod error;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use zeroize::Zeroizing;

use super::auxiliary::auxiliary;
use super::strict_json::{Members, Value, parse_object};
use super::{Claim, Claims, SignedMethod};
use keymoot_drm::ProtectionScheme;
use keymoot_model::{AccountId, Auxiliary, ContentId, Kid, PolicyName, TrackName};

pub use ca_system::CaSystem;
pub use error::CustomDataError;

/// What the members `key_id` and `key` hold; no key without its id.
pub(super) type KeyMembers = (Option<Kid>, Option<Zeroizing<[u8; 16]>>);

/// Custom data (uDRM 2.3.2): one strict JSON object in UTF-8, no member twice and nothing behind it.
/// Unknown members pass.
// The fields are the members, and their comments what the published API says of them.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CustomData {
    /// The entitlement back end that the client belongs to, such as `OVP`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    ca_system: CaSystem,
    /// The account that signs; a number is taken for its digits.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    account_id: AccountId,
    /// The content; a number is taken for its digits. Capitals matter.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    content_id: ContentId,
    /// The track; left out, the one that clients of uDRM share.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    track: TrackName,
    /// Comma list of the content's files. They share the content's key, so it changes nothing.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    files: Vec<String>,
    /// The viewer's token for the entitlement back end. For licenses.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    user_token: Option<Zeroizing<String>>,
    /// The viewer, the same on each of the viewer's devices. For licenses.
    user_id: Option<String>,
    /// The viewer's device. For licenses.
    udid: Option<String>,
    /// Passed on to the entitlement back end. For licenses.
    additional_cas_system: Option<String>,
    /// Base64 of a key of the client's own, 16 bytes; with `key_id` only. For POST and PUT.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    key: Option<Zeroizing<[u8; 16]>>,
    /// Base64 of that key's id, 16 bytes; with `key` only. Without it, in a GET or DELETE: the one version
    /// that is meant.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    key_id: Option<Kid>,
    /// To be stored beside the content. For POST and PUT.
    #[cfg_attr(feature = "openapi", schema(schema_with = super::published::aux))]
    aux: Option<Auxiliary>,
    /// The policy that the content shall have. For POST and PUT.
    // Read by those who attach policies only: to others it is a member like any that is not known.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    policy: Result<Option<PolicyName>, CustomDataError>,
    /// How samples are encrypted: `cenc`, `cbcs`, `cbc1` or `cens`, as the provider's players know it.
    // As for the policy: players' data may have a member of that name.
    #[cfg_attr(feature = "openapi", schema(schema_with = super::published::scheme))]
    scheme: Result<Option<ProtectionScheme>, CustomDataError>,
    /// The HTTP method that the data are signed for. They open no other.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    method: Option<SignedMethod>,
}

impl CustomData {
    /// The most bytes of JSON accepted; real custom data stays below two thousand.
    pub const BYTES_MAX: usize = 16 * 1024;

    /// Parses the JSON text of custom data.
    ///
    /// # Errors
    /// [`CustomDataError`] names the member at fault, or the place where the JSON is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, CustomDataError> {
        if bytes.len() > Self::BYTES_MAX {
            return Err(CustomDataError::TooLong { bytes_max: Self::BYTES_MAX });
        }
        let members = parse_object(bytes).map_err(|e| CustomDataError::NotJson { reason: e.to_string() })?;
        of_no_other(&members)?;
        let (key_id, key) = key_members(&members)?;
        Ok(Self {
            ca_system: CaSystem::new(required(&members, "ca_system", text)?)?,
            account_id: AccountId::new(required(&members, "account_id", text_or_number)?)
                .map_err(CustomDataError::Id)?,
            content_id: ContentId::new(required(&members, "content_id", text_or_number)?)
                .map_err(CustomDataError::Id)?,
            track: track(&members)?,
            files: files(&members)?,
            user_token: owned(&members, "user_token")?.map(Zeroizing::new),
            user_id: owned(&members, "user_id")?,
            udid: owned(&members, "udid")?,
            additional_cas_system: owned(&members, "additional_cas_system")?,
            key,
            key_id,
            aux: auxiliary(&members)?,
            policy: policy(&members),
            scheme: scheme(&members),
            method: SignedMethod::read_leniently(&members),
        })
    }

    /// The entitlement back end the client belongs to.
    pub fn ca_system(&self) -> &CaSystem {
        &self.ca_system
    }

    /// The account that must have signed the request.
    pub fn account_id(&self) -> &AccountId {
        &self.account_id
    }

    /// The content. Some clients give a comma list; the text as it stands is the key's identity, so
    /// that the scrambler and the player of the same list meet at the same key.
    pub fn content_id(&self) -> &ContentId {
        &self.content_id
    }

    /// The track whose key is meant. uDRM knows no tracks: a client that names none means the one
    /// that they all share.
    pub fn track(&self) -> &TrackName {
        &self.track
    }

    /// The files the request is about. They never change the key: the flavours of one content share it.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// The viewer's token for the entitlement back end. A secret: never log it.
    pub fn user_token(&self) -> Option<&str> {
        self.user_token.as_ref().map(|token| token.as_str())
    }

    /// The viewer, where the platform names one; the same on each of the viewer's devices.
    pub fn user_id(&self) -> Option<&str> {
        self.user_id.as_deref()
    }

    /// The viewer's device.
    pub fn udid(&self) -> Option<&str> {
        self.udid.as_deref()
    }

    /// A number or text that entitlement adapters pass on.
    pub fn additional_cas_system(&self) -> Option<&str> {
        self.additional_cas_system.as_deref()
    }

    /// The key id and key that a scrambler supplies itself (uDRM 2.3.3 PUT).
    ///
    /// # Errors
    /// [`CustomDataError::Unpaired`] when only the key id is there.
    pub fn supplied(&self) -> Result<Option<(Kid, &[u8; 16])>, CustomDataError> {
        match (self.key_id, &self.key) {
            (Some(kid), Some(key)) => Ok(Some((kid, key))),
            (None, _) => Ok(None),
            (Some(_), None) => Err(CustomDataError::Unpaired { given: "key_id", missing: "key" }),
        }
    }

    /// The key id, with a key beside it or not: requests that supply no key name a version by it.
    pub fn kid(&self) -> Option<Kid> {
        self.key_id
    }

    /// The policy that the client wants attached to the content.
    ///
    /// # Errors
    /// [`CustomDataError`] when the member is there and no policy can have such a name.
    pub fn policy(&self) -> Result<Option<&PolicyName>, CustomDataError> {
        self.policy.as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    /// How the client encrypts samples, if it says so.
    ///
    /// # Errors
    /// [`CustomDataError`] when the member is there and names no scheme.
    pub fn scheme(&self) -> Result<Option<ProtectionScheme>, CustomDataError> {
        self.scheme.clone()
    }

    /// What the client wants kept beside the content's keys.
    pub fn auxiliary(&self) -> Option<&Auxiliary> {
        self.aux.as_ref()
    }
}

impl Claims for CustomData {
    type Error = CustomDataError;

    const NAMES_METHOD: bool = false;

    fn read(bytes: &Bytes) -> Result<Self, Self::Error> {
        Self::parse(bytes)
    }

    fn claim(&self) -> Claim {
        Claim {
            account: self.account_id.clone(),
            ca_system: self.ca_system.clone(),
            content: Some(self.content_id.clone()),
            method: self.method,
        }
    }
}

impl fmt::Debug for CustomData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomData")
            .field("ca_system", &self.ca_system)
            .field("account_id", &self.account_id)
            .field("content_id", &self.content_id)
            .field("track", &self.track)
            .field("files", &self.files)
            .field("kid", &self.kid())
            .finish_non_exhaustive()
    }
}

/// Refuses what was signed for `/export` or `/bulk`. A signature of uDRM covers neither method nor path, so
/// these requests say in what is signed what they are for, and nothing else may take them.
pub(super) fn of_no_other(members: &Members) -> Result<(), CustomDataError> {
    match ["export", "bulk"].into_iter().find(|member| members.contains_key(*member)) {
        Some(member) => Err(CustomDataError::OfAnother { member }),
        None => Ok(()),
    }
}

/// Reads a member's text; what is wrong with it otherwise.
pub(super) type Reader = fn(&Value) -> Result<&str, &'static str>;

pub(super) fn text(value: &Value) -> Result<&str, &'static str> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err("a string"),
    }
}

/// A whole number, or its text.
pub(super) fn whole(members: &Members, member: &'static str) -> Result<Option<u64>, CustomDataError> {
    let expected = "a whole number";
    let number = optional(members, member, text_or_number)?.map(str::parse).transpose();
    number.map_err(|_| CustomDataError::Form { member, expected })
}

pub(super) fn text_or_number(value: &Value) -> Result<&str, &'static str> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Whole(number) => Ok(number),
        _ => Err("a string or a whole number"),
    }
}

/// A member that is there and not `null`.
pub(super) fn optional<'m>(
    members: &'m Members,
    member: &'static str,
    reader: Reader,
) -> Result<Option<&'m str>, CustomDataError> {
    match members.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match reader(value) {
            Ok(text) => Ok(Some(text)),
            Err(expected) => Err(CustomDataError::Form { member, expected }),
        },
    }
}

/// The name of a policy, unless it is absent or empty.
fn policy(members: &Members) -> Result<Option<PolicyName>, CustomDataError> {
    let name = optional(members, "policy", text)?.filter(|name| !name.is_empty());
    name.map(PolicyName::new).transpose().map_err(CustomDataError::Id)
}

/// A protection scheme in any case, unless it is absent or empty.
fn scheme(members: &Members) -> Result<Option<ProtectionScheme>, CustomDataError> {
    let wrong = CustomDataError::Form { member: "scheme", expected: "cenc, cbcs, cbc1 or cens" };
    let name = optional(members, "scheme", text)?.filter(|name| !name.is_empty());
    name.map(str::parse).transpose().map_err(|_| wrong)
}

pub(super) fn required<'m>(
    members: &'m Members,
    member: &'static str,
    reader: Reader,
) -> Result<&'m str, CustomDataError> {
    match optional(members, member, reader)? {
        None => Err(CustomDataError::Missing { member }),
        Some("") => Err(CustomDataError::Empty { member }),
        Some(text) => Ok(text),
    }
}

/// An optional member; clients that have nothing to say in it often send it empty.
fn owned(members: &Members, member: &'static str) -> Result<Option<String>, CustomDataError> {
    let text = optional(members, member, text_or_number)?;
    Ok(text.filter(|text| !text.is_empty()).map(str::to_owned))
}

pub(super) fn track(members: &Members) -> Result<TrackName, CustomDataError> {
    match optional(members, "track", text)?.filter(|name| !name.is_empty()) {
        Some(name) => TrackName::new(name).map_err(CustomDataError::Id),
        None => Ok(TrackName::default_track()),
    }
}

/// `files` is a comma list in one string; a list of strings is understood as well.
fn files(members: &Members) -> Result<Vec<String>, CustomDataError> {
    let wrong = CustomDataError::Form { member: "files", expected: "a string or a list of strings" };
    let texts: Vec<&str> = match members.get("files") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Text(list)) => list.split(',').collect(),
        Some(Value::List(values)) => values.iter().map(text).collect::<Result<_, _>>().map_err(|_| wrong)?,
        Some(_) => return Err(wrong),
    };
    Ok(texts.into_iter().map(str::trim).filter(|file| !file.is_empty()).map(str::to_owned).collect())
}

/// The key id and key that the members supply, both or neither.
pub(super) fn supplied(members: &Members) -> Result<KeyMembers, CustomDataError> {
    match key_members(members)? {
        (Some(_), None) => Err(CustomDataError::Unpaired { given: "key_id", missing: "key" }),
        both_or_neither => Ok(both_or_neither),
    }
}

fn key_members(members: &Members) -> Result<KeyMembers, CustomDataError> {
    match (optional(members, "key_id", text)?, optional(members, "key", text)?) {
        (None, None) => Ok((None, None)),
        (None, Some(_)) => Err(CustomDataError::Unpaired { given: "key", missing: "key_id" }),
        (Some(kid), key) => {
            let kid = Kid::from_bytes(*sixteen_bytes("key_id", kid)?);
            Ok((Some(kid), key.map(|key| sixteen_bytes("key", key)).transpose()?))
        }
    }
}

/// That a body is of version 1 of its format. The member that says so keeps signatures of other requests
/// from opening this one.
#[derive(Clone, Copy, Debug)]
pub(super) struct FormatVersion;

impl FormatVersion {
    pub(super) fn read(members: &Members, member: &'static str) -> Result<Self, CustomDataError> {
        match members.get(member) {
            Some(Value::Whole(version)) if version == "1" => Ok(Self),
            _ => Err(CustomDataError::Form { member, expected: "1, the version of this format" }),
        }
    }
}

/// Decodes without leaving a copy behind; `text` is wiped by its owner.
fn sixteen_bytes(member: &'static str, text: &str) -> Result<Zeroizing<[u8; 16]>, CustomDataError> {
    let wrong = CustomDataError::Form { member, expected: "standard padded base64 of exactly 16 bytes" };
    match STANDARD.decode(text).map(Zeroizing::new) {
        Ok(bytes) => bytes.as_slice().try_into().map(Zeroizing::new).map_err(|_| wrong),
        Err(_) => Err(wrong),
    }
}

#[cfg(test)]
mod tests;
