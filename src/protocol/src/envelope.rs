//! A request as it was received, as far as proofs speak of it.
//!
//! Nothing here is believed: it is what a signature has to cover. Values are those that arrived,
//! never re-serialised; the one exception is the authority, which is compared in lower case and
//! without a default port (RFC 9421, 2.2.3).

use bytes::Bytes;

/// The parts of a request that a proof may cover, and when and how it came.
#[derive(Clone, Default)]
pub struct Envelope {
    /// The method, in upper case as it was sent.
    pub method: String,
    /// `https` or `http`, by the connection it came on.
    pub scheme: &'static str,
    /// The host that was asked for, with its port if that is not the scheme's own.
    pub authority: String,
    /// The path, percent escapes untouched.
    pub path: String,
    /// What stands behind the `?`, if there is one.
    pub query: Option<String>,
    /// All headers in the order they arrived, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// When it arrived: seconds since 1970 UTC.
    pub received_at_s: u64,
}

impl Envelope {
    /// The value of a header; several of one name are joined by commas, as HTTP has it.
    pub fn header(&self, name: &str) -> Option<String> {
        let mut values = self.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.trim());
        let first = values.next()?.to_owned();
        Some(values.fold(first, |all, value| all + ", " + value))
    }

    /// The whole address that was asked for.
    pub fn target_uri(&self) -> String {
        let query = self.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}://{}{}{query}", self.scheme, self.authority, self.path)
    }
}

impl std::fmt::Debug for Envelope {
    /// Leaves out headers, query and body, which hold proofs and may hold keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Envelope({} {}{})", self.method, self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_one_name_are_joined_in_their_order() {
        let headers = [("a", " 1 "), ("b", "x"), ("a", "2")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let envelope = Envelope { headers, ..Envelope::default() };
        assert_eq!(envelope.header("a").as_deref(), Some("1, 2"));
        assert_eq!(envelope.header("c"), None);
    }

    #[test]
    fn debug_hides_what_could_be_replayed() {
        let envelope = Envelope { query: Some("signature=s3cret".to_owned()), ..Envelope::default() };
        assert!(!format!("{envelope:?}").contains("s3cret"));
    }
}
