//! A FairPlay key security module (KSM), and the playback contexts that devices send it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Protocol, Received, playready};

/// The path of the players' requests.
pub const PATH: &str = "/fps/license";
/// The key that signs the requests to the KSM.
pub const SIGNING_KEY: &str = "a key that the KSM knows";
/// The CKC in every answer.
pub const CKC: &[u8] = b"a content key context";

/// The protocol of the KSM.
pub const PROTOCOL: Protocol = Protocol {
    check,
    refusal: (200, r#"{"fairplay-streaming-response":{"create-ckc":[{"id":1,"status":-42605}]}}"#),
    lie: r#"{"fairplay-streaming-response":{"create-ckc":[{"id":2,"status":0,"ckc":"AAAA"}]}}"#,
};

fn check(received: &Received) -> Result<(Value, Vec<u8>), String> {
    if received.header("content-type")? != "application/json" {
        return Err("the content type is not JSON".to_owned());
    }
    playready::verify(b"", received, SIGNING_KEY)?;
    let request: Value = serde_json::from_slice(&received.body).map_err(|e| format!("request: {e}"))?;
    let operations = request
        .pointer("/fairplay-streaming-request/create-ckc")
        .and_then(Value::as_array)
        .ok_or("there is no create-ckc")?;
    let answers: Vec<Value> = operations
        .iter()
        .map(|operation| {
            let id = operation.get("id").cloned().unwrap_or_default();
            json!({"id": id, "status": 0, "hu": "00", "ckc": STANDARD.encode(CKC)})
        })
        .collect();
    let answer = json!({"fairplay-streaming-response": {"create-ckc": answers}});
    Ok((request, answer.to_string().into_bytes()))
}

/// A device's playback context, of which only the KSM can read more than the outer layout.
pub fn spc() -> Vec<u8> {
    let payload = [0xa5; 600];
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [&[0, 0, 0, 1, 0, 0, 0, 0][..], &[7; 16], &[8; 128], &[9; 20], &length, &payload].concat()
}
