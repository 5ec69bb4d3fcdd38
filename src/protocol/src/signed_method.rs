//! The member `method` of custom data: for which HTTP method it is signed.
//!
//! A signature of uDRM covers the data alone. Data that name a method open no other, whoever shows them.

use super::CustomDataError;
use super::custom_data::{optional, text};
use super::strict_json::{Members, Value};

/// The HTTP method that signed data are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedMethod {
    Get,
    Post,
    Put,
    Delete,
}

/// The name of the member.
pub const METHOD_MEMBER: &str = "method";

impl SignedMethod {
    const ALL: [Self; 4] = [Self::Get, Self::Post, Self::Put, Self::Delete];

    /// Its name in a request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    fn named(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str().eq_ignore_ascii_case(text))
    }

    /// Reads the member, which must be a method where it is there.
    pub(super) fn read(members: &Members) -> Result<Option<Self>, CustomDataError> {
        let expected = "GET, POST, PUT or DELETE";
        let wrong = || CustomDataError::Form { member: METHOD_MEMBER, expected };
        let named = optional(members, METHOD_MEMBER, text)?;
        named.map(|text| Self::named(text).ok_or_else(wrong)).transpose()
    }

    /// The same for requests whose unknown members pass: what is no method is one of those.
    pub(super) fn read_leniently(members: &Members) -> Option<Self> {
        match members.get(METHOD_MEMBER) {
            Some(Value::Text(text)) => Self::named(text),
            _ => None,
        }
    }
}
