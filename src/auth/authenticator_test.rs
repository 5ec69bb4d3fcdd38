//! Who is let in, who is not, and what they are told.

use zeroize::Zeroizing;

use super::super::captured_log::captured;
use super::*;
use crate::model::{Account, Consistency, ResponseShape};

const JSON: &str = r#"{"ca_system":"OVP","account_id":"167","content_id":"a.mp4","files":""}"#;

struct Accounts(Vec<Arc<OpenAccount>>);

impl AccountDirectory for Accounts {
    fn account(&self, id: &AccountId) -> Option<Arc<OpenAccount>> {
        self.0.iter().find(|open| open.account.id == *id).cloned()
    }
}

fn signing_key(name: &str, scope: Scope, secret: &[u8]) -> SigningKey {
    let secret = Zeroizing::new(secret.to_vec());
    SigningKey { name: name.to_owned(), scope, scheme: Scheme::UdrmSha1, secret }
}

fn account(change: impl FnOnce(&mut OpenAccount)) -> Authenticator {
    let account = Account {
        id: AccountId::new("167").unwrap(),
        ca_systems: vec!["ovp".to_owned()],
        credentials: Vec::new(),
        allow_list: vec!["192.0.2.0/24".parse().unwrap()],
        consistency: Consistency::Linearizable,
        response_shape: ResponseShape::ByPath,
        license_url: None,
        playready_la_url: None,
        created_at_ms: 0,
    };
    let keys = vec![
        signing_key("old", Scope::Encryption, b"enc-key"),
        signing_key("new", Scope::Encryption, b"enc-key-2"),
        signing_key("players", Scope::License, b"lic-key"),
    ];
    let mut open = OpenAccount { account, keys };
    change(&mut open);
    Authenticator::new(Arc::new(Accounts(vec![Arc::new(open)])))
}

/// An account 167 with two encryption keys and one license key, behind 192.0.2.0/24.
pub(in crate::auth) fn authenticator() -> Authenticator {
    account(|_| ())
}

fn request_of(json: &str, scope: Scope, key: &[u8]) -> SignedRequest {
    let signature = Signature::sign(key, json.as_bytes());
    let bytes = Bytes::copy_from_slice(json.as_bytes());
    SignedRequest::parse(scope, bytes, Some(signature), "192.0.2.7".parse().unwrap()).unwrap()
}

/// A request for account 167, signed with `key`, from an allowed address.
pub(in crate::auth) fn request(scope: Scope, key: &[u8]) -> SignedRequest {
    request_of(JSON, scope, key)
}

fn fault(authenticator: &Authenticator, request: &SignedRequest) -> SignatureFault {
    match authenticator.authenticate(request).expect_err("the request was granted") {
        Denied::Signature { fault, .. } => fault,
        other => panic!("{other}"),
    }
}

#[test]
fn each_valid_credential_of_the_scope_opens_it_under_its_own_name() {
    for (key, name) in [(&b"enc-key"[..], "old"), (b"enc-key-2", "new")] {
        let grant = authenticator().authenticate(&request(Scope::Encryption, key)).unwrap();
        assert_eq!(grant.credential(), name);
        assert_eq!(grant.scope(), Scope::Encryption);
        assert_eq!(grant.account().id.as_str(), "167");
        assert_eq!(grant.caller().to_string(), "192.0.2.7");
    }
}

#[test]
fn a_key_of_one_scope_never_opens_another() {
    let scopes = [Scope::Encryption, Scope::License, Scope::Policy, Scope::Admin];
    for (key, own) in [(&b"enc-key"[..], Scope::Encryption), (b"lic-key", Scope::License)] {
        for scope in scopes {
            let granted = authenticator().authenticate(&request(scope, key)).is_ok();
            assert_eq!(granted, scope == own, "{scope:?}");
        }
    }
}

#[test]
fn a_request_without_the_right_proof_is_refused_for_the_true_reason() {
    let here = authenticator();
    assert_eq!(fault(&here, &request(Scope::Encryption, b"nope")), SignatureFault::Mismatch);
    assert_eq!(fault(&here, &request(Scope::Admin, b"enc-key")), SignatureFault::NoCredential);

    let stranger = JSON.replace("167", "168");
    let stranger = request_of(&stranger, Scope::Encryption, b"enc-key");
    assert_eq!(fault(&here, &stranger), SignatureFault::UnknownAccount);

    let mut unsigned = request(Scope::Encryption, b"enc-key");
    unsigned.signature = None;
    assert_eq!(fault(&here, &unsigned), SignatureFault::Missing);

    let mut other_bytes = request_of(&JSON.replace("a.mp4", "b.mp4"), Scope::Encryption, b"enc-key");
    other_bytes.signature = request(Scope::Encryption, b"enc-key").signature;
    assert_eq!(fault(&here, &other_bytes), SignatureFault::Mismatch);
}

#[test]
fn the_key_that_stands_in_for_missing_ones_opens_nothing() {
    let stranger = JSON.replace("167", "168");
    let stranger = request_of(&stranger, Scope::Encryption, DUMMY_KEY);
    assert_eq!(fault(&authenticator(), &stranger), SignatureFault::UnknownAccount);
    let no_credential = request(Scope::Admin, DUMMY_KEY);
    assert_eq!(fault(&authenticator(), &no_credential), SignatureFault::NoCredential);
}

#[test]
fn the_allow_list_counts_for_encryption_only_and_empty_means_nobody() {
    let mut away = request(Scope::Encryption, b"enc-key");
    away.caller = "198.51.100.1".parse().unwrap();
    let denied = authenticator().authenticate(&away).unwrap_err();
    assert!(matches!(denied, Denied::Address { caller, .. } if caller == away.caller), "{denied}");

    let closed = account(|open| open.account.allow_list.clear());
    let denied = closed.authenticate(&request(Scope::Encryption, b"enc-key")).unwrap_err();
    assert!(matches!(denied, Denied::Address { .. }), "{denied}");

    let mut player = request(Scope::License, b"lic-key");
    player.caller = away.caller;
    assert!(authenticator().authenticate(&player).is_ok());
}

#[test]
fn an_address_off_the_list_learns_nothing_about_the_signature() {
    let mut away = request(Scope::Encryption, b"wrong");
    away.caller = "198.51.100.1".parse().unwrap();
    assert_eq!(fault(&authenticator(), &away), SignatureFault::Mismatch);
}

#[test]
fn the_ca_system_must_be_one_of_the_accounts_unless_it_names_none() {
    let ott = JSON.replace("OVP", "OTT");
    let ott = || request_of(&ott, Scope::Encryption, b"enc-key");
    let denied = authenticator().authenticate(&ott()).unwrap_err();
    assert!(matches!(&denied, Denied::CaSystem { ca_system, .. } if ca_system.is("ott")), "{denied}");
    assert!(account(|open| open.account.ca_systems.clear()).authenticate(&ott()).is_ok());
    assert!(account(|open| open.account.ca_systems.push("OtT".to_owned())).authenticate(&ott()).is_ok());
}

#[test]
fn granting_writes_one_audit_line_and_refusing_none() {
    let written = captured(|| {
        authenticator().authenticate(&request(Scope::Encryption, b"enc-key")).unwrap();
        authenticator().authenticate(&request(Scope::Encryption, b"wrong")).unwrap_err();
    });
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(lines.len(), 1, "{written}");
    for part in ["audit", "granted", "account=167", "Encryption", "\"old\"", "192.0.2.7", "a.mp4"] {
        assert!(lines[0].contains(part), "{part} is not in {written}");
    }
    assert!(!written.contains("enc-key"), "{written}");
}

#[test]
fn debug_of_a_request_hides_the_bytes_that_may_hold_a_key() {
    let json = r#"{"ca_system":"OVP","account_id":"167","content_id":"a","user_token":"s3cret"}"#;
    let shown = format!("{:?}", request_of(json, Scope::Encryption, b"enc-key"));
    assert!(shown.contains("167") && !shown.contains("s3cret"), "{shown}");
}
