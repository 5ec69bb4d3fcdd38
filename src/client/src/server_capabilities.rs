//! What a service point announces before it is asked for keys: `GET /capabilities`, and the
//! challenges of a 401 (key exchange 5.2.5, 5.6.2).
//!
//! Unless the answer is signed by a key that the client knows, anyone on the network path may have
//! sent it. It is therefore used only to choose among schemes that the client accepts anyway.

use serde::Deserialize;

use super::credentials::Choice;
use super::server_proof::ServerKey;
use super::transport::Answer;
use keymoot_model::Scheme;

/// The path of the capabilities.
pub(super) const PATH: &str = "/capabilities";

/// The scheme of requests to a service point, and how its answers are proved.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerCapabilities {
    pub(super) choice: Choice,
    /// The key that signs its answers; `None` when the connection is sufficient proof.
    pub(super) key: Option<ServerKey>,
}

/// The announcement of a service point.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Announced {
    /// The accepted schemes that this client knows; `None` when the service point announces no
    /// schemes.
    pub(super) schemes: Option<Vec<Scheme>>,
    /// The key that signs its answers.
    pub(super) key: Option<ServerKey>,
}

#[derive(Deserialize)]
struct Capabilities {
    authentication: Option<Vec<Accepted>>,
    signed_answers: Option<SignedAnswers>,
}

#[derive(Deserialize)]
struct Accepted {
    scheme: String,
}

#[derive(Deserialize)]
struct SignedAnswers {
    algorithm: String,
    public_key: String,
}

/// Reads the answer to `GET /capabilities`. A server without capabilities (404, 405) announces nothing;
/// any other answer is an error, with a short reason.
pub(super) fn read(answer: &Answer) -> Result<Announced, String> {
    match answer.status {
        200 => {}
        404 | 405 => return Ok(Announced::default()),
        status => return Err(format!("its capabilities cannot be read: status {status}")),
    }
    let said: Capabilities = serde_json::from_slice(&answer.body)
        .map_err(|_| "its capabilities cannot be read: they are not as they should be".to_owned())?;
    let known = |accepted: Vec<Accepted>| {
        accepted.iter().filter_map(|accepted| accepted.scheme.parse().ok()).collect()
    };
    let key = said.signed_answers.filter(|signed| signed.algorithm == "ed25519");
    Ok(Announced {
        schemes: said.authentication.map(known),
        key: key.and_then(|signed| signed.public_key.parse().ok()),
    })
}

/// The schemes that a 401 asks for; `None` when this client knows none of them.
pub(super) fn challenged(answer: &Answer) -> Option<Vec<Scheme>> {
    let values = answer.headers.iter().filter(|(name, _)| name == "www-authenticate");
    let challenges = values.flat_map(|(_, value)| value.split(','));
    let names = challenges.filter_map(|challenge| challenge.split_ascii_whitespace().next());
    let schemes: Vec<Scheme> = names.filter_map(|name| name.to_ascii_lowercase().parse().ok()).collect();
    (!schemes.is_empty()).then_some(schemes)
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn answer(status: u16, body: &str, headers: &[(&str, &str)]) -> Answer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let body = Zeroizing::new(body.as_bytes().to_vec());
        Answer { status, retry_after: None, headers: headers.collect(), body }
    }

    #[test]
    fn schemes_and_key_are_read_and_unknown_schemes_passed_over() {
        let body = r#"{"product":"x","authentication":[{"scheme":"quantum","strength":99},{"scheme":"udrm-sha1"}],
            "signed_answers":{"algorithm":"ed25519","key_id":"k","public_key":"JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs="}}"#;
        let read_from = read(&answer(200, body, &[])).unwrap();
        assert_eq!(read_from.schemes, Some(vec![Scheme::UdrmSha1]));
        assert!(read_from.key.is_some());
        assert_eq!(read(&answer(404, "", &[])), Ok(Announced::default()));
        assert!(read(&answer(503, "", &[])).is_err() && read(&answer(200, "<html>", &[])).is_err());
    }

    #[test]
    fn challenges_are_read_one_to_a_header_or_joined() {
        let one = ("www-authenticate", "HTTP-Ed25519 realm=\"keymoot\"");
        let joined = ("www-authenticate", "Digest realm=\"a\", qop=\"auth\", udrm-sha1 realm=\"b\"");
        let schemes = challenged(&answer(401, "", &[one, joined])).unwrap();
        assert_eq!(schemes, [Scheme::HttpEd25519, Scheme::Digest, Scheme::UdrmSha1]);
        assert_eq!(challenged(&answer(401, "", &[("www-authenticate", "Negotiate")])), None);
    }
}
