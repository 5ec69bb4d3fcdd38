//! Proofs as clients make them, by this crate's own reading of the standards.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keymoot_protocol::signature_base::base;
use keymoot_protocol::{Envelope, REALM};
use sfv::{List, ListEntry, Parser};
use sha2::{Digest as _, Sha256};

/// Signs the request by RFC 9421 with this HMAC key; `covered` is `("@method" …);created=…`.
pub(super) fn sign(envelope: &mut Envelope, covered: &str, secret: &[u8]) {
    let list: List = Parser::new(covered).parse().unwrap();
    let Some(ListEntry::InnerList(list)) = list.into_iter().next() else {
        panic!("{covered} covers nothing")
    };
    let base = base(&list, envelope).unwrap();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), base.as_bytes());
    envelope.headers.push(("signature-input".to_owned(), format!("sig={covered}")));
    envelope.headers.push(("signature".to_owned(), format!("sig=:{}:", STANDARD.encode(tag))));
}

/// An answer to a Digest challenge (RFC 7616, 3.4.1) for `GET /cenc/encryption?custom_data=e30`.
pub(super) fn digest_answer(user: &str, password: &[u8], nonce: &str) -> String {
    let uri = "/cenc/encryption?custom_data=e30";
    let hex = |text: &[u8]| base16ct::lower::encode_string(&Sha256::digest(text));
    let a1 = hex(&[format!("{user}:{REALM}:").as_bytes(), password].concat());
    let a2 = hex(format!("GET:{uri}").as_bytes());
    let response = hex(format!("{a1}:{nonce}:00000001:c:auth:{a2}").as_bytes());
    format!(
        "Digest username=\"{user}\", realm=\"{REALM}\", uri=\"{uri}\", algorithm=SHA-256, nonce=\"{nonce}\", \
         nc=00000001, cnonce=\"c\", qop=auth, response=\"{response}\""
    )
}
