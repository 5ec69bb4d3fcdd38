//! A PlayReady license server, and the challenges that clients send it.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{Protocol, Received};

/// The path of the players' requests.
pub const PATH: &str = "/cenc/playready/license";
/// The key that signs the requests to the server.
pub const SIGNING_KEY: &str = "a key that the license server knows";
/// The license in every answer.
pub const LICENSE: &str = r#"<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><AcquireLicenseResponse xmlns="http://schemas.microsoft.com/DRM/2007/03/protocols"><AcquireLicenseResult><Response>…</Response></AcquireLicenseResult></AcquireLicenseResponse></soap:Body></soap:Envelope>"#;

/// The protocol of the server.
pub const PROTOCOL: Protocol = Protocol {
    check,
    refusal: (
        500,
        r#"<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><soap:Fault><faultcode>soap:Server</faultcode><detail><Exception><StatusCode>0x8004c600</StatusCode></Exception></detail></soap:Fault></soap:Body></soap:Envelope>"#,
    ),
    lie: "<html>welcome</html>",
};

fn check(received: &Received) -> Result<(Value, Vec<u8>), String> {
    let action = "\"http://schemas.microsoft.com/DRM/2007/03/protocols/AcquireLicense\"";
    if received.header("soapaction")? != action {
        return Err("the SOAP action is another".to_owned());
    }
    if received.header("content-type")? != "text/xml; charset=utf-8" {
        return Err("the content type is not XML".to_owned());
    }
    let data = received.header("keymoot-license-data")?;
    verify(data.as_bytes(), received, SIGNING_KEY)?;
    let json = STANDARD.decode(data).map_err(|_| "the license data is not base64".to_owned())?;
    let mut data: Value = serde_json::from_slice(&json).map_err(|e| format!("license data: {e}"))?;
    let body = String::from_utf8(received.body.clone()).map_err(|_| "the body is no text".to_owned())?;
    if let Some(members) = data.as_object_mut() {
        members.insert("challenge".to_owned(), body.into());
    }
    Ok((data, LICENSE.as_bytes().to_vec()))
}

/// Checks the signature over a header's text and the body.
pub(super) fn verify(data: &[u8], received: &Received, key: &str) -> Result<(), String> {
    let signature = STANDARD.decode(received.header("keymoot-signature")?).unwrap_or_default();
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let signed = [data, b"\n", &received.body].concat();
    hmac::verify(&key, &signed, &signature).map_err(|_| "the signature is wrong".to_owned())
}

/// A client's challenge for a key id.
pub fn challenge(kid: &[u8; 16]) -> String {
    let [a, b, c, d, e, f, g, h, rest @ ..] = *kid;
    let guid = [&[d, c, b, a, f, e, h, g][..], &rest].concat();
    let kid = STANDARD.encode(guid);
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><AcquireLicense xmlns="http://schemas.microsoft.com/DRM/2007/03/protocols"><challenge><Challenge xmlns="http://schemas.microsoft.com/DRM/2007/03/protocols/messages"><LA xmlns="http://schemas.microsoft.com/DRM/2007/03/protocols" Id="SignedData" xml:space="preserve"><Version>1</Version><ContentHeader><WRMHEADER xmlns="http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader" version="4.0.0.0"><DATA><PROTECTINFO><KEYLEN>16</KEYLEN><ALGID>AESCTR</ALGID></PROTECTINFO><KID>{kid}</KID></DATA></WRMHEADER></ContentHeader></LA></Challenge></challenge></AcquireLicense></soap:Body></soap:Envelope>"#
    )
}
