//! Who waits, and who does not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use keymoot_protocol::{DigestNonces, Envelope, REALM, SignatureWindow};
use tokio::time::advance;

use super::super::{PresentedProofs, Unproved};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn back_off() -> BackOff {
    BackOff::new(BackOffSettings { wrong_max: 3, wait_max: SECOND * 60 }, [7; 32])
}

fn request(from: &str, account: &str, password: &str) -> Request {
    let basic = format!("Basic {}", STANDARD.encode(format!("{account}:{password}")));
    showing(from, account, basic, None)
}

fn showing(from: &str, account: &str, authorization: String, nonces: Option<&DigestNonces>) -> Request {
    let envelope = Envelope {
        method: "GET".to_owned(),
        scheme: "https",
        authority: String::new(),
        path: "/".to_owned(),
        query: None,
        headers: vec![("authorization".to_owned(), authorization)],
        body: Bytes::new(),
        received_at_s: 1,
    };
    let window = SignatureWindow { lifetime_s: 300, clock_skew_s: 30 };
    let proofs = PresentedProofs::read(&envelope, None, window, nonces, true).unwrap();
    let account = AccountId::new(account).unwrap();
    Request::unsigned(account, from.parse().unwrap(), Unproved::Never).with_proofs(proofs)
}

fn wrong(account: &str) -> Result<(), AuthError> {
    let (account, scope) = (AccountId::new(account).unwrap(), Scope::Encryption);
    Err(Denied::Signature { account, scope, fault: SignatureFault::Mismatch }.into())
}

/// Shows something wrong; whether it was looked at.
fn guess(back_off: &BackOff, from: &str, account: &str) -> Result<(), MustWait> {
    let attempt = back_off.admit(&request(from, account, "guess"))?;
    assert_eq!(attempt.note(&wrong(account)), Some(Duration::ZERO));
    Ok(())
}

fn show(back_off: &BackOff, from: &str, account: &str, password: &str) -> Result<(), MustWait> {
    let attempt = back_off.admit(&request(from, account, password))?;
    assert_eq!(attempt.note(&Ok(())), None);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_guesses_waits_longer_each_time_and_nobody_else_does() {
    let back_off = back_off();
    for _ in 0..3 {
        assert_eq!(guess(&back_off, "192.0.2.1", "demo"), Ok(()));
    }
    let mut waits = Vec::new();
    for _ in 0..8 {
        let Err(MustWait(wait)) = guess(&back_off, "192.0.2.1", "demo") else { panic!("nobody waited") };
        waits.push(wait.as_secs());
        advance(wait).await;
        assert_eq!(guess(&back_off, "192.0.2.1", "demo"), Ok(()));
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    // The right one waits too, from there; from elsewhere and for another account it does not.
    assert!(show(&back_off, "192.0.2.1", "demo", "right").is_err());
    assert_eq!(show(&back_off, "192.0.2.2", "demo", "right"), Ok(()));
    assert_eq!(show(&back_off, "192.0.2.1", "other", "right"), Ok(()));
    advance(SECOND * 601).await;
    assert_eq!(show(&back_off, "192.0.2.1", "demo", "right"), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn of_many_guesses_at_once_one_is_looked_at_when_the_wait_is_over() {
    let back_off = back_off();
    for _ in 0..3 {
        guess(&back_off, "192.0.2.1", "demo").unwrap();
    }
    advance(SECOND).await;
    let one = request("192.0.2.1", "demo", "guess");
    let looked_at: Vec<_> = (0..100).filter_map(|_| back_off.admit(&one).ok()).collect();
    assert_eq!(looked_at.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_right_credential_from_an_address_that_lately_proved_itself_is_never_refused_for_others_wrong_ones()
{
    let back_off = back_off();
    show(&back_off, "192.0.2.1", "demo", "right").unwrap();
    while guess(&back_off, "192.0.2.1", "demo").is_ok() {}
    for account in 0..200 {
        let _ = guess(&back_off, "192.0.2.1", &format!("other-{account}"));
    }
    assert_eq!(show(&back_off, "192.0.2.1", "demo", "right"), Ok(()));
    // Whoever shares the address guesses no faster for that.
    assert!(guess(&back_off, "192.0.2.1", "demo").is_err());
    advance(PROVED_FOR).await;
    while guess(&back_off, "192.0.2.1", "demo").is_ok() {}
    assert!(show(&back_off, "192.0.2.1", "demo", "right").is_err(), "that was long ago");
}

#[tokio::test(start_paused = true)]
async fn wrong_answers_to_digest_challenges_hear_it_late_where_the_address_has_proved_itself() {
    let back_off = back_off();
    let digest = |held_back: &str| {
        let nonces = DigestNonces::new(b"shared", 300);
        let answer = format!(
            "Digest username=\"demo/d\", realm=\"{REALM}\", uri=\"/\", algorithm=SHA-256, nonce=\"{}\", nc=00000001, \
             cnonce=\"c\", qop=auth, response=\"{}\"",
            nonces.issue(1),
            "0".repeat(64)
        );
        let attempt = back_off.admit(&showing("192.0.2.1", "demo", answer, Some(&nonces)));
        attempt.unwrap_or_else(|wait| panic!("{held_back}: {wait:?}"))
    };
    let wrong = wrong("demo");
    assert_eq!(digest("the first").note(&wrong), Some(Duration::ZERO), "nothing is proved");
    show(&back_off, "192.0.2.1", "demo", "right").unwrap();
    let held_back: Vec<u64> = (0..9)
        .map(|number| {
            // What is right in between is answered at once, and forgives nothing.
            assert_eq!(digest("right").note(&Ok(())), None);
            digest(&number.to_string()).note(&wrong).unwrap().as_secs()
        })
        .collect();
    assert_eq!(held_back, [0, 0, 1, 2, 4, 5, 5, 5, 5]);
}

#[tokio::test(start_paused = true)]
async fn an_address_waits_whatever_the_accounts_but_for_licenses() {
    let back_off = back_off();
    let guesses = (0..100).filter(|n| guess(&back_off, "2001:db8::1", &format!("a{n}")).is_ok()).count();
    assert_eq!(guesses, 30);
    let of_network = request("2001:db8::2", "demo", "right");
    assert!(back_off.admit(&of_network).is_err(), "another address of its network");
    let license = Request { scope: Scope::License, ..request("2001:db8::2", "demo", "right") };
    assert!(back_off.admit(&license).is_ok());
}

#[tokio::test(start_paused = true)]
async fn who_shows_nothing_and_what_is_no_fault_of_the_credentials_counts_for_nothing() {
    let back_off = back_off();
    let account = AccountId::new("demo").unwrap();
    let caller: IpAddr = [192, 0, 2, 1].into();
    for _ in 0..50 {
        let unsigned = Request::unsigned(account.clone(), caller, Unproved::Never);
        let missing = Denied::Signature {
            account: account.clone(),
            scope: Scope::Encryption,
            fault: SignatureFault::Missing,
        };
        let attempt = back_off.admit(&unsigned).unwrap();
        assert_eq!(attempt.note::<()>(&Err(missing.into())), None);
        let address = Denied::Address { account: account.clone(), caller };
        let attempt = back_off.admit(&request("192.0.2.1", "demo", "right")).unwrap();
        assert_eq!(attempt.note::<()>(&Err(address.into())), None);
    }
    let off = BackOff::new(BackOffSettings { wrong_max: 0, wait_max: SECOND }, [7; 32]);
    assert_eq!((0..100).filter(|_| guess(&off, "192.0.2.1", "demo").is_ok()).count(), 100);
}
