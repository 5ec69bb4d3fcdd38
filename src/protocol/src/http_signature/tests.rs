//! Vectors of RFC 9421, appendix B.2, and what a signature must cover here.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::super::signature_base::tests::{covered, rfc_request};
use super::*;

const SHARED_SECRET: &str =
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
const ED25519_PUBLIC: &str = "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";
const NOW_S: u64 = 1_618_884_473;
const WINDOW: SignatureWindow = SignatureWindow { lifetime_s: 300, clock_skew_s: 30 };

fn bytes(base64: &str) -> Vec<u8> {
    STANDARD.decode(base64).unwrap()
}

/// A signature as it stands in an appendix, without this server's demands.
fn vector(parameters: &str, signature: &str) -> HttpSignature {
    HttpSignature {
        name: CredentialName::parse("vector").unwrap(),
        scheme: None,
        created_s: NOW_S,
        nonce: String::new(),
        base: base(&covered(parameters), &rfc_request()).unwrap(),
        signature: bytes(signature),
    }
}

#[test]
fn rfc_9421_b_2_5_hmac_sha256_verifies() {
    let parameters = r#"("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret""#;
    let signature = vector(parameters, "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=");
    assert!(signature.verify(Scheme::HttpHmacSha256, &bytes(SHARED_SECRET)));
    assert!(!signature.verify(Scheme::HttpHmacSha256, b"another"));
    assert!(!signature.verify(Scheme::HttpEd25519, &bytes(SHARED_SECRET)));
}

#[test]
fn rfc_9421_b_2_6_ed25519_verifies() {
    let parameters = r#"("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519""#;
    let text = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==";
    let signature = vector(parameters, text);
    assert!(signature.verify(Scheme::HttpEd25519, &bytes(ED25519_PUBLIC)));
    assert!(!signature.verify(Scheme::HttpEd25519, HttpSignature::dummy_secret(Scheme::HttpEd25519)));
    assert!(!signature.verify(Scheme::HttpHmacSha256, &bytes(ED25519_PUBLIC)));
}

/// Signs the request as a client would, with this secret.
fn sign(envelope: &mut Envelope, covered_text: &str, secret: &[u8]) {
    let list = covered(covered_text);
    let base = base(&list, envelope).unwrap();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), base.as_bytes());
    envelope.headers.push(("signature-input".to_owned(), format!("sig={covered_text}")));
    envelope.headers.push(("signature".to_owned(), format!("sig=:{}:", STANDARD.encode(tag))));
}

const COVERED: &str = r#"("@method" "@target-uri" "content-digest");created=1618884473;keyid="167/hmac";nonce="0123456789abcdef""#;

fn signed(parameters: &str) -> Envelope {
    let mut envelope = rfc_request();
    let digest = content_digest::of(&envelope.body);
    envelope.headers.push(("content-digest".to_owned(), digest));
    sign(&mut envelope, parameters, b"secret");
    envelope
}

fn read(parameters: &str) -> Result<Option<HttpSignature>, HttpSignatureError> {
    HttpSignature::read(&signed(parameters), WINDOW)
}

#[test]
fn a_request_that_covers_everything_is_read_and_verifies() {
    for covered in [COVERED, &COVERED.replace("\"@target-uri\"", "\"@authority\" \"@path\" \"@query\"")] {
        let signature = read(covered).unwrap().unwrap();
        assert!(signature.verify(Scheme::HttpHmacSha256, b"secret"));
        assert_eq!(signature.name, CredentialName::parse("167/hmac").unwrap());
        assert_eq!((signature.created_s, signature.nonce.as_str()), (NOW_S, "0123456789abcdef"));
    }
    assert!(HttpSignature::read(&rfc_request(), WINDOW).unwrap().is_none());
}

#[test]
fn a_signature_that_leaves_out_what_matters_is_refused() {
    for left_out in ["\"@method\" ", "\"@target-uri\" ", " \"content-digest\""] {
        let refused = read(&COVERED.replace(left_out, "")).unwrap_err();
        assert!(matches!(refused, HttpSignatureError::Uncovered(_)), "{refused}");
    }
    for (parameter, name) in [
        (";created=1618884473", "created"),
        (";keyid=\"167/hmac\"", "keyid"),
        (";nonce=\"0123456789abcdef\"", "nonce"),
    ] {
        let refused = read(&COVERED.replace(parameter, "")).unwrap_err();
        assert!(matches!(refused, HttpSignatureError::Parameter { name: of, .. } if of == name), "{refused}");
    }
    assert!(read(&COVERED.replace("0123456789abcdef", "short")).is_err());
    assert!(read(&format!("{COVERED};alg=\"rsa-pss-sha512\"")).is_err());
    assert_eq!(
        read(&format!("{COVERED};alg=\"ed25519\"")).unwrap().unwrap().scheme,
        Some(Scheme::HttpEd25519)
    );
}

#[test]
fn a_body_that_was_exchanged_is_refused() {
    let mut envelope = signed(COVERED);
    envelope.body = bytes::Bytes::from_static(b"{}");
    let refused = HttpSignature::read(&envelope, WINDOW).unwrap_err();
    assert_eq!(refused, HttpSignatureError::Digest(ContentDigestError::Mismatch));
}

#[test]
fn a_signature_is_good_within_its_window_and_not_outside() {
    let at = |now_s: u64, parameters: &str| {
        let envelope = Envelope { received_at_s: now_s, ..signed(parameters) };
        HttpSignature::read(&envelope, WINDOW).is_ok()
    };
    assert!(at(NOW_S - 30, COVERED) && !at(NOW_S - 31, COVERED));
    assert!(at(NOW_S + 330, COVERED) && !at(NOW_S + 331, COVERED));
    let short = format!("{COVERED};expires=1618884483");
    assert!(at(NOW_S + 40, &short) && !at(NOW_S + 41, &short));
    let long = format!("{COVERED};expires=1618894473");
    assert!(!at(NOW_S + 331, &long), "expires cannot stretch the window");
    let backwards = format!("{COVERED};expires=1618884472");
    assert!(!at(NOW_S, &backwards));
}

#[test]
fn of_several_signatures_the_tagged_one_counts_and_otherwise_none() {
    let mut envelope = signed(COVERED);
    envelope.headers.push(("signature-input".to_owned(), "proxy=(\"@path\");created=1".to_owned()));
    envelope.headers.push(("signature".to_owned(), "proxy=:AAAA:".to_owned()));
    assert_eq!(HttpSignature::read(&envelope, WINDOW).unwrap_err(), HttpSignatureError::Several);
    let mut envelope = signed(&format!("{COVERED};tag=\"keymoot\""));
    envelope.headers.push(("signature-input".to_owned(), "proxy=(\"@path\");created=1".to_owned()));
    envelope.headers.push(("signature".to_owned(), "proxy=:AAAA:".to_owned()));
    assert!(
        HttpSignature::read(&envelope, WINDOW).unwrap().unwrap().verify(Scheme::HttpHmacSha256, b"secret")
    );
}

#[test]
fn a_signature_with_another_tag_is_for_somebody_else() {
    let foreign = format!("{COVERED};tag=\"gateway\"");
    assert!(read(&foreign).unwrap().is_none(), "it proves nothing here");
    assert!(read(&format!("{COVERED};tag=\"Keymoot\"")).unwrap().is_none());
    for odd in ["7", "keymoot", "?1"] {
        let refused = read(&format!("{COVERED};tag={odd}")).unwrap_err();
        assert!(matches!(refused, HttpSignatureError::Parameter { name: "tag", .. }), "{refused}");
    }
    // Beside the one that is meant for this server it does no harm.
    let beside = |own: &str| {
        let mut envelope = signed(own);
        let proxy = "proxy=(\"@path\");created=1;tag=\"gateway\"";
        envelope.headers.push(("signature-input".to_owned(), proxy.to_owned()));
        envelope.headers.push(("signature".to_owned(), "proxy=:AAAA:".to_owned()));
        HttpSignature::read(&envelope, WINDOW).unwrap().unwrap()
    };
    for own in [COVERED.to_owned(), format!("{COVERED};tag=\"keymoot\"")] {
        assert!(beside(&own).verify(Scheme::HttpHmacSha256, b"secret"));
    }
}

proptest! {
    #[test]
    fn any_headers_are_read_or_refused_without_harm(input in "\\PC{0,80}", signature in "\\PC{0,80}") {
        let mut envelope = rfc_request();
        envelope.headers.push(("signature-input".to_owned(), input));
        envelope.headers.push(("signature".to_owned(), signature));
        prop_assert!(!matches!(HttpSignature::read(&envelope, WINDOW), Ok(Some(_))));
    }

    #[test]
    fn a_changed_address_method_or_header_fails(path in "/[a-z]{1,8}", query in "[a-z]{1,8}", method in "[A-Z]{3,6}") {
        let honest = signed(COVERED);
        for forged in [
            Envelope { path, ..honest.clone() },
            Envelope { query: Some(query), ..honest.clone() },
            Envelope { method: method.clone(), ..honest.clone() },
        ] {
            let same = forged.target_uri() == honest.target_uri() && forged.method == honest.method;
            let read = HttpSignature::read(&forged, WINDOW).unwrap().unwrap();
            prop_assert_eq!(read.verify(Scheme::HttpHmacSha256, b"secret"), same);
        }
    }

    #[test]
    fn a_key_pair_signs_what_its_public_key_verifies(seed: [u8; 32], text in "[ -~]{0,60}") {
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let signature = HttpSignature {
            signature: pair.sign(text.as_bytes()).as_ref().to_vec(),
            base: text,
            ..vector("();created=1", "")
        };
        prop_assert!(signature.verify(Scheme::HttpEd25519, pair.public_key().as_ref()));
    }
}
