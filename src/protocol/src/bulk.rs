//! The body of a bulk request: newline-delimited JSON, a head and then one line for each content.
//!
//! The head says whose request it is; the other lines are custom data without that. A signature covers
//! the whole body, so nothing of it is believed before all of it has come. SHA-1 signatures can be
//! extended by whoever saw one, and a line of the padding that an extension needs could pass for one
//! bad line among good ones: so a body with a byte that no text holds is refused whole. The head's
//! member `bulk` keeps signatures of other requests from opening this one.

use bytes::Bytes;
use zeroize::Zeroizing;

use super::custom_data::{FormatVersion, required, supplied, text, text_or_number, track};
use super::strict_json::{Members, Value, parse_object};
use super::{CaSystem, Claim, Claims, CustomData, CustomDataError, SignedMethod, auxiliary::auxiliary};
use keymoot_model::{AccountId, Auxiliary, ContentId, Kid, Period, TrackName};

/// Why a body is no bulk request at all. The message is fit for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BulkError {
    /// Bytes that are no text, or control characters other than line ends and tabs.
    #[error("the body must be UTF-8 text without control characters; it is not at byte {0}")]
    NotText(usize),
    /// The first line is not what it must be.
    #[error("line 1, the head: {0}")]
    Head(#[from] CustomDataError),
    /// More lines than one request may have.
    #[error("the body has more than {max} items; split it into several requests, each with its head", max = BulkBody::ITEMS_MAX)]
    TooMany,
}

/// The first line of a bulk request.
#[derive(Debug)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkHead {
    /// Always 1, the version of this format.
    #[cfg_attr(feature = "openapi", schema(value_type = u32))]
    #[allow(dead_code, reason = "that it was read is all it says")]
    bulk: FormatVersion,
    /// The entitlement back end that the client belongs to, such as `OVP`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    ca_system: CaSystem,
    /// The account that signs.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    account_id: AccountId,
    /// Whether the answer shall hold the keys themselves, and not only their ids.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<bool>))]
    keys: bool,
    /// Always `POST`; it must be there where the request is proved by SHA-1 alone.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    method: Option<SignedMethod>,
}

impl BulkHead {
    fn parse(line: &[u8]) -> Result<Self, CustomDataError> {
        let members = line_members(line, &["bulk", "ca_system", "account_id", "keys", "method"])?;
        Ok(Self {
            bulk: FormatVersion::read(&members, "bulk")?,
            ca_system: CaSystem::new(required(&members, "ca_system", text)?)?,
            account_id: AccountId::new(required(&members, "account_id", text_or_number)?)
                .map_err(CustomDataError::Id)?,
            keys: truth(&members, "keys")?,
            method: SignedMethod::read(&members)?,
        })
    }

    /// Reads the head of a body of which at least the first line has come.
    ///
    /// # Errors
    /// [`BulkError::Head`] when the line is no head.
    pub fn of_body(received: &[u8]) -> Result<Self, BulkError> {
        Ok(Self::parse(received.split(|byte| *byte == b'\n').next().unwrap_or_default())?)
    }

    /// Whose request it claims to be.
    pub fn claim(&self) -> Claim {
        Claim {
            account: self.account_id.clone(),
            ca_system: self.ca_system.clone(),
            content: None,
            method: self.method,
        }
    }

    /// Whether the answer shall hold the keys themselves.
    pub fn wants_keys(&self) -> bool {
        self.keys
    }

    /// The account that must have signed the request.
    pub fn account_id(&self) -> &AccountId {
        &self.account_id
    }
}

/// A bulk request's body, taken apart into lines.
#[derive(Debug)]
pub struct BulkBody {
    head: BulkHead,
    /// Number from 1, and the line without its end.
    lines: Vec<(usize, Bytes)>,
}

impl BulkBody {
    /// The most items of one request.
    pub const ITEMS_MAX: usize = 10_000;

    /// Takes a body apart and reads its head. The other lines are read one by one, later: a bad one is
    /// that item's own trouble.
    ///
    /// # Errors
    /// [`BulkError`] when the body as a whole is of no use.
    pub fn parse(body: &Bytes) -> Result<Self, BulkError> {
        must_be_text(body)?;
        let mut lines = body.split(|byte| *byte == b'\n').enumerate().map(|(at, line)| (at + 1, line));
        let head = BulkHead::parse(lines.next().map_or(&[][..], |(_, line)| line))?;
        let items =
            lines.map(|(number, line)| (number, line.trim_ascii())).filter(|(_, line)| !line.is_empty());
        let lines: Vec<_> =
            items.take(Self::ITEMS_MAX + 1).map(|(number, line)| (number, body.slice_ref(line))).collect();
        if lines.len() > Self::ITEMS_MAX {
            return Err(BulkError::TooMany);
        }
        Ok(Self { head, lines })
    }

    pub fn head(&self) -> &BulkHead {
        &self.head
    }

    /// The items' lines with their numbers, in their order.
    pub fn lines(&self) -> &[(usize, Bytes)] {
        &self.lines
    }
}

impl Claims for BulkBody {
    type Error = BulkError;

    const NAMES_METHOD: bool = true;

    fn read(bytes: &Bytes) -> Result<Self, Self::Error> {
        Self::parse(bytes)
    }

    fn claim(&self) -> Claim {
        self.head.claim()
    }
}

/// Any other line of a bulk request: a content whose key is asked for, or brought along.
#[derive(Debug)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkItem {
    /// The content.
    #[cfg_attr(feature = "openapi", schema(rename = "content_id", value_type = String))]
    pub content: ContentId,
    /// The track; left out, the one that the uDRM endpoints know.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub track: TrackName,
    /// Base64 of a key of the client's own, 16 bytes; with `key_id` only. Without them the key is made
    /// when there is none.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    key: Option<Zeroizing<[u8; 16]>>,
    /// Base64 of that key's id, 16 bytes.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    key_id: Option<Kid>,
    /// Whether that key shall take the place of another one, which stays licensable. Without it an item
    /// whose content has another key is an error.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<bool>))]
    pub replace: bool,
    /// The crypto period that the key is for.
    #[cfg_attr(feature = "openapi", schema(schema_with = super::published::period))]
    pub period: Option<Period>,
    /// To be stored beside the content.
    #[cfg_attr(feature = "openapi", schema(rename = "aux", schema_with = super::published::aux_of_item))]
    pub auxiliary: Option<Auxiliary>,
}

impl BulkItem {
    /// Reads a line.
    ///
    /// # Errors
    /// [`CustomDataError`] names the member at fault, and never its value.
    pub fn parse(line: &[u8]) -> Result<Self, CustomDataError> {
        let known = ["content_id", "track", "key", "key_id", "period", "replace", "aux"];
        let members = line_members(line, &known)?;
        let (key_id, key) = supplied(&members)?;
        let item = Self {
            content: ContentId::new(required(&members, "content_id", text_or_number)?)
                .map_err(CustomDataError::Id)?,
            track: track(&members)?,
            period: period(&members)?,
            replace: truth(&members, "replace")?,
            auxiliary: auxiliary(&members)?,
            key,
            key_id,
        };
        let given = [("period", item.period.is_some()), ("replace", item.replace)];
        match given.iter().find(|(_, given)| *given && item.key.is_none()) {
            Some((given, _)) => Err(CustomDataError::Unpaired { given, missing: "key and key_id" }),
            None => Ok(item),
        }
    }

    /// The key id and key that the line supplies.
    pub fn supplied(&self) -> Option<(Kid, &[u8; 16])> {
        self.key_id.zip(self.key.as_deref())
    }
}

fn must_be_text(body: &[u8]) -> Result<(), BulkError> {
    if let Err(error) = std::str::from_utf8(body) {
        return Err(BulkError::NotText(error.valid_up_to()));
    }
    let odd = |byte: &u8| byte.is_ascii_control() && !matches!(byte, b'\n' | b'\r' | b'\t');
    body.iter().position(odd).map_or(Ok(()), |at| Err(BulkError::NotText(at)))
}

/// The members of a line, all of which must be known: one that is misspelt would otherwise be missed.
pub(super) fn line_members(line: &[u8], known: &[&str]) -> Result<Members, CustomDataError> {
    if line.len() > CustomData::BYTES_MAX {
        return Err(CustomDataError::TooLong { bytes_max: CustomData::BYTES_MAX });
    }
    let members =
        parse_object(line).map_err(|error| CustomDataError::NotJson { reason: error.to_string() })?;
    if members.keys().all(|name| known.contains(&name.as_str())) {
        return Ok(members);
    }
    Err(CustomDataError::Unknown { known: known.join(", ") })
}

fn truth(members: &Members, member: &'static str) -> Result<bool, CustomDataError> {
    match members.get(member) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Truth(truth)) => Ok(*truth),
        Some(_) => Err(CustomDataError::Form { member, expected: "true or false" }),
    }
}

fn period(members: &Members) -> Result<Option<Period>, CustomDataError> {
    let wrong = CustomDataError::Form {
        member: "period",
        expected: "an object of length_s and index, both whole numbers",
    };
    let parts = match members.get("period") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(parts)) if parts.len() == 2 => parts,
        Some(_) => return Err(wrong),
    };
    let number = |name| match parts.get(name) {
        Some(Value::Whole(number)) => number.parse().ok(),
        _ => None,
    };
    match (number("length_s"), number("index")) {
        (Some(length_s), Some(index)) => Ok(Some(Period { length_s, index })),
        _ => Err(wrong),
    }
}

#[cfg(test)]
mod tests;
