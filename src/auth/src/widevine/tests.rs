//! Which signers of the Widevine common encryption API are let in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::super::authenticator::tests::account;
use super::*;
use keymoot_testing::pss_sample;

/// Key 00…1f, IV 20…2f.
const AES: &str =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f:202122232425262728292a2b2c2d2e2f";
/// Signatures of [`pss_sample::MESSAGE`] under [`AES`], made with pyca/cryptography.
const PKCS7: &str = "9d274185abf427b22a449a088b224c5ff4b20625e459c6c531f36c2f0b03ce77";
const ZEROS: &str = "9d274185abf427b22a449a088b224c5f2ddcee5e66bc36c9fa887e4ea07bd66b";

fn authenticator(unsigned: bool) -> Authenticator {
    account(|open| {
        let key = |name: &str, scheme, secret: &str| SigningKey {
            name: name.into(),
            scope: Scope::Encryption,
            scheme,
            secret: Zeroizing::new(secret.as_bytes().to_vec()),
        };
        open.keys.push(key("aes", Scheme::WidevineAes, AES));
        open.keys.push(key("rsa", Scheme::WidevineRsa, pss_sample::PUBLIC_KEY));
        open.account.allow_unsigned_packagers = unsigned;
    })
}

fn request(signer: Option<&str>, signature: Vec<u8>) -> WidevineRequest {
    WidevineRequest {
        account: AccountId::new("167").unwrap(),
        signer: signer.map(str::to_owned),
        signed_bytes: Bytes::from_static(pss_sample::MESSAGE),
        signature,
        content: None,
        caller: "192.0.2.7".parse().unwrap(),
        certificate: None,
    }
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
        let grant = authenticator(false).verify_widevine(&request(Some(signer), signature)).unwrap().grant();
        assert_eq!((grant.credential(), grant.scope()), (name, Scope::Encryption));
    }
}

#[test]
fn a_wrong_signature_signer_or_account_is_refused_as_a_signature() {
    let refused = |request: WidevineRequest| match authenticator(true).verify_widevine(&request) {
        Err(AuthError::Denied(Denied::Signature { fault, .. })) => fault,
        other => panic!("{other:?}"),
    };
    let mut bent = aes(PKCS7);
    bent[0] ^= 1;
    for signature in [bent, Vec::new(), vec![0; 16], vec![0; 48]] {
        assert_eq!(refused(request(Some("167"), signature)), SignatureFault::Mismatch);
    }
    let other_bytes =
        WidevineRequest { signed_bytes: Bytes::from_static(b"{}"), ..request(Some("167"), aes(PKCS7)) };
    assert_eq!(refused(other_bytes), SignatureFault::Mismatch);
    assert_eq!(refused(request(Some("rsa"), aes(PKCS7))), SignatureFault::Mismatch);
    assert_eq!(refused(request(Some("old"), aes(PKCS7))), SignatureFault::NoCredential);
    let stranger = AccountId::new("168").unwrap();
    let unknown = WidevineRequest { account: stranger, ..request(Some("167"), aes(PKCS7)) };
    assert_eq!(refused(unknown), SignatureFault::UnknownAccount);
}

#[test]
fn without_signer_only_an_account_that_opts_in_and_an_address_on_its_list_are_served() {
    let anonymous = || request(None, Vec::new());
    assert!(authenticator(true).verify_widevine(&anonymous()).is_ok());
    let elsewhere = WidevineRequest { caller: "203.0.113.1".parse().unwrap(), ..anonymous() };
    let unknown = WidevineRequest { account: AccountId::new("168").unwrap(), ..anonymous() };
    for (authenticator, request) in [
        (authenticator(false), anonymous()),
        (authenticator(true), elsewhere),
        (authenticator(true), unknown),
    ] {
        let denied = authenticator.verify_widevine(&request);
        assert!(matches!(denied, Err(AuthError::Denied(Denied::Unsigned { .. }))), "{denied:?}");
    }
}

#[test]
fn a_right_signature_from_a_wrong_address_is_refused_as_the_address() {
    let elsewhere =
        WidevineRequest { caller: "203.0.113.1".parse().unwrap(), ..request(Some("aes"), aes(PKCS7)) };
    let denied = authenticator(true).verify_widevine(&elsewhere);
    assert!(matches!(denied, Err(AuthError::Denied(Denied::Address { .. }))), "{denied:?}");
}

#[test]
fn a_secret_is_checked_for_its_scheme() {
    assert!(is_widevine_secret(Scheme::WidevineAes, AES.as_bytes()));
    assert!(is_widevine_secret(Scheme::WidevineRsa, pss_sample::PUBLIC_KEY.as_bytes()));
    assert!(!is_widevine_secret(Scheme::WidevineRsa, AES.as_bytes()));
    assert!(!is_widevine_secret(Scheme::WidevineAes, &AES.as_bytes()[1..]));
    assert!(!is_widevine_secret(Scheme::UdrmSha1, AES.as_bytes()));
}

#[test]
fn a_signature_that_cannot_be_compared_here_is_not_called_wrong() {
    let half_open = account(|open| open.unopened.push(Scope::Encryption));
    for signer in ["167", "aes"] {
        let undecided = half_open.verify_widevine(&request(Some(signer), aes(PKCS7)));
        assert!(matches!(undecided, Err(AuthError::Unreadable(_))), "{undecided:?}");
    }
}
