//! The custom data of a request about policies (uDRM 2.4): whose, which policy, and for which
//! content if for one.
//!
//! The member `policy` is a policy's name, or the policy itself as an object. The policy travels
//! inside what is signed: a signature that covers the body alone covers it whole, name included.

use bytes::Bytes;
use serde_json::Value as Json;

use super::custom_data::{
    CaSystem, CustomData, CustomDataError, of_no_other, optional, required, text, text_or_number, whole,
};
use super::strict_json::{Value, parse_object};
use super::{Claim, Claims, SignedMethod};
use keymoot_model::{AccountId, ContentId, PolicyName};

/// What a request about policies says about itself.
#[derive(Clone, Debug)]
pub struct PolicyData {
    /// The account that must have signed it.
    pub account: AccountId,
    /// The entitlement back end the client belongs to.
    pub ca_system: CaSystem,
    /// The content it is about, if it is about one.
    pub content: Option<ContentId>,
    pub policy: Option<GivenPolicy>,
    /// The HTTP method that it is signed for.
    pub method: Option<SignedMethod>,
    /// The version of the policy that is replaced or deleted.
    pub replaces: Option<u64>,
}

/// A policy in custom data.
#[derive(Clone, Debug, PartialEq)]
pub enum GivenPolicy {
    Name(PolicyName),
    /// The policy itself, not looked at yet.
    Document(Json),
}

impl PolicyData {
    /// Reads custom data.
    ///
    /// # Errors
    /// [`CustomDataError`] names the member at fault.
    pub fn parse(bytes: &[u8]) -> Result<Self, CustomDataError> {
        if bytes.len() > CustomData::BYTES_MAX {
            return Err(CustomDataError::TooLong { bytes_max: CustomData::BYTES_MAX });
        }
        let not_json = |error: serde_json::Error| CustomDataError::NotJson { reason: error.to_string() };
        let members = parse_object(bytes).map_err(not_json)?;
        of_no_other(&members)?;
        let policy = match members.get("policy") {
            None | Some(Value::Null) => None,
            Some(Value::Text(name)) => {
                Some(GivenPolicy::Name(PolicyName::new(name.as_str()).map_err(CustomDataError::Id)?))
            }
            // What was read strictly reads the same again, and one meaning is all it has.
            Some(Value::Object(_)) => {
                let mut document: Json = serde_json::from_slice(bytes).map_err(not_json)?;
                document.get_mut("policy").map(|policy| GivenPolicy::Document(policy.take()))
            }
            Some(_) => {
                let expected = "a policy's name, or a policy as an object";
                return Err(CustomDataError::Form { member: "policy", expected });
            }
        };
        let content = optional(&members, "content_id", text)?.filter(|id| !id.is_empty());
        Ok(Self {
            ca_system: CaSystem::new(required(&members, "ca_system", text)?)?,
            account: AccountId::new(required(&members, "account_id", text_or_number)?)
                .map_err(CustomDataError::Id)?,
            content: content.map(ContentId::new).transpose().map_err(CustomDataError::Id)?,
            policy,
            method: SignedMethod::read(&members)?,
            replaces: whole(&members, "replaces")?,
        })
    }
}

impl Claims for PolicyData {
    type Error = CustomDataError;

    const NAMES_METHOD: bool = true;

    fn read(bytes: &Bytes) -> Result<Self, Self::Error> {
        Self::parse(bytes)
    }

    fn claim(&self) -> Claim {
        Claim {
            account: self.account.clone(),
            ca_system: self.ca_system.clone(),
            content: self.content.clone(),
            method: self.method,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(members: &str) -> Result<PolicyData, CustomDataError> {
        PolicyData::parse(format!(r#"{{"ca_system":"OVP","account_id":167{members}}}"#).as_bytes())
    }

    #[test]
    fn a_policy_is_named_or_given() {
        assert_eq!(parse("").unwrap().policy, None);
        let named = parse(r#","policy":"hd","content_id":"film""#).unwrap();
        assert_eq!(named.policy, Some(GivenPolicy::Name(PolicyName::new("hd").unwrap())));
        assert_eq!(named.content.unwrap().as_str(), "film");
        let given = parse(r#","policy":{"name":"hd","lease":{"slots":1}}"#).unwrap();
        let document = serde_json::json!({"name": "hd", "lease": {"slots": 1}});
        assert_eq!(given.policy, Some(GivenPolicy::Document(document)));
        assert_eq!(given.account.as_str(), "167");
        assert_eq!((given.method, given.replaces), (None, None));
        let put = parse(r#","method":"PUT","replaces":3,"policy":{"name":"hd"}"#).unwrap();
        assert_eq!((put.method, put.replaces), (Some(SignedMethod::Put), Some(3)));
        assert_eq!(parse(r#","replaces":"7""#).unwrap().replaces, Some(7));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (members, word) in [
            (r#","policy":7"#, "custom data policy must be a policy's name"),
            (r#","policy":"a b""#, "policy name holds a character"),
            (r#","policy":{"name":"a","name":"b"}"#, "given twice"),
            (r#","content_id":7"#, "content_id"),
            (r#","method":"PATCH""#, "method must be GET, POST, PUT or DELETE"),
            (r#","replaces":-1"#, "replaces must be a whole number"),
            (r#","replaces":"x""#, "replaces must be a whole number"),
            (r#","export":1"#, "for /export only"),
            (r#","bulk":null"#, "for /bulk only"),
        ] {
            let refusal = parse(members).unwrap_err().to_string();
            assert!(refusal.contains(word), "{members}: {refusal}");
        }
        let nobody = PolicyData::parse(br#"{"ca_system":"OVP"}"#).unwrap_err().to_string();
        assert_eq!(nobody, "Missing custom data account_id");
    }
}
