//! Requests with the right proofs of the fuzzed node's account, for whatever they ask.

use std::cell::Cell;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keymoot_crypto::{AesSigner, SecretBytes};
use keymoot_model::TimeStamp;
use keymoot_protocol::{Envelope, MessageKey, REALM, ServerKeys, Signature, content_digest};

use super::node::{
    ACCESS_KEY, ACCOUNT, AWS_SECRET, DIGEST_PASSWORD, ENCRYPTION_KEY, LICENSE_KEY, MESSAGE_SECRET, PASSWORD,
    POLICY_KEY, WIDEVINE_SIGNER,
};

type Headers = Vec<(&'static str, String)>;

/// What is to be signed.
pub(super) struct Asked {
    method: String,
    path: String,
    query: Option<String>,
    body: Vec<u8>,
}

impl Asked {
    fn key(&self) -> &'static str {
        if self.path.ends_with("/license") || self.path.starts_with("/hls/key/") {
            LICENSE_KEY
        } else if self.path.starts_with("/policy") {
            POLICY_KEY
        } else {
            ENCRYPTION_KEY
        }
    }

    /// GET has what it says in its query.
    fn say_in_query(&mut self) {
        if self.method == "GET" && !self.body.is_empty() {
            let data = escaped(&STANDARD.encode(std::mem::take(&mut self.body)));
            let query = self.query.take().map(|query| format!("{query}&")).unwrap_or_default();
            self.query = Some(format!("{query}custom_data={data}"));
        }
    }
}

/// A request of this method, target and body, with a proof; the bytes themselves when they name none.
pub(super) fn signed(bytes: &[u8], prove: impl FnOnce(&mut Asked) -> Headers) -> Vec<u8> {
    let (line, body) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[][..]),
    };
    let Some((method, target)) = std::str::from_utf8(line).ok().and_then(|line| line.split_once(' ')) else {
        return bytes.to_vec();
    };
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut asked = Asked {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.map(str::to_owned),
        body: body.to_vec(),
    };
    let headers = prove(&mut asked);
    let query = asked.query.map(|query| format!("?{query}")).unwrap_or_default();
    let mut text = format!("{} {}{query} HTTP/1.1\r\nhost: 127.0.0.1\r\n", asked.method, asked.path);
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if asked.path.starts_with("/speke/v2") {
        text.push_str("x-speke-version: 2.0\r\n");
    }
    text.push_str(&format!("content-length: {}\r\n\r\n", asked.body.len()));
    [text.as_bytes(), &asked.body].concat()
}

/// A query's value, with what base64 has besides letters and digits escaped.
fn escaped(base64: &str) -> String {
    base64.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

/// By SHA-1: GET has what is signed in its query, all others in the body.
pub(super) fn by_sha1(asked: &mut Asked) -> Headers {
    let mut query = asked.query.take().map(|query| format!("{query}&")).unwrap_or_default();
    // A license request has the player's challenge in its body, behind an empty line.
    let challenge = asked.body.windows(2).position(|pair| pair == b"\n\n").map(|at| asked.body.split_off(at));
    let signature = escaped(&Signature::sign(asked.key().as_bytes(), &asked.body).to_base64());
    if asked.method == "GET" || challenge.is_some() {
        let data = escaped(&STANDARD.encode(&asked.body));
        asked.body = challenge.map(|challenge| challenge[2..].to_vec()).unwrap_or_default();
        query.push_str(&format!("custom_data={data}&signature={signature}"));
    } else {
        query.push_str(&format!("signature={signature}"));
    }
    asked.query = Some(query);
    Vec::new()
}

/// By a message signature that was never seen before.
pub(super) fn by_message(asked: &mut Asked) -> Headers {
    let serial = serial();
    let now = now_s();
    asked.say_in_query();
    let mut headers = Vec::new();
    if !asked.body.is_empty() {
        headers.push(("content-digest", content_digest::of(&asked.body)));
    }
    let envelope = Envelope {
        method: asked.method.clone(),
        scheme: "http",
        authority: "127.0.0.1".to_owned(),
        path: asked.path.clone(),
        query: asked.query.clone(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        received_at_s: now,
        ..Envelope::default()
    };
    let key = MessageKey::read(&SecretBytes::new(MESSAGE_SECRET.into())).expect("a key");
    let signed =
        key.sign(&format!("{ACCOUNT}/message"), &envelope, &format!("a nonce of its own {serial}"), now);
    if let Some(signed) = signed {
        headers.push(("signature-input", signed.signature_input));
        headers.push(("signature", signed.signature));
    }
    headers
}

pub(super) fn by_password(asked: &mut Asked) -> Headers {
    asked.say_in_query();
    vec![("authorization", format!("Basic {}", STANDARD.encode(format!("{ACCOUNT}/password:{PASSWORD}"))))]
}

/// By an answer to a challenge that the node made with these keys (RFC 7616, 3.4.1).
pub(super) fn by_digest(asked: &mut Asked, keys: &ServerKeys) -> Headers {
    asked.say_in_query();
    let query = asked.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let uri = format!("{}{query}", asked.path);
    let (user, nonce) = (format!("{ACCOUNT}/digest"), keys.digest_nonces().issue(now_s()));
    let hex = |text: String| base16ct::lower::encode_string(digest(&SHA256, text.as_bytes()).as_ref());
    let who = hex(format!("{user}:{REALM}:{DIGEST_PASSWORD}"));
    let what = hex(format!("{}:{uri}", asked.method));
    let count = format!("{:08x}", serial());
    let response = hex(format!("{who}:{nonce}:{count}:c:auth:{what}"));
    let answer = format!(
        "Digest username=\"{user}\", realm=\"{REALM}\", uri=\"{uri}\", algorithm=SHA-256, nonce=\"{nonce}\", \
         nc={count}, cnonce=\"c\", qop=auth, response=\"{response}\""
    );
    vec![("authorization", answer)]
}

/// By AWS Signature Version 4, for paths and queries without escapes, the latter in order.
pub(super) fn by_aws(asked: &mut Asked) -> Headers {
    let now = TimeStamp::from_unix_s(i64::try_from(now_s()).unwrap_or_default()).map(|time| time.to_string());
    let date = now.unwrap_or_default().replace(['-', ':'], "");
    let day = date.get(..8).unwrap_or_default();
    let hex = |bytes: &[u8]| base16ct::lower::encode_string(digest(&SHA256, bytes).as_ref());
    let canonical = format!(
        "{}\n{}\n{}\nhost:127.0.0.1\nx-amz-date:{date}\n\nhost;x-amz-date\n{}",
        asked.method,
        asked.path,
        asked.query.as_deref().unwrap_or_default(),
        hex(&asked.body)
    );
    let scope = format!("{day}/r/s/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(canonical.as_bytes()));
    let mut key = format!("AWS4{AWS_SECRET}").into_bytes();
    for part in [day, "r", "s", "aws4_request", &text] {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes());
        key = tag.as_ref().to_vec();
    }
    let signature = base16ct::lower::encode_string(&key);
    vec![
        ("x-amz-date", date),
        (
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, SignedHeaders=host;x-amz-date, Signature={signature}"
            ),
        ),
    ]
}

/// By the signature of a packager that speaks the Widevine common encryption API: the body becomes its inner request.
pub(super) fn by_packager(asked: &mut Asked) -> Headers {
    let signer = AesSigner::parse(WIDEVINE_SIGNER.as_bytes()).expect("a signer");
    let (request, signature) = (STANDARD.encode(&asked.body), STANDARD.encode(signer.sign(&asked.body)));
    let body =
        format!("{{\"request\":\"{request}\",\"signature\":\"{signature}\",\"signer\":\"{ACCOUNT}\"}}");
    asked.body = body.into_bytes();
    Vec::new()
}

/// A number that was not given before.
fn serial() -> u32 {
    thread_local! {
        static LAST: Cell<u32> = const { Cell::new(0) };
    }
    LAST.set(LAST.get().wrapping_add(1));
    LAST.get()
}

fn now_s() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}
