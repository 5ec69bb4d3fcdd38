//! What the server proves itself with: a key pair that signs answers (requirement 5.6.1), and the
//! keys behind Digest challenges and key tokens. All are derived from one secret that all nodes of a cluster share,
//! so a client that knows the public key knows every node.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sfv::{BareItem, Dictionary, InnerList, Item, Key, ListEntry, Parser};

use super::signature_base::{Components, Cover, base, parameters_text};
use super::{DigestNonces, Envelope, KeyTokens, SignatureWindow, ViewerDigests, content_digest};

/// The longest nonce that a client may ask to see again.
const NONCE_BYTES_MAX: usize = 128;
/// The label of a signature when the client names none that can be used.
const LABEL: &str = "keymoot";
/// Of the answer: its status and its body. Of the request: what was asked, so that no answer can
/// stand in for another's.
pub(super) const COVERED: [(&str, bool); 5] =
    [("@status", false), ("content-digest", false), ("@method", true), ("@path", true), ("@query", true)];

/// The keys of a cluster's servers.
pub struct ServerKeys {
    pair: Ed25519KeyPair,
    key_id: String,
    digest_nonces: DigestNonces,
    key_tokens: KeyTokens,
    viewer_digests: ViewerDigests,
}

/// The headers that sign an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHeaders {
    /// `Content-Digest`.
    pub content_digest: String,
    /// `Signature-Input`.
    pub signature_input: String,
    /// `Signature`.
    pub signature: String,
}

impl ServerKeys {
    /// Derives the keys from the cluster's secret; `None` if the library refuses them, which it
    /// does for no 32 bytes.
    pub fn derive(secret: &[u8; 32]) -> Option<Self> {
        let derived =
            |purpose: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), purpose.as_bytes());
        let pair = Ed25519KeyPair::from_seed_unchecked(derived("keymoot/answers-ed25519/1").as_ref()).ok()?;
        let fingerprint = digest(&SHA256, pair.public_key().as_ref());
        let key_id = URL_SAFE_NO_PAD.encode(fingerprint.as_ref().get(..12)?);
        let nonces = derived("keymoot/digest-nonces/1");
        let digest_nonces = DigestNonces::new(nonces.as_ref(), SignatureWindow::LIFETIME_S_MAX);
        let key_tokens = KeyTokens::new(derived("keymoot/key-tokens/1").as_ref());
        let viewer_digests = ViewerDigests::new(derived("keymoot/audit-viewers/1").as_ref());
        Some(Self { pair, key_id, digest_nonces, key_tokens, viewer_digests })
    }

    /// The public key, 32 bytes in base64.
    pub fn public_key(&self) -> String {
        STANDARD.encode(self.pair.public_key())
    }

    /// The name of the key in signatures.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Makes and checks nonces of Digest challenges.
    pub fn digest_nonces(&self) -> &DigestNonces {
        &self.digest_nonces
    }

    /// Makes and reads tokens for single keys.
    pub fn key_tokens(&self) -> &KeyTokens {
        &self.key_tokens
    }

    /// How the audit names viewers and devices.
    pub fn viewer_digests(&self) -> &ViewerDigests {
        &self.viewer_digests
    }

    /// Signs the answer to a request that asks for it with `Accept-Signature`; `None` when it does
    /// not. The label and the nonce are the client's, so that it knows the answer for a fresh one.
    pub fn sign_answer(&self, request: &Envelope, status: u16, body: &[u8]) -> Option<SignedHeaders> {
        let (label, nonce) = wanted(&request.header("accept-signature")?);
        let content_digest = content_digest::of(body);
        let answer = Answer { request, status, content_digest: &content_digest };
        let covered = self.covered(request.received_at_s, nonce)?;
        let signature = self.pair.sign(base(&covered, &answer).ok()?.as_bytes());
        let parameters = parameters_text(&covered)?;
        Some(SignedHeaders {
            signature_input: format!("{label}={parameters}"),
            signature: format!("{label}=:{}:", STANDARD.encode(signature)),
            content_digest,
        })
    }

    fn covered(&self, now_s: u64, nonce: Option<String>) -> Option<InnerList> {
        let covered = Cover::of(COVERED)?.seconds("created", now_s)?;
        let covered = covered.text("keyid", &self.key_id)?.text("alg", "ed25519")?;
        let covered = match nonce {
            Some(nonce) => covered.text("nonce", &nonce)?,
            None => covered,
        };
        Some(covered.into_list())
    }
}

/// The label and the nonce of the first signature that is asked for.
fn wanted(header: &str) -> (String, Option<String>) {
    let asked: Option<Dictionary> = Parser::new(header).parse().ok();
    let first: Option<(Key, ListEntry)> = asked.and_then(|asked| asked.into_iter().next());
    match first {
        Some((label, ListEntry::InnerList(list))) => {
            let nonce = match list.params.get("nonce") {
                Some(BareItem::String(nonce)) if nonce.as_str().len() <= NONCE_BYTES_MAX => {
                    Some(nonce.as_str().to_owned())
                }
                _ => None,
            };
            (label.as_str().to_owned(), nonce)
        }
        Some((label, ListEntry::Item(_))) => (label.as_str().to_owned(), None),
        None => (LABEL.to_owned(), None),
    }
}

/// An answer and the request it answers.
pub(super) struct Answer<'a> {
    pub(super) request: &'a Envelope,
    pub(super) status: u16,
    pub(super) content_digest: &'a str,
}

impl Components for Answer<'_> {
    fn component(&self, item: &Item, name: &str) -> Option<String> {
        if item.params.contains_key("req") {
            return self.request.component(&Item::new(item.bare_item.clone()), name);
        }
        match name {
            "@status" => Some(self.status.to_string()),
            "content-digest" => Some(self.content_digest.to_owned()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::super::signature_base::tests::rfc_request;
    use super::*;

    fn asking(accept: &str) -> Envelope {
        let mut request = rfc_request();
        request.headers.push(("accept-signature".to_owned(), accept.to_owned()));
        request
    }

    #[test]
    fn an_answer_is_signed_for_those_who_ask_and_verifies_with_the_public_key() {
        let keys = ServerKeys::derive(&[7; 32]).unwrap();
        assert!(keys.sign_answer(&rfc_request(), 200, b"{}").is_none());
        let request = asking("mine=(\"@status\");created;nonce=\"fresh\"");
        let signed = keys.sign_answer(&request, 200, b"{}").unwrap();
        let expected = [
            "\"@status\": 200",
            &format!("\"content-digest\": {}", content_digest::of(b"{}")),
            "\"@method\";req: POST",
            "\"@path\";req: /foo",
            "\"@query\";req: ?param=Value&Pet=dog",
            &format!("\"@signature-params\": {}", signed.signature_input.strip_prefix("mine=").unwrap()),
        ]
        .join("\n");
        assert!(signed.signature_input.ends_with(";nonce=\"fresh\""), "{}", signed.signature_input);
        let signature = signed.signature.strip_prefix("mine=:").unwrap().strip_suffix(':').unwrap();
        let public_key = STANDARD.decode(keys.public_key()).unwrap();
        let verify = |text: &str| {
            UnparsedPublicKey::new(&ED25519, &public_key)
                .verify(text.as_bytes(), &STANDARD.decode(signature).unwrap())
        };
        assert!(verify(&expected).is_ok());
        assert!(verify(&expected.replace("200", "401")).is_err());
    }

    #[test]
    fn whatever_the_client_asks_the_answer_is_signed_the_same_way() {
        let keys = ServerKeys::derive(&[7; 32]).unwrap();
        for accept in ["", "x", "(((", "a=1;nonce=\"n\"", "keymoot=();nonce=5"] {
            let signed = keys.sign_answer(&asking(accept), 404, b"").unwrap();
            assert!(signed.signature_input.contains("\"@status\" \"content-digest\""), "{accept}");
            assert!(!signed.signature_input.contains("nonce"), "{accept}");
        }
    }

    #[test]
    fn keys_of_one_secret_are_the_same_on_every_node() {
        let public = |byte| ServerKeys::derive(&[byte; 32]).unwrap().public_key();
        assert_eq!(public(1), public(1));
        assert_ne!(public(1), public(2));
    }
}
