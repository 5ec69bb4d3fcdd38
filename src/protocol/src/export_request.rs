//! The body of an export request: whose keys, for whom they are wrapped, and from where on.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;

use super::bulk::line_members;
use super::custom_data::{FormatVersion, optional, required, text, text_or_number};
use super::{CaSystem, Claim, Claims, CustomDataError, SignedMethod};
use keymoot_model::{AccountId, ContentId};

/// A request for sealed keys: one strict JSON object.
#[derive(Debug)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExportRequest {
    /// Always 1, the version of this format.
    #[cfg_attr(feature = "openapi", schema(value_type = u32))]
    #[allow(dead_code, reason = "that it was read is all it says")]
    export: FormatVersion,
    /// The entitlement back end that the client belongs to, such as `OVP`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    ca_system: CaSystem,
    /// The account that signs, and whose keys are asked for.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    account_id: AccountId,
    /// Base64 of the 32 bytes of the X25519 public key for which the keys are sealed.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub recipient: [u8; 32],
    /// The one content whose keys are asked for; left out, all.
    #[cfg_attr(feature = "openapi", schema(rename = "content_id", value_type = Option<String>))]
    pub content: Option<ContentId>,
    /// The `next` of the page before; left out on the first.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub after: Option<Vec<u8>>,
    /// Always `POST`; it must be there where the request is proved by SHA-1 alone.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    method: Option<SignedMethod>,
}

impl ExportRequest {
    /// Reads the body.
    ///
    /// # Errors
    /// [`CustomDataError`] names the member at fault.
    pub fn parse(body: &[u8]) -> Result<Self, CustomDataError> {
        let known = ["export", "ca_system", "account_id", "content_id", "recipient", "after", "method"];
        let members = line_members(body, &known)?;
        let form = |member, expected| CustomDataError::Form { member, expected };
        let export = FormatVersion::read(&members, "export")?;
        let recipient = STANDARD.decode(required(&members, "recipient", text)?).unwrap_or_default();
        let recipient = recipient
            .try_into()
            .map_err(|_| form("recipient", "standard base64 of an X25519 public key's 32 bytes"))?;
        let after = optional(&members, "after", text)?.map(|text| URL_SAFE_NO_PAD.decode(text)).transpose();
        let content = optional(&members, "content_id", text)?.map(ContentId::new).transpose();
        Ok(Self {
            export,
            ca_system: CaSystem::new(required(&members, "ca_system", text)?)?,
            account_id: AccountId::new(required(&members, "account_id", text_or_number)?)
                .map_err(CustomDataError::Id)?,
            content: content.map_err(CustomDataError::Id)?,
            recipient,
            after: after.map_err(|_| form("after", "the `next` of the page before"))?,
            method: SignedMethod::read(&members)?,
        })
    }
}

impl Claims for ExportRequest {
    type Error = CustomDataError;

    const NAMES_METHOD: bool = true;

    fn read(bytes: &Bytes) -> Result<Self, Self::Error> {
        Self::parse(bytes)
    }

    fn claim(&self) -> Claim {
        Claim {
            account: self.account_id.clone(),
            ca_system: self.ca_system.clone(),
            content: self.content.clone(),
            method: self.method,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(more: &str) -> Result<ExportRequest, CustomDataError> {
        ExportRequest::parse(format!(r#"{{"ca_system":"OVP","account_id":"demo"{more}}}"#).as_bytes())
    }

    #[test]
    fn a_request_names_its_recipient_and_says_that_it_is_an_export() {
        let recipient = format!(r#","recipient":"{}""#, STANDARD.encode([7; 32]));
        let read = parse(&format!(r#","export":1{recipient},"content_id":"film","after":"AAE""#)).unwrap();
        assert_eq!((read.recipient, read.after), ([7; 32], Some(vec![0, 1])));
        assert_eq!((read.content.unwrap().as_str(), read.method), ("film", None));
        let named = parse(&format!(r#","export":1{recipient},"method":"post""#)).unwrap();
        assert_eq!(named.claim().method, Some(SignedMethod::Post));
        for bad in [
            recipient.clone(),
            r#","export":1"#.to_owned(),
            r#","export":1,"recipient":"AAAA""#.to_owned(),
            format!(r#","export":1{recipient},"after":"+""#),
            format!(r#","export":1{recipient},"files":"""#),
            format!(r#","export":1{recipient},"method":"any""#),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }
}
