//! Which signers of the Widevine common encryption API are let in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keymoot_protocol::widevine::WidevineSignature;
use keymoot_testing::pss_sample;

use super::*;

/// Key 00…1f, IV 20…2f.
const AES: &str =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f:202122232425262728292a2b2c2d2e2f";
/// Signatures of [`pss_sample::MESSAGE`] under [`AES`], made with pyca/cryptography.
const PKCS7: &str = "9d274185abf427b22a449a088b224c5ff4b20625e459c6c531f36c2f0b03ce77";
const ZEROS: &str = "9d274185abf427b22a449a088b224c5f2ddcee5e66bc36c9fa887e4ea07bd66b";

fn packagers(unsigned: bool) -> Authenticator {
    account(|open| {
        let key = |name, scheme, secret: &str| key_of(scheme, name, Scope::Encryption, secret.as_bytes());
        open.keys.push(key("aes", Scheme::WidevineAes, AES));
        open.keys.push(key("rsa", Scheme::WidevineRsa, pss_sample::PUBLIC_KEY));
        open.account.allow_unsigned_packagers = unsigned;
    })
}

/// A request of this account.
fn request_of(account: &str, signer: &str, signature: Vec<u8>) -> Request {
    let (account, caller) = (AccountId::new(account).unwrap(), "192.0.2.7".parse().unwrap());
    let (signer, signed_bytes) = (signer.to_owned(), Bytes::from_static(pss_sample::MESSAGE));
    let signature = WidevineSignature { signer, signature, signed_bytes };
    Request::signed_for_widevine(account, signature, caller)
}

fn request(signer: &str, signature: Vec<u8>) -> Request {
    request_of("167", signer, signature)
}

fn aes(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn aes_with_either_padding_and_rsa_are_let_in_under_their_own_names() {
    let rsa = STANDARD.decode(pss_sample::SIGNATURE).unwrap();
    for (signer, signature, name) in [
        ("167", aes(PKCS7), "aes"),
        ("aes", aes(ZEROS), "aes"),
        ("167", rsa.clone(), "rsa"),
        ("rsa", rsa, "rsa"),
    ] {
        let grant = packagers(false).authenticate(&request(signer, signature)).unwrap();
        assert_eq!((grant.credential(), grant.scope()), (name, Scope::Encryption));
    }
}

#[test]
fn a_wrong_signature_signer_or_account_is_refused_as_a_signature() {
    let refused = |request: Request| fault(&packagers(true), &request);
    let mut bent = aes(PKCS7);
    bent[0] ^= 1;
    for signature in [bent, Vec::new(), vec![0; 16], vec![0; 48]] {
        assert_eq!(refused(request("167", signature)), SignatureFault::Mismatch);
    }
    assert_eq!(refused(request("167", vec![0; 256])), SignatureFault::Mismatch);
    assert_eq!(refused(request("rsa", aes(PKCS7))), SignatureFault::Mismatch);
    assert_eq!(refused(request("old", aes(PKCS7))), SignatureFault::NoCredential);
    assert_eq!(refused(request_of("168", "167", aes(PKCS7))), SignatureFault::UnknownAccount);
}

#[test]
fn who_signs_is_held_to_that() {
    let open = packagers(true);
    let shown =
        PresentedProofs::of_connection(Some(client_certificate::tests::certificate("packager.example.net")));
    let signed = request("aes", vec![0; 32]).with_proofs(shown);
    assert_eq!(fault(&open, &signed), SignatureFault::Mismatch, "neither certificate nor opt-in helps");
}

#[test]
fn a_right_signature_of_a_weak_scheme_is_a_downgrade_and_a_wrong_one_wrong() {
    let strict = account(|open| {
        open.keys.push(key_of(Scheme::WidevineAes, "aes", Scope::Encryption, AES.as_bytes()));
        open.account.minimum_scheme = Some(Scheme::MutualTls);
    });
    assert_eq!(strict.authenticate(&request("aes", aes(PKCS7))).unwrap_err().reason(), "downgrade");
    assert_eq!(strict.authenticate(&request("aes", vec![0; 32])).unwrap_err().reason(), "mismatch");
    assert_eq!(strict.authenticate(&request("rsa", vec![0; 32])).unwrap_err().reason(), "no_credential");
}

#[test]
fn a_right_signature_from_a_wrong_address_is_refused_as_the_address() {
    let elsewhere = Request { caller: "203.0.113.1".parse().unwrap(), ..request("aes", aes(PKCS7)) };
    assert_eq!(packagers(true).authenticate(&elsewhere).unwrap_err().reason(), "address");
}

#[test]
fn a_signature_that_cannot_be_compared_here_is_not_called_wrong() {
    let half_open = account(|open| open.unopened.push(Scope::Encryption));
    for signer in ["167", "aes"] {
        let undecided = half_open.verify(&request(signer, aes(PKCS7)));
        assert!(matches!(undecided, Err(AuthError::Unreadable(_))), "{undecided:?}");
    }
}
