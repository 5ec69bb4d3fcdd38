//! Who is let in, who is not, and what they are told.

mod proofs_of_clients;
mod widevine;
mod work;

use zeroize::Zeroizing;

use super::super::presented_proofs::DUMMY_KEY;
use super::super::{PresentedProofs, Unproved, client_certificate};
use super::*;
use bytes::Bytes;
use keymoot_audit::{Action, ActorKind, AuditLog, NodeAudit, Settled, Trail};
use keymoot_model::{Account, AccountId, Consistency, ResponseShape, Sha1Use};
use keymoot_protocol::{
    CustomData, CustomDataError, DigestNonces, Envelope, PolicyData, Signature, SignatureWindow,
    SignedPayload,
};

const JSON: &str = r#"{"ca_system":"OVP","account_id":"167","content_id":"a.mp4","files":""}"#;

impl Authenticator {
    pub(crate) fn authenticate(&self, request: &Request) -> Result<Grant, Denied> {
        self.verify(request).map(Verified::grant).map_err(|error| refusal::<()>(Err(error)))
    }
}

/// Why somebody was not let in, which was decided.
pub(crate) fn refusal<T>(answer: Result<T, AuthError>) -> Denied {
    match answer {
        Err(AuthError::Denied(denied)) => denied,
        Err(other) => panic!("nothing was decided: {other}"),
        Ok(_) => panic!("it was let in"),
    }
}

struct Accounts(Vec<Arc<OpenAccount>>);

impl AccountDirectory for Accounts {
    fn account(&self, id: &AccountId) -> Result<Option<Arc<OpenAccount>>, Unreadable> {
        Ok(self.0.iter().find(|open| open.account.id == *id).cloned())
    }
}

/// A directory that cannot read what it holds.
struct Torn;

impl AccountDirectory for Torn {
    fn account(&self, _: &AccountId) -> Result<Option<Arc<OpenAccount>>, Unreadable> {
        Err(Unreadable("a checksum does not agree".to_owned()))
    }
}

fn signing_key(name: &str, scope: Scope, secret: &[u8]) -> SigningKey {
    key_of(Scheme::UdrmSha1, name, scope, secret)
}

fn key_of(scheme: Scheme, name: &str, scope: Scope, secret: &[u8]) -> SigningKey {
    SigningKey::new(name.to_owned(), scope, scheme, Zeroizing::new(secret.to_vec()))
}

/// The account 167 after a change.
pub(crate) fn account(change: impl FnOnce(&mut OpenAccount)) -> Authenticator {
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
        minimum_scheme: None,
        allow_unsigned_packagers: false,
    };
    let keys = vec![
        signing_key("old", Scope::Encryption, b"enc-key"),
        signing_key("new", Scope::Encryption, b"enc-key-2"),
        signing_key("players", Scope::License, b"lic-key"),
        key_of(Scheme::HttpHmacSha256, "hmac", Scope::Encryption, b"http-key"),
        key_of(Scheme::AwsSigV4, "AKID", Scope::Encryption, b"aws-key"),
        key_of(Scheme::Basic, "pw", Scope::Encryption, b"pass-word"),
        key_of(Scheme::Digest, "dg", Scope::Encryption, b"digest-word"),
        key_of(Scheme::MutualTls, "cert", Scope::Encryption, b"dns:packager.example.net"),
    ];
    let mut open = OpenAccount {
        account,
        is_suspended: false,
        sha1: Sha1Use::Bound,
        documents: Default::default(),
        keys,
        unopened: Vec::new(),
    };
    change(&mut open);
    Authenticator::new(Arc::new(Accounts(vec![Arc::new(open)])))
}

/// An account 167 with two encryption keys and one license key, behind 192.0.2.0/24.
pub(crate) fn authenticator() -> Authenticator {
    account(|_| ())
}

fn request_of(json: &str, scope: Scope, key: &[u8]) -> Request {
    let signature = Signature::sign(key, json.as_bytes());
    let bytes = Bytes::copy_from_slice(json.as_bytes());
    let payload = SignedPayload::<CustomData>::read(bytes).unwrap();
    Request::signed((scope, "POST"), &payload, Some(signature), "192.0.2.7".parse().unwrap())
}

/// A request for account 167, signed with `key`, from an allowed address.
pub(crate) fn request(scope: Scope, key: &[u8]) -> Request {
    request_of(JSON, scope, key)
}

const NOW_S: u64 = 1_800_000_000;

/// How the requests below arrive: GET /cenc/encryption?custom_data=e30, these headers.
fn envelope(headers: &[(&str, &str)]) -> Envelope {
    Envelope {
        method: "GET".to_owned(),
        scheme: "https",
        authority: "keys.example.net".to_owned(),
        path: "/cenc/encryption".to_owned(),
        query: Some("custom_data=e30".to_owned()),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        received_at_s: NOW_S,
        ..Envelope::default()
    }
}

fn proofs(envelope: &Envelope, confidential: bool) -> PresentedProofs {
    let nonces = DigestNonces::new(b"shared", 300);
    PresentedProofs::read(envelope, None, SignatureWindow::default(), Some(&nonces), confidential).unwrap()
}

/// A request for account 167 with these proofs and no uDRM signature.
fn proved_by(proofs: PresentedProofs) -> Request {
    let mut request = request(Scope::Encryption, b"unused").with_proofs(proofs);
    request.signature = None;
    request
}

fn http_signed(nonce: &str, name: &str, key: &[u8]) -> PresentedProofs {
    let mut envelope = envelope(&[]);
    let covered = format!(r#"("@method" "@target-uri");created={NOW_S};keyid="{name}";nonce="{nonce}""#);
    proofs_of_clients::sign(&mut envelope, &covered, key);
    proofs(&envelope, false)
}

/// A request that account 167 signed by RFC 9421 with this nonce.
pub(crate) fn http_request(nonce: &str) -> Request {
    proved_by(http_signed(nonce, "167/hmac", b"http-key"))
}

fn basic(user_and_password: &str, confidential: bool) -> PresentedProofs {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(user_and_password);
    proofs(&envelope(&[("authorization", &format!("Basic {text}"))]), confidential)
}

fn aws(access_key: &str, secret: &[u8]) -> PresentedProofs {
    let headers = proofs_of_clients::aws_headers(access_key, secret);
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    proofs(&envelope(&headers), false)
}

fn certificate(name: &str) -> PresentedProofs {
    let shown = client_certificate::tests::certificate(name);
    PresentedProofs::read(&envelope(&[]), Some(shown), SignatureWindow::default(), None, true).unwrap()
}

fn digest(user: &str, password: &[u8], made_at_s: u64) -> PresentedProofs {
    let nonce = DigestNonces::new(b"shared", 300).issue(made_at_s);
    let answer = proofs_of_clients::digest_answer(user, password, &nonce);
    proofs(&envelope(&[("authorization", &answer)]), true)
}

#[test]
fn every_scheme_opens_the_scope_under_the_name_of_its_credential() {
    let here = authenticator();
    for (proofs, name, scheme) in [
        (http_signed("0123456789abcdef", "167", b"http-key"), "hmac", Scheme::HttpHmacSha256),
        (http_signed("0123456789abcdef", "167/hmac", b"http-key"), "hmac", Scheme::HttpHmacSha256),
        (aws("AKID", b"aws-key"), "AKID", Scheme::AwsSigV4),
        (aws("167/AKID", b"aws-key"), "AKID", Scheme::AwsSigV4),
        (basic("167/pw:pass-word", true), "pw", Scheme::Basic),
        (digest("167/dg", b"digest-word", NOW_S), "dg", Scheme::Digest),
        (certificate("packager.example.net"), "cert", Scheme::MutualTls),
    ] {
        let verified = here.verify(&proved_by(proofs)).unwrap();
        let has_nonce = matches!(scheme, Scheme::HttpHmacSha256 | Scheme::AwsSigV4 | Scheme::Digest);
        assert_eq!(verified.nonce().is_some(), has_nonce, "{scheme}");
        let grant = verified.grant();
        assert_eq!((grant.credential(), grant.scheme()), (name, Some(scheme)));
    }
}

#[test]
fn a_proof_with_another_key_account_or_credential_is_a_mismatch() {
    for proofs in [
        http_signed("0123456789abcdef", "167", b"other-key"),
        http_signed("0123456789abcdef", "168/hmac", b"http-key"),
        http_signed("0123456789abcdef", "167/pw", b"http-key"),
        basic("167/pw:other", true),
        basic("168:pass-word", true),
        digest("167", b"other", NOW_S),
    ] {
        assert_eq!(fault(&authenticator(), &proved_by(proofs)), SignatureFault::Mismatch);
    }
    let foreign = authenticator().authenticate(&proved_by(certificate("stranger.example.net"))).unwrap_err();
    assert!(matches!(foreign, Denied::Certificate { has_credentials: true, .. }), "{foreign}");
    assert_eq!(foreign.reason(), "mismatch");
}

#[test]
fn an_unknown_account_is_refused_whatever_the_scheme() {
    let stranger = || request_of(&JSON.replace("167", "168"), Scope::Encryption, b"enc-key");
    for proofs in [
        http_signed("0123456789abcdef", "168", b"http-key"),
        http_signed("0123456789abcdef", "168", DUMMY_KEY),
        basic("168:pass-word", true),
        certificate("packager.example.net"),
    ] {
        assert_eq!(fault(&authenticator(), &stranger().with_proofs(proofs)), SignatureFault::UnknownAccount);
    }
}

#[test]
fn aws_signatures_are_good_more_than_once_only_where_the_same_is_asked_for() {
    let here = authenticator();
    let asked = || proved_by(aws("AKID", b"aws-key"));
    assert!(here.verify(&asked()).unwrap().nonce().is_some());
    assert!(here.verify(&asked().repeatable()).unwrap().nonce().is_none());
    // A nonce that is there is spent whatever is asked for.
    assert!(here.verify(&http_request("0123456789abcdef").repeatable()).unwrap().nonce().is_some());
}

#[test]
fn passwords_in_the_clear_and_stale_challenges_prove_nothing() {
    let here = authenticator();
    assert_eq!(fault(&here, &proved_by(basic("167/pw:pass-word", false))), SignatureFault::Overheard);
    let stale = digest("167/dg", b"digest-word", NOW_S - 400);
    assert_eq!(fault(&here, &proved_by(stale)), SignatureFault::Stale);
}

#[test]
fn a_wrong_strong_proof_is_not_made_good_by_a_right_weak_one() {
    let wrong = http_signed("0123456789abcdef", "167/hmac", b"other-key");
    let request = request(Scope::Encryption, b"enc-key").with_proofs(wrong);
    assert_eq!(fault(&authenticator(), &request), SignatureFault::Mismatch);
}

#[test]
fn an_account_that_demands_a_strong_scheme_refuses_weaker_ones_right_or_wrong() {
    let strict = account(|open| open.account.minimum_scheme = Some(Scheme::HttpHmacSha256));
    for weak in [
        request(Scope::Encryption, b"enc-key"),
        request(Scope::Encryption, b"wrong"),
        proved_by(basic("167/pw:pass-word", true)),
        proved_by(digest("167/dg", b"digest-word", NOW_S)),
        proved_by(aws("AKID", b"aws-key")),
    ] {
        let denied = strict.authenticate(&weak).unwrap_err();
        assert_eq!(denied.reason(), "downgrade", "{denied}");
    }
    assert!(strict.authenticate(&http_request("0123456789abcdef")).is_ok());
    assert!(strict.authenticate(&proved_by(certificate("packager.example.net"))).is_ok());
}

#[test]
fn a_strong_proof_that_the_account_has_no_key_for_does_not_carry_a_weak_one_past_the_minimum() {
    let strict = account(|open| {
        open.account.minimum_scheme = Some(Scheme::HttpHmacSha256);
        open.keys.retain(|key| key.scheme == Scheme::UdrmSha1);
    });
    let made_up = http_signed("0123456789abcdef", "167/hmac", b"anything");
    let request = request(Scope::Encryption, b"enc-key").with_proofs(made_up);
    assert_eq!(strict.authenticate(&request).unwrap_err().reason(), "downgrade");
}

#[test]
fn a_policy_credential_opens_policies_and_nothing_else() {
    let json = r#"{"ca_system":"ovp","account_id":167,"content_id":"a","policy":"hd","method":"GET"}"#;
    let with_policy = account(|open| open.keys.push(signing_key("policies", Scope::Policy, b"pol-key")));
    let about_policies = |key: &[u8]| {
        let signature = Signature::sign(key, json.as_bytes());
        let caller = "198.51.100.1".parse().unwrap();
        let bytes = Bytes::copy_from_slice(json.as_bytes());
        let payload = SignedPayload::<PolicyData>::read(bytes).unwrap();
        Request::signed((Scope::Policy, "GET"), &payload, Some(signature), caller)
    };
    let grant = with_policy.authenticate(&about_policies(b"pol-key")).unwrap();
    assert_eq!(grant.scope(), Scope::Policy);
    for key in [&b"enc-key"[..], b"lic-key"] {
        assert_eq!(fault(&with_policy, &about_policies(key)), SignatureFault::Mismatch);
    }
    for scope in [Scope::Encryption, Scope::License] {
        assert_eq!(fault(&with_policy, &request_of(json, scope, b"pol-key")), SignatureFault::Mismatch);
    }
}

#[test]
fn sha1_opens_what_is_more_than_a_contents_keys_only_where_the_data_name_the_method() {
    let of = |sha1| {
        account(|open| {
            open.sha1 = sha1;
            open.keys.push(signing_key("policies", Scope::Policy, b"pol-key"));
        })
    };
    let about_policies = |more: &str, method: &str| {
        let json = format!(r#"{{"ca_system":"ovp","account_id":167{more}}}"#);
        let signature = Signature::sign(b"pol-key", json.as_bytes());
        let payload = SignedPayload::<PolicyData>::read(json.into()).unwrap();
        Request::signed((Scope::Policy, method), &payload, Some(signature), "198.51.100.1".parse().unwrap())
    };
    let keys = |method: &str| {
        let payload = SignedPayload::<CustomData>::read(JSON.into()).unwrap();
        let signature = Signature::sign(b"enc-key", JSON.as_bytes());
        Request::signed((Scope::Encryption, method), &payload, Some(signature), "192.0.2.7".parse().unwrap())
    };
    let named = r#","method":"PUT""#;
    use Sha1Use::{Bound, NoChanges, Unbound};
    for (sha1, request, is_served) in [
        (Unbound, about_policies("", "DELETE"), true),
        (Bound, about_policies("", "GET"), false),
        (Bound, about_policies(named, "PUT"), true),
        (NoChanges, about_policies(named, "PUT"), false),
        (NoChanges, about_policies(r#","method":"GET""#, "GET"), true),
        (Unbound, keys("DELETE"), true),
        (Bound, keys("DELETE"), true),
        (NoChanges, keys("PUT"), false),
        (NoChanges, keys("DELETE"), false),
        (NoChanges, keys("POST"), true),
    ] {
        let answer = of(sha1).authenticate(&request);
        assert_eq!(answer.is_ok(), is_served, "{sha1}: {request:?}: {answer:?}");
        if let Err(denied) = answer {
            assert_eq!(denied.reason(), "unsaid");
        }
    }
    // A stronger proof says it all, and who has no right one is not told what it lacks.
    let strong = about_policies("", "PUT").with_proofs(certificate("policy.example.net"));
    let with_certificate = account(|open| {
        open.sha1 = NoChanges;
        let name = b"dns:policy.example.net";
        open.keys.push(key_of(Scheme::MutualTls, "policies", Scope::Policy, name));
    });
    assert!(with_certificate.authenticate(&strong).is_ok());
    let elsewhere = Request { caller: "198.51.100.1".parse().unwrap(), ..keys("PUT") };
    assert_eq!(of(NoChanges).authenticate(&elsewhere).unwrap_err().reason(), "address");
}

#[test]
fn a_sha1_signature_can_be_extended_but_what_it_then_signs_is_no_custom_data() {
    // The demonstration: whoever saw one signed request, and guesses the key's length, signs longer
    // data without the key.
    let known = Signature::sign(b"enc-key", JSON.as_bytes());
    let suffix = br#","content_id":"stolen"}"#;
    let (forged_data, forged) = extended(&known, b"enc-key".len(), JSON.as_bytes(), suffix);
    assert!(forged.verify(b"enc-key", &forged_data), "the extension must be a true signature");
    // The refusal: padding is no JSON, and strict reading stops at it, before any key is asked.
    let payload = SignedPayload::<CustomData>::read(forged_data.into());
    assert!(matches!(payload, Err(CustomDataError::NotJson { .. })));
}

/// Length extension: continues SHA-1 from a digest as if it were the state behind key and data.
fn extended(known: &Signature, key_length: usize, data: &[u8], suffix: &[u8]) -> (Vec<u8>, Signature) {
    use base64::Engine as _;
    let standard = base64::engine::general_purpose::STANDARD;
    let digest = standard.decode(known.to_base64()).unwrap();
    let mut state: Vec<u32> =
        digest.chunks(4).map(|word| u32::from_be_bytes(word.try_into().unwrap())).collect();
    let padding = |length: usize| {
        let mut padding = vec![0x80];
        padding.resize(1 + (119 - length % 64) % 64, 0);
        padding.extend((8 * length as u64).to_be_bytes());
        padding
    };
    let signed_length = key_length + data.len();
    let glue = padding(signed_length);
    let total = signed_length + glue.len() + suffix.len();
    for block in [suffix, &padding(total)].concat().chunks(64) {
        sha1_block(&mut state, block);
    }
    let digest: Vec<u8> = state.iter().flat_map(|word| word.to_be_bytes()).collect();
    let forged = Signature::parse(standard.encode(digest)).unwrap();
    ([data, &glue, suffix].concat(), forged)
}

/// One round of SHA-1 (FIPS 180-4, 6.1.2), because libraries do not let anyone start in the middle.
fn sha1_block(state: &mut [u32], block: &[u8]) {
    let mut words: Vec<u32> =
        block.chunks(4).map(|word| u32::from_be_bytes(word.try_into().unwrap())).collect();
    for at in 16..80 {
        let mixed = words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16];
        words.push(mixed.rotate_left(1));
    }
    let [mut a, mut b, mut c, mut d, mut e]: [u32; 5] = state.to_vec().try_into().unwrap();
    for (at, word) in words.into_iter().enumerate() {
        let (mixed, constant) = match at / 20 {
            0 => ((b & c) | (!b & d), 0x5a82_7999),
            1 => (b ^ c ^ d, 0x6ed9_eba1),
            2 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc_u32),
            _ => (b ^ c ^ d, 0xca62_c1d6),
        };
        let next =
            a.rotate_left(5).wrapping_add(mixed).wrapping_add(e).wrapping_add(constant).wrapping_add(word);
        (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
    }
    for (own, add) in state.iter_mut().zip([a, b, c, d, e]) {
        *own = own.wrapping_add(add);
    }
}

fn fault(authenticator: &Authenticator, request: &Request) -> SignatureFault {
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

    let payload = SignedPayload::<CustomData>::read(JSON.replace("a.mp4", "b.mp4").into()).unwrap();
    let signature = Signature::sign(b"enc-key", JSON.as_bytes());
    let caller = "192.0.2.7".parse().unwrap();
    let other_bytes = Request::signed((Scope::Encryption, "POST"), &payload, Some(signature), caller);
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
fn a_grant_stands_on_the_requests_trail_and_what_is_refused_is_a_strangers() {
    let log = AuditLog::in_memory();
    let to = NodeAudit { log: log.clone(), node: 1 };
    for (key, kind) in [(&b"enc-key"[..], ActorKind::Account), (b"wrong", ActorKind::Stranger)] {
        let trail = Trail::new(to.clone(), Action::KEY_READ, None);
        let asked = request(Scope::Encryption, key).on_trail(trail.clone());
        drop(authenticator().authenticate(&asked));
        trail.settle(Settled::DONE).unwrap();
        let event = log.remembered().pop().unwrap();
        assert_eq!((event.actor.kind, event.actor.id.as_deref()), (kind, Some("167")));
        assert_eq!(event.content.unwrap().as_str(), "a.mp4");
        let proved = (kind == ActorKind::Account).then_some("udrm-sha1");
        assert_eq!(event.scheme.as_deref(), proved);
    }
}

#[test]
fn debug_of_a_request_hides_the_bytes_that_may_hold_a_key() {
    let json = r#"{"ca_system":"OVP","account_id":"167","content_id":"a","user_token":"s3cret"}"#;
    let shown = format!("{:?}", request_of(json, Scope::Encryption, b"enc-key"));
    assert!(shown.contains("167") && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn an_account_that_cannot_be_read_is_neither_let_in_nor_refused() {
    let torn = Authenticator::new(Arc::new(Torn));
    for key in [&b"enc-key"[..], b"wrong"] {
        let answer = torn.verify(&request(Scope::Encryption, key));
        assert!(matches!(answer, Err(AuthError::Unreadable(_))), "{answer:?}");
    }
    for unproved in [Unproved::ByListener, Unproved::ByToken] {
        let account = AccountId::new("167").unwrap();
        let unsigned = Request::unsigned(account, "192.0.2.7".parse().unwrap(), unproved);
        assert!(matches!(torn.verify(&unsigned), Err(AuthError::Unreadable(_))));
    }
}

#[test]
fn a_signature_that_an_unopened_credential_may_have_made_is_not_refused() {
    let half_open = account(|open| open.unopened.push(Scope::Encryption));
    assert!(half_open.verify(&request(Scope::Encryption, b"enc-key")).is_ok(), "the others serve");
    let undecided = half_open.verify(&request(Scope::Encryption, b"another"));
    assert!(matches!(undecided, Err(AuthError::Unreadable(_))), "{undecided:?}");
    assert_eq!(refusal(half_open.verify(&request(Scope::License, b"another"))).reason(), "mismatch");
    let mut without = request(Scope::Encryption, b"enc-key");
    without.signature = None;
    assert_eq!(refusal(half_open.verify(&without)).reason(), "missing");
}

#[test]
fn more_of_a_large_request_is_read_for_accounts_that_may_send_it_from_there_only() {
    let claim = |account: &str, ca_system: &str| {
        (AccountId::new(account).unwrap(), Some(CaSystem::new(ca_system).unwrap()))
    };
    let ask = |authenticator: &Authenticator,
               (account, ca_system): &(AccountId, Option<CaSystem>),
               caller: &str,
               proof| {
        let claim = (account, ca_system.as_ref());
        let asked = authenticator.may_send_more(claim, Scope::Encryption, caller.parse().unwrap(), proof);
        asked.map_err(|error| refusal::<()>(Err(error)).reason())
    };
    let (known, own) = (authenticator(), claim("167", "OVP"));
    assert_eq!(ask(&known, &own, "192.0.2.7", true), Ok(()));
    assert_eq!(ask(&known, &own, "192.0.2.7", false), Err("missing"));
    assert_eq!(ask(&known, &own, "198.51.100.1", true), Err("address"));
    assert_eq!(ask(&known, &claim("168", "OVP"), "192.0.2.7", true), Err("unknown_account"));
    assert_eq!(ask(&known, &claim("167", "OTT"), "192.0.2.7", true), Err("ca_system"));
    let players = account(|open| open.keys.retain(|key| key.scope == Scope::License));
    assert_eq!(ask(&players, &own, "192.0.2.7", true), Err("no_credential"));
    let unopened = account(|open| {
        open.keys.clear();
        open.unopened.push(Scope::Encryption);
    });
    let undecided = unopened.may_send_more(
        (&own.0, own.1.as_ref()),
        Scope::Encryption,
        "192.0.2.7".parse().unwrap(),
        true,
    );
    assert!(matches!(undecided, Err(AuthError::Unreadable(_))), "{undecided:?}");
}
