//! Which version a change is meant for: `If-Match` and `If-None-Match` (RFC 9110, 13.1).
//!
//! The tag of a policy is its version as text. Conditions only ever hold a change back, so it does
//! no harm that the weakest scheme does not sign them.

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH};

use crate::answer::error::{ApiError, ErrorKind};
use keymoot_service::PolicyCondition;

/// The tag of a version.
pub fn tag(version: u64) -> String {
    format!("\"{version}\"")
}

/// The condition that a request puts.
pub fn of(request: &HttpRequest) -> Result<PolicyCondition, ApiError> {
    read(request.headers())
}

fn read(headers: &HeaderMap) -> Result<PolicyCondition, ApiError> {
    match (single(headers, &IF_MATCH)?, single(headers, &IF_NONE_MATCH)?) {
        (None, None) => Ok(PolicyCondition::Always),
        (Some("*"), None) => Ok(PolicyCondition::IfPresent),
        (Some(tag), None) => version(tag).map(PolicyCondition::IfVersion).ok_or_else(|| {
            let message = "header If-Match must be the ETag of a policy, such as \"3\", or *";
            ApiError::new(ErrorKind::Invalid, message)
        }),
        (None, Some("*")) => Ok(PolicyCondition::IfAbsent),
        (None, Some(_)) => Err(ApiError::new(ErrorKind::Invalid, "header If-None-Match must be *")),
        (Some(_), Some(_)) => {
            Err(ApiError::new(ErrorKind::Invalid, "give If-Match or If-None-Match, not both"))
        }
    }
}

/// The value of a header that may be given once.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ApiError> {
    let mut values = headers.get_all(name);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => Ok(Some(value.to_str().unwrap_or_default().trim())),
        _ => Err(ApiError::new(ErrorKind::Invalid, format!("header {name} is given more than once"))),
    }
}

fn version(tag: &str) -> Option<u64> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    digits.parse().ok().filter(|_| is_plain)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn condition(pairs: &[(HeaderName, &str)]) -> Result<PolicyCondition, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
        }
        read(&headers).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_tag_reads_back_as_its_version() {
        assert_eq!(condition(&[]), Ok(PolicyCondition::Always));
        for number in [1, 42, u64::MAX] {
            assert_eq!(condition(&[(IF_MATCH, &tag(number))]), Ok(PolicyCondition::IfVersion(number)));
        }
        assert_eq!(condition(&[(IF_MATCH, "*")]), Ok(PolicyCondition::IfPresent));
        assert_eq!(condition(&[(IF_NONE_MATCH, "*")]), Ok(PolicyCondition::IfAbsent));
    }

    #[test]
    fn a_condition_that_is_not_understood_is_no_condition_met() {
        for value in ["3", "\"x\"", "W/\"3\"", "\"3\", \"4\"", "\"03\"", "\"\"", "\"+3\""] {
            assert!(condition(&[(IF_MATCH, value)]).unwrap_err().contains("If-Match"), "{value}");
        }
        assert!(condition(&[(IF_NONE_MATCH, "\"3\"")]).is_err());
        assert!(condition(&[(IF_MATCH, "\"3\""), (IF_MATCH, "\"4\"")]).is_err());
        assert!(condition(&[(IF_MATCH, "*"), (IF_NONE_MATCH, "*")]).is_err());
    }
}
