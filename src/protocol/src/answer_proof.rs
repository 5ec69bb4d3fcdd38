//! Whether an answer is the server's own (requirement 5.6.1): the client's half of what
//! [`super::ServerKeys`] signs.
//!
//! An answer counts only if the signature asked for is there, covers status, body and what was asked,
//! carries this request's nonce, and verifies. The nonce makes it fresh, whatever the clocks say.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use sfv::{BareItem, Dictionary, InnerList, ListEntry, Parser};

use super::server_keys::{Answer, COVERED};
use super::signature_base::{Cover, base, name_of, parameters_text};
use super::{BaseError, ContentDigestError, Envelope, content_digest};

/// The label under which the signature is asked for.
const LABEL: &str = "keymoot";

/// An answer as it was received.
#[derive(Clone, Copy)]
pub struct ReceivedAnswer<'a> {
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

/// Why an answer is not proved. No text holds anything of the answer's body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerProofError {
    /// There is no signature under the label asked for.
    #[error("its answer is not signed")]
    Unsigned,
    /// The headers are not as RFC 9421 has them.
    #[error("its answer's signature cannot be read")]
    Form,
    /// Something is not covered that must be.
    #[error("its answer's signature does not cover {0}")]
    Uncovered(&'static str),
    /// It answers another request, perhaps an older one.
    #[error("its answer was signed for another request")]
    Nonce,
    /// The body is not the one that was signed.
    #[error("its answer's body was changed")]
    Digest(#[source] ContentDigestError),
    /// What is covered cannot be put together.
    #[error("its answer's signature covers what is not there")]
    Base(#[source] BaseError),
    /// Another key made it, or the answer was changed.
    #[error("its answer's signature is wrong")]
    Wrong,
}

/// What a request says in `Accept-Signature` for an answer that [`verify_answer`] accepts; `None` for a
/// nonce that cannot stand in a header.
pub fn accept_signature(nonce: &str) -> Option<String> {
    let list = Cover::of(COVERED)?.text("nonce", nonce)?.text("alg", "ed25519")?.into_list();
    // `created` without a value asks for the time.
    Some(format!("{LABEL}={};created", parameters_text(&list)?))
}

/// Checks that the holder of the key gave this answer to this request.
///
/// # Errors
/// [`AnswerProofError`]; the answer must then not be used.
pub fn verify_answer(
    public_key: &[u8; 32],
    nonce: &str,
    request: &Envelope,
    answer: &ReceivedAnswer<'_>,
) -> Result<(), AnswerProofError> {
    let header = |name: &str| {
        let mut values =
            answer.headers.iter().filter(|(own, _)| own == name).map(|(_, value)| value.as_str());
        let first = values.next()?.to_owned();
        Some(values.fold(first, |all, value| all + ", " + value))
    };
    let input = header("signature-input").ok_or(AnswerProofError::Unsigned)?;
    let signature = header("signature").ok_or(AnswerProofError::Unsigned)?;
    let (covered, signature) = labelled(&input, &signature)?;
    for (name, of_request) in COVERED {
        let is_it = |item: &sfv::Item| {
            name_of(item) == Some(name) && item.params.len() == usize::from(of_request) && {
                item.params.get("req").is_some_and(|req| *req == BareItem::Boolean(true)) == of_request
            }
        };
        if !covered.items.iter().any(is_it) {
            return Err(AnswerProofError::Uncovered(name));
        }
    }
    match covered.params.get("nonce") {
        Some(BareItem::String(answered)) if answered.as_str() == nonce => {}
        _ => return Err(AnswerProofError::Nonce),
    }
    let digest = header("content-digest").ok_or(AnswerProofError::Uncovered("content-digest"))?;
    content_digest::check(&digest, answer.body).map_err(AnswerProofError::Digest)?;
    let signed = Answer { request, status: answer.status, content_digest: &digest };
    let base = base(&covered, &signed).map_err(AnswerProofError::Base)?;
    UnparsedPublicKey::new(&ED25519, public_key)
        .verify(base.as_bytes(), &signature)
        .map_err(|_| AnswerProofError::Wrong)
}

fn labelled(input: &str, signature: &str) -> Result<(InnerList, Vec<u8>), AnswerProofError> {
    let parse = |text: &str| Parser::new(text).parse::<Dictionary>().map_err(|_| AnswerProofError::Form);
    let (mut inputs, mut signatures) = (parse(input)?, parse(signature)?);
    let covered = match inputs.swap_remove(LABEL) {
        Some(ListEntry::InnerList(covered)) => covered,
        Some(ListEntry::Item(_)) => return Err(AnswerProofError::Form),
        None => return Err(AnswerProofError::Unsigned),
    };
    match signatures.swap_remove(LABEL) {
        Some(ListEntry::Item(sfv::Item { bare_item: BareItem::ByteSequence(bytes), .. })) => {
            Ok((covered, bytes))
        }
        Some(_) => Err(AnswerProofError::Form),
        None => Err(AnswerProofError::Unsigned),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::super::ServerKeys;
    use super::super::signature_base::tests::rfc_request;
    use super::*;

    const NONCE: &str = "0123456789abcdef";

    struct Signed {
        request: Envelope,
        status: u16,
        headers: Vec<(String, String)>,
        body: Vec<u8>,
    }

    impl Signed {
        fn new(accept: &str) -> Self {
            let mut request = rfc_request();
            request.headers.push(("accept-signature".into(), accept.into()));
            let body = b"the key".to_vec();
            let keys = ServerKeys::derive(&[7; 32]).unwrap();
            let signed = keys.sign_answer(&request, 200, &body).unwrap();
            let headers = [
                ("content-digest", signed.content_digest),
                ("signature-input", signed.signature_input),
                ("signature", signed.signature),
            ];
            let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
            Self { request, status: 200, headers, body }
        }

        fn check(&self, nonce: &str) -> Result<(), AnswerProofError> {
            let key = STANDARD.decode(ServerKeys::derive(&[7; 32]).unwrap().public_key()).unwrap();
            let answer = ReceivedAnswer { status: self.status, headers: &self.headers, body: &self.body };
            verify_answer(key.as_slice().try_into().unwrap(), nonce, &self.request, &answer)
        }

        fn header(&mut self, name: &str) -> &mut String {
            &mut self.headers.iter_mut().find(|(own, _)| own == name).unwrap().1
        }
    }

    fn honest() -> Signed {
        Signed::new(&accept_signature(NONCE).unwrap())
    }

    #[test]
    fn the_servers_own_answer_is_believed() {
        assert_eq!(honest().check(NONCE), Ok(()));
    }

    #[test]
    fn an_answer_that_was_changed_in_any_part_is_not() {
        let changed = |change: fn(&mut Signed)| {
            let mut signed = honest();
            change(&mut signed);
            signed.check(NONCE).unwrap_err()
        };
        assert!(matches!(changed(|s| s.body.push(b'!')), AnswerProofError::Digest(_)));
        assert_eq!(changed(|s| s.status = 404), AnswerProofError::Wrong);
        assert_eq!(changed(|s| s.request.path.push('x')), AnswerProofError::Wrong);
        assert_eq!(changed(|s| s.request.query = None), AnswerProofError::Wrong);
        assert_eq!(changed(|s| s.request.method = "PUT".into()), AnswerProofError::Wrong);
        let other_body = |s: &mut Signed| {
            s.body = b"another".to_vec();
            *s.header("content-digest") = content_digest::of(b"another");
        };
        assert_eq!(changed(other_body), AnswerProofError::Wrong);
        assert_eq!(changed(|s| s.headers.clear()), AnswerProofError::Unsigned);
        assert_eq!(changed(|s| *s.header("signature") = "other=:AAAA:".into()), AnswerProofError::Unsigned);
        assert_eq!(changed(|s| *s.header("signature-input") = "((".into()), AnswerProofError::Form);
        for left_out in ["\"@status\" ", "\"@path\";req ", "\"content-digest\" "] {
            let mut signed = honest();
            let input = signed.header("signature-input");
            *input = input.replace(left_out, "");
            assert!(matches!(signed.check(NONCE), Err(AnswerProofError::Uncovered(_))), "{left_out}");
        }
        let mut signed = honest();
        let input = signed.header("signature-input");
        *input = input.replace("\"@path\";req", "\"@path\"");
        assert!(matches!(signed.check(NONCE), Err(AnswerProofError::Uncovered("@path"))));
    }

    #[test]
    fn an_older_answer_cannot_stand_in_for_a_fresh_one() {
        assert_eq!(honest().check("another nonce of ours"), Err(AnswerProofError::Nonce));
        assert_eq!(Signed::new("keymoot=()").check(NONCE), Err(AnswerProofError::Nonce));
    }

    #[test]
    fn another_key_proves_nothing() {
        let signed = honest();
        let answer = ReceivedAnswer { status: 200, headers: &signed.headers, body: &signed.body };
        assert_eq!(verify_answer(&[1; 32], NONCE, &signed.request, &answer), Err(AnswerProofError::Wrong));
    }
}
