//! What a refusal costs: the same work for whoever asks about whatever account.

use std::collections::BTreeMap;

use keymoot_protocol::widevine::WidevineSignature;
use keymoot_testing::pss_sample::PUBLIC_KEY;

use super::super::super::presented_proofs::counted;
use super::*;

const AES: &str =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f:202122232425262728292a2b2c2d2e2f";

fn widevine_signed(account: &str, signer: &str, bytes: usize) -> Request {
    let (account, caller) = (AccountId::new(account).unwrap(), "192.0.2.7".parse().unwrap());
    let (signer, signed_bytes) = (signer.to_owned(), Bytes::from_static(b"{}"));
    let signature = WidevineSignature { signer, signature: vec![0xa5; bytes], signed_bytes };
    Request::signed_for_widevine(account, signature, caller)
}

/// The account 167 with so many credentials for RSA signatures.
fn with_rsa(keys: usize) -> Authenticator {
    account(|open| {
        let key =
            |at| key_of(Scheme::WidevineRsa, &format!("rsa-{at}"), Scope::Encryption, PUBLIC_KEY.as_bytes());
        open.keys.extend((0..keys).map(key));
        open.keys.push(key_of(Scheme::WidevineAes, "aes", Scope::Encryption, AES.as_bytes()));
    })
}

/// What is verified until the request is refused.
fn work(here: &Authenticator, request: &Request) -> BTreeMap<&'static str, usize> {
    counted::during(|| drop(here.verify(request).unwrap_err()))
}

#[test]
fn the_length_of_a_widevine_signature_says_what_a_refusal_costs_and_no_account_does() {
    for (bytes, cost) in [
        (32, vec![("widevine-aes", 2)]),
        (256, vec![("widevine-rsa", 2)]),
        // The account's keys are of 2048 bits.
        (512, vec![("widevine-rsa", 2)]),
        (1024, vec![("widevine-rsa", 2)]),
        (0, vec![]),
        (33, vec![]),
        (255, vec![]),
        (1025, vec![]),
    ] {
        let cost: BTreeMap<_, _> = cost.into_iter().collect();
        for here in [with_rsa(0), with_rsa(1), with_rsa(2), authenticator()] {
            for (account, signer) in [("167", "167"), ("167", "rsa-0"), ("167", "nobody"), ("168", "168")] {
                let asked = widevine_signed(account, signer, bytes);
                assert_eq!(work(&here, &asked), cost, "{bytes} bytes of {signer} for {account}");
            }
        }
    }
}

#[test]
fn however_many_rsa_keys_an_account_has_only_so_many_are_tried() {
    let here = with_rsa(40);
    assert_eq!(work(&here, &widevine_signed("167", "167", 256))["widevine-rsa"], 16);
    assert_eq!(work(&here, &widevine_signed("167", "rsa-39", 256))["widevine-rsa"], 2);
}

#[test]
fn a_wrong_proof_costs_the_same_for_a_known_and_an_unknown_account() {
    let unknown = |mut request: Request| {
        request.account = AccountId::new("168").unwrap();
        request
    };
    let signed = || request(Scope::Encryption, b"wrong");
    let by_message = || proved_by(http_signed("0123456789abcdef", "167", b"wrong"));
    let by_password = || proved_by(basic("167:wrong", true));
    let by_aws = || proved_by(aws("AKID", b"wrong"));
    let none = account(|open| open.keys.clear());
    for asked in [&signed as &dyn Fn() -> Request, &by_message, &by_password, &by_aws] {
        let cost = work(&authenticator(), &asked());
        assert!(cost.values().all(|times| *times == 2) && !cost.is_empty(), "{cost:?}");
        assert_eq!(work(&authenticator(), &unknown(asked())), cost);
        assert_eq!(work(&none, &asked()), cost);
    }
}
