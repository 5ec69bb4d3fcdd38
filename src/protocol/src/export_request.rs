//! The body of an export request: whose keys, for whom they are wrapped, and from where on.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;

use super::bulk::line_members;
use super::custom_data::{optional, required, text, text_or_number};
use super::strict_json::Value;
use super::{CaSystem, Claim, Claims, CustomDataError};
use keymoot_model::{AccountId, ContentId};

/// A request for wrapped keys.
#[derive(Debug)]
pub struct ExportRequest {
    pub(super) ca_system: CaSystem,
    pub(super) account_id: AccountId,
    /// The one content whose keys are asked for; all when there is none.
    pub content: Option<ContentId>,
    /// The X25519 public key of whoever shall open the keys.
    pub recipient: [u8; 32],
    /// Where the page before ended, as its last line said.
    pub after: Option<Vec<u8>>,
}

impl ExportRequest {
    /// Reads the body. Its member `export` keeps signatures of other requests from opening this one.
    ///
    /// # Errors
    /// [`CustomDataError`] names the member at fault.
    pub fn parse(body: &[u8]) -> Result<Self, CustomDataError> {
        let known = ["export", "ca_system", "account_id", "content_id", "recipient", "after"];
        let members = line_members(body, &known)?;
        let form = |member, expected| CustomDataError::Form { member, expected };
        match members.get("export") {
            Some(Value::Whole(version)) if version == "1" => {}
            _ => return Err(form("export", "1, the version of this format")),
        }
        let recipient = STANDARD.decode(required(&members, "recipient", text)?).unwrap_or_default();
        let recipient = recipient
            .try_into()
            .map_err(|_| form("recipient", "standard base64 of an X25519 public key's 32 bytes"))?;
        let after = optional(&members, "after", text)?.map(|text| URL_SAFE_NO_PAD.decode(text)).transpose();
        let content = optional(&members, "content_id", text)?.map(ContentId::new).transpose();
        Ok(Self {
            ca_system: CaSystem::new(required(&members, "ca_system", text)?)?,
            account_id: AccountId::new(required(&members, "account_id", text_or_number)?)
                .map_err(CustomDataError::Id)?,
            content: content.map_err(CustomDataError::Id)?,
            recipient,
            after: after.map_err(|_| form("after", "the `next` of the page before"))?,
        })
    }
}

impl Claims for ExportRequest {
    type Error = CustomDataError;

    fn read(bytes: &Bytes) -> Result<Self, Self::Error> {
        Self::parse(bytes)
    }

    fn claim(&self) -> Claim {
        Claim {
            account: self.account_id.clone(),
            ca_system: self.ca_system.clone(),
            content: self.content.clone(),
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
        assert_eq!(read.content.unwrap().as_str(), "film");
        for bad in [
            recipient.clone(),
            r#","export":1"#.to_owned(),
            r#","export":1,"recipient":"AAAA""#.to_owned(),
            format!(r#","export":1{recipient},"after":"+""#),
            format!(r#","export":1{recipient},"files":"""#),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }
}
