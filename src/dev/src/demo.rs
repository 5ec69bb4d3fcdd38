//! The demo account's signed request, as a packager sends it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::{Digest as _, Sha1};

use super::{DEMO_ACCOUNT, DEMO_CA_SYSTEM};
use keymoot_crypto::SecretBytes;

/// A signed request for the key of a content.
pub(super) struct SignedRequest {
    /// The path with its query.
    pub(super) target: String,
    /// The exact body that is signed.
    pub(super) body: String,
}

impl SignedRequest {
    /// Requests the key of `content`, which is created if there is none.
    pub(super) fn for_content(content: &str, key: &SecretBytes) -> Self {
        Self::signed(custom_data(content, ""), key)
    }

    /// Requests the key of one track of `content`.
    pub(super) fn for_track(content: &str, track: &str, key: &SecretBytes) -> Self {
        Self::signed(custom_data(content, &format!(r#","track":"{track}""#)), key)
    }

    fn signed(body: String, key: &SecretBytes) -> Self {
        let signature = signature(key, body.as_bytes());
        let signature = utf8_percent_encode(&signature, NON_ALPHANUMERIC);
        Self { target: format!("/cenc/widevine/encryption?signature={signature}"), body }
    }

    /// The request as a shell command.
    pub(super) fn curl_line(&self, api: &str, ca_file: Option<&Path>) -> String {
        let trust =
            ca_file.map(|ca| format!(" --cacert {}", quoted(&ca.to_string_lossy()))).unwrap_or_default();
        let url = quoted(&format!("{api}{}", self.target));
        format!(
            "curl -sS{trust} -H 'content-type: application/json' --data-binary {} {url}",
            quoted(&self.body)
        )
    }
}

/// Path and query of a license request for `content`, as a site puts them into its page.
pub(super) fn license_target(content: &str, key: &SecretBytes) -> String {
    let data = custom_data(content, "");
    let (text, signature) = (STANDARD.encode(&data), signature(key, data.as_bytes()));
    let [text, signature] = [&text, &signature].map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC));
    format!("/cenc/clearkey/license?custom_data={text}&signature={signature}")
}

/// The demo account's custom data about `content`, with `more` members.
fn custom_data(content: &str, more: &str) -> String {
    format!(
        r#"{{"ca_system":"{DEMO_CA_SYSTEM}","account_id":"{DEMO_ACCOUNT}","content_id":"{content}","files":""{more}}}"#
    )
}

/// The uDRM signature: base64 of the SHA-1 of key and data.
fn signature(key: &SecretBytes, data: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key.expose()).chain_update(data).finalize())
}

/// The text, quoted as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_protocol() {
        let key = SecretBytes::new(b"test-signing-key".to_vec());
        let data = br#"{"ca_system":"OVP","account_id":"167","content_id":"a.mp4","files":""}"#;
        assert_eq!(signature(&key, data), "h405UlVg8QQxG/HGOJlJs4EY3T0=");
    }

    #[test]
    fn the_curl_line_sends_exactly_the_signed_bytes() {
        let request = SignedRequest::for_content("film", &SecretBytes::new(b"k3y".to_vec()));
        let line = request.curl_line("https://127.0.0.1:8081", Some(Path::new("/it's/ca.pem")));
        assert!(line.contains(r"--cacert '/it'\''s/ca.pem'"), "{line}");
        assert!(line.contains(&format!("--data-binary '{}'", request.body)), "{line}");
        assert!(serde_json::from_str::<serde_json::Value>(&request.body).is_ok());
        let query = request.target.split_once("signature=").unwrap().1;
        assert!(query.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'%'), "{query}");
        assert!(
            request
                .curl_line("http://a", None)
                .starts_with("curl -sS -H 'content-type: application/json' --data-binary '{")
        );
    }
}
