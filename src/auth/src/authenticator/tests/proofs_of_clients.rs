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

/// Headers of AWS Signature Version 4 for `GET /cenc/encryption?custom_data=e30` at 1,800,000,000.
pub(super) fn aws_headers(access_key: &str, secret: &[u8]) -> [(&'static str, String); 3] {
    let hex = |text: &[u8]| base16ct::lower::encode_string(&Sha256::digest(text));
    let (host, date) = ("keys.example.net", "20270115T080000Z");
    let canonical = format!(
        "GET\n/cenc/encryption\ncustom_data=e30\nhost:{host}\nx-amz-date:{date}\n\nhost;x-amz-date\n{}",
        hex(b"")
    );
    let scope = "20270115/r/s/aws4_request";
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(canonical.as_bytes()));
    let mut key = [b"AWS4", secret].concat();
    for part in ["20270115", "r", "s", "aws4_request", &text] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes());
        key = tag.as_ref().to_vec();
    }
    let signature = base16ct::lower::encode_string(&key);
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}"
    );
    [("host", host.to_owned()), ("x-amz-date", date.to_owned()), ("authorization", authorization)]
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
