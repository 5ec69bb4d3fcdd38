//! A uDRM encryption request before it is signed: the requested operation, and the content it is
//! about.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use zeroize::Zeroizing;

use super::own_key::OwnKey;
use super::service_point::ServicePoint;
use keymoot_drm::{EncryptionProvider, ProtectionScheme};
use keymoot_model::{AccountId, ContentId};
use keymoot_protocol::Envelope;

/// All characters but RFC 3986's unreserved ones are escaped.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The HTTP methods of the encryption endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads the key.
    Get,
    /// Creates the key if there is none.
    Post,
    /// Makes a new key, whether there is one or not.
    Put,
    /// Deletes the key.
    Delete,
}

impl Method {
    /// The method's name in a request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }

    /// Whether the custom data travels as the body. GET has no body, and proxies drop that of
    /// DELETE.
    const fn has_body(self) -> bool {
        matches!(self, Self::Post | Self::Put)
    }
}

/// A request to one service point. A signer adds its proof to it.
pub struct Request {
    /// The HTTP method.
    pub method: Method,
    /// The path, with a leading slash.
    pub path: String,
    /// Parameters of the query, not percent-encoded yet.
    pub query: Vec<(&'static str, String)>,
    /// Headers beyond those that every request has.
    pub headers: Vec<(&'static str, String)>,
    custom_data: Zeroizing<Vec<u8>>,
}

/// The custom data of a scrambler (uDRM 2.3.2).
#[derive(Serialize)]
struct CustomData<'a> {
    ca_system: &'a str,
    account_id: &'a str,
    content_id: &'a str,
    files: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheme: Option<&'static str>,
    #[serde(flatten)]
    periods: PeriodMembers,
}

/// The further members of requests about tracks and crypto periods. Numbers are written as text.
#[derive(Debug, Default, Serialize)]
pub(super) struct PeriodMembers {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) track: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) crypto_period_seconds: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_crypto_period_index: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) crypto_period_count: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) epoch: Option<String>,
}

/// The object of a request: which endpoint of a provider is used.
pub(super) enum Wanted {
    /// The one key of the track of this name, or of the one that all share who name none.
    Key(Option<String>),
    /// Keys of crypto periods, or the list of those that exist.
    Periods(PeriodMembers),
}

impl Request {
    /// The request for `content` of `account`. Only a request with a body can supply a key: without
    /// one, the key would be in the query, and so in logs.
    pub(super) fn new(
        method: Method,
        (provider, scheme): (EncryptionProvider, Option<ProtectionScheme>),
        (ca_system, account): (&str, &AccountId),
        content: &ContentId,
        wanted: Wanted,
        supplied: Option<&OwnKey>,
    ) -> Result<Self, serde_json::Error> {
        let (endpoint, periods) = match wanted {
            Wanted::Key(track) => ("encryption", PeriodMembers { track, ..PeriodMembers::default() }),
            Wanted::Periods(members) => ("schedule", members),
        };
        let supplied = supplied.filter(|_| method.has_body());
        let texts = supplied.map(|own| (own.key.to_base64(), own.kid.to_base64()));
        let data = CustomData {
            ca_system,
            account_id: account.as_str(),
            content_id: content.as_str(),
            files: "",
            key: texts.as_ref().map(|(key, _)| key.as_str()),
            key_id: texts.as_ref().map(|(_, kid)| kid.as_str()),
            scheme: scheme.map(ProtectionScheme::name),
            periods,
        };
        // The buffer holds everything from the start: growing would leave copies of the key behind.
        let mut custom_data = Zeroizing::new(Vec::with_capacity(4096));
        serde_json::to_writer(&mut *custom_data, &data)?;
        let in_query = (!method.has_body()).then(|| ("custom_data", STANDARD.encode(&*custom_data)));
        let path = format!("/{provider}/{endpoint}");
        Ok(Self { method, path, query: in_query.into_iter().collect(), headers: Vec::new(), custom_data })
    }

    /// A request that is signed over its whole body.
    pub(super) fn posting(path: &str, body: Zeroizing<Vec<u8>>) -> Self {
        let path = path.to_owned();
        Self { method: Method::Post, path, query: Vec::new(), headers: Vec::new(), custom_data: body }
    }

    /// A request for something that needs no account.
    pub(super) fn bare(path: &str) -> Self {
        let (query, headers, custom_data) = Default::default();
        Self { method: Method::Get, path: path.to_owned(), query, headers, custom_data }
    }

    /// The custom data's JSON, in the body or the query: the uDRM signature covers it.
    pub fn custom_data(&self) -> &[u8] {
        &self.custom_data
    }

    /// The body; empty when there is none.
    pub fn body(&self) -> &[u8] {
        if self.method.has_body() { &self.custom_data } else { &[] }
    }

    /// Path and query in the form of a request line.
    pub fn target(&self) -> String {
        match self.query_text() {
            Some(query) => format!("{}?{query}", self.path),
            None => self.path.clone(),
        }
    }

    fn query_text(&self) -> Option<String> {
        let encoded =
            |(name, value): &(&str, String)| format!("{name}={}", utf8_percent_encode(value, QUERY));
        let parameters: Vec<String> = self.query.iter().map(encoded).collect();
        (!parameters.is_empty()).then(|| parameters.join("&"))
    }

    /// The request in the form that a signature for this service point covers. The body, which may
    /// hold a key, is left out: its digest stands for it.
    pub(super) fn envelope(&self, point: &ServicePoint) -> Envelope {
        let (scheme, own_port) = if point.is_secure() { ("https", ":443") } else { ("http", ":80") };
        let authority = point.authority();
        Envelope {
            method: self.method.as_str().to_owned(),
            scheme,
            authority: authority.strip_suffix(own_port).unwrap_or(authority).to_owned(),
            path: format!("{}{}", point.path(), self.path),
            query: self.query_text(),
            headers: self.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
            ..Envelope::default()
        }
    }

    /// The same request without a signer's additions: each attempt is signed anew.
    pub(super) fn unsigned(&self) -> Self {
        Self {
            method: self.method,
            path: self.path.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
            custom_data: Zeroizing::new(self.custom_data.to_vec()),
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", self.method.as_str(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_protocol::CustomData as Parsed;

    fn request(method: Method, content: &str, supplied: Option<&OwnKey>) -> Request {
        let account = AccountId::new("167").unwrap();
        let content = ContentId::new(content).unwrap();
        let media = (EncryptionProvider::Cenc, Some(ProtectionScheme::Cbcs));
        let wanted = Wanted::Key(Some("HD".to_owned()));
        Request::new(method, media, ("OVP", &account), &content, wanted, supplied).unwrap()
    }

    #[test]
    fn the_server_reads_what_the_client_meant() {
        let own = OwnKey::generate().unwrap();
        let request = request(Method::Put, r#"caf\u00e9 "film", 7.ism"#, Some(&own));
        let parsed = Parsed::parse(request.body()).unwrap();
        assert_eq!(parsed.content_id().as_str(), r#"caf\u00e9 "film", 7.ism"#);
        assert_eq!(parsed.supplied(), Ok(Some((own.kid, own.key.expose()))));
        assert_eq!(parsed.track().as_str(), "HD");
        assert_eq!(parsed.scheme(), Ok(Some(ProtectionScheme::Cbcs)));
        assert_eq!(request.target(), "/cenc/encryption");
    }

    #[test]
    fn a_get_carries_its_custom_data_in_the_query_and_never_a_key() {
        let own = OwnKey::generate().unwrap();
        for method in [Method::Get, Method::Delete] {
            let request = request(method, "é?>", Some(&own));
            assert!(request.body().is_empty());
            let target = request.target();
            let data = target.strip_prefix("/cenc/encryption?custom_data=").unwrap();
            let data = percent_encoding::percent_decode_str(data).decode_utf8().unwrap();
            let parsed = Parsed::parse(&STANDARD.decode(&*data).unwrap()).unwrap();
            assert_eq!(parsed.content_id().as_str(), "é?>");
            assert!(parsed.kid().is_none());
        }
    }

    #[test]
    fn debug_shows_neither_custom_data_nor_signature() {
        let mut request = request(Method::Get, "secret-film", None);
        request.query.push(("signature", "sig".into()));
        assert_eq!(format!("{request:?}"), "Request(GET /cenc/encryption)");
    }
}
