//! A Widevine license service, and the challenges that clients send it.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherDecrypt as _, KeyInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

use super::{Protocol, Received};

/// The path of the players' requests.
pub const PATH: &str = "/cenc/widevine/license";
/// The name under which the service knows Keymoot.
pub const PROVIDER: &str = "studio";
/// The signer's name.
pub const SIGNER: &str = "studio-signer";
/// The signer's AES key, byte for byte the same.
pub const KEY: [u8; 32] = [0x4b; 32];
/// The signer's IV.
pub const IV: [u8; 16] = [0x1d; 16];
/// The challenge that asks for the service certificate.
pub const CERTIFICATE_CHALLENGE: [u8; 2] = [0x08, 0x04];

/// The protocol of the service.
pub const PROTOCOL: Protocol = Protocol {
    check,
    refusal: (200, r#"{"status":"DRM_DEVICE_CERTIFICATE_REVOKED"}"#),
    lie: r#"{"status":"OK","license":"not base64"}"#,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    request: String,
    signature: String,
    signer: String,
}

/// The license that the stand-in makes for a challenge.
pub fn license_of(challenge: &[u8]) -> Vec<u8> {
    [b"license for ".as_slice(), &Sha1::digest(challenge)].concat()
}

fn check(received: &Received) -> Result<(Value, Vec<u8>), String> {
    if received.header("content-type")? != "application/json" {
        return Err("the content type is not JSON".to_owned());
    }
    let envelope: Envelope = serde_json::from_slice(&received.body).map_err(|e| format!("envelope: {e}"))?;
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| "a member is not base64".to_owned());
    let (inner, signature) = (decode(&envelope.request)?, decode(&envelope.signature)?);
    if envelope.signer != SIGNER || decrypt(&signature)? != expected(&inner) {
        return Err("the signer or its signature is wrong".to_owned());
    }
    let inner: Value = serde_json::from_slice(&inner).map_err(|e| format!("inner request: {e}"))?;
    let challenge = decode(inner.get("payload").and_then(Value::as_str).unwrap_or("?"))?;
    let license = STANDARD.encode(license_of(&challenge));
    Ok((inner, json!({"status": "OK", "license": license, "license_metadata": {}}).to_string().into_bytes()))
}

/// The SHA-1 of the signed bytes, padded to two blocks by PKCS #7.
fn expected(inner: &[u8]) -> Vec<u8> {
    [Sha1::digest(inner).as_slice(), &[12; 12]].concat()
}

fn decrypt(signature: &[u8]) -> Result<Vec<u8>, String> {
    let blocks: Vec<[u8; 16]> = signature
        .chunks(16)
        .map(|block| block.try_into().map_err(|_| "odd signature"))
        .collect::<Result<_, _>>()?;
    let cipher = Aes256::new(&KEY.into());
    let mut before = IV;
    let mut plain = Vec::new();
    for block in blocks {
        let mut decrypted = Array::from(block);
        cipher.decrypt_block(&mut decrypted);
        plain.extend(decrypted.iter().zip(before).map(|(byte, before)| byte ^ before));
        before = block;
    }
    Ok(plain)
}

/// A client's challenge for these key ids, as protocol buffers.
pub fn challenge<'k>(kids: impl IntoIterator<Item = &'k [u8; 16]>) -> Vec<u8> {
    let pssh: Vec<u8> = kids.into_iter().flat_map(|kid| field(2, kid)).collect();
    let content = field(1, &[field(1, &pssh), vec![0x10, 0x01]].concat());
    let request = [field(1, b"a client's identity"), field(2, &content), vec![0x18, 0x01]].concat();
    [vec![0x08, 0x01], field(2, &request), field(3, &[0x55; 64])].concat()
}

/// A field of bytes with its tag and length.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut length = bytes.len();
    let mut whole = vec![number << 3 | 2];
    while length >= 0x80 {
        whole.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    whole.push(length as u8);
    [whole.as_slice(), bytes].concat()
}
