//! Fail-over, retries and recovery, with a clock that moves only when it is waited on.

use std::time::Duration;

use crate::fakes::{Behaviour, FakeServer, film};
use crate::{ClientError, ClientSettings, KeySource, PointState};

use Behaviour::{Back, Dead, Key, Obeys, Says, Silent, Status};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn impatient() -> ClientSettings {
    ClientSettings { patience: Duration::ZERO, ..ClientSettings::default() }
}

#[test]
fn whatever_the_first_point_fails_with_the_second_answers_at_once() {
    for failing in [
        Dead,
        Silent(secs(12)),
        Status(500, "broken"),
        Status(503, "no quorum"),
        Status(502, "proxy"),
        Status(429, "slow down"),
        Status(302, "elsewhere"),
        Says("<html>"),
        Says(r#"{"key":"AAAA","key_id":"AAAA"}"#),
    ] {
        let server = FakeServer::new(&[failing.clone(), Key(2)]);
        let client = server.client(impatient());
        let (key, _) = client.fetch(&film()).unwrap();
        assert_eq!((key.kid.as_bytes(), server.order().as_str()), (&[2; 16], "ab"), "{failing:?}");
        client.fetch(&film()).unwrap();
        assert_eq!(server.order(), "b", "{failing:?}: the failed point is left alone");
    }
}

#[test]
fn a_refusal_is_final_and_fails_nobody_over() {
    for status in [400, 401, 404] {
        let server = FakeServer::new(&[Status(status, "not that"), Key(2)]);
        let client = server.client(ClientSettings::default());
        let Err(ClientError::Refused { status: given, message, reference, point }) = client.fetch(&film())
        else {
            panic!("{status} was not final");
        };
        assert_eq!((given, message.as_str(), reference), (status, "not that", Some(7)));
        assert_eq!((point.as_str(), server.order().as_str()), ("http://a", "a"));
        assert_eq!(client.status()[0].state, PointState::Healthy);
    }
}

#[test]
fn when_all_fail_they_are_asked_again_after_growing_pauses_until_patience_ends() {
    let server = FakeServer::new(&[Dead, Dead]);
    let settings = ClientSettings { patience: secs(10), ..ClientSettings::default() };
    let client = server.client(settings);
    let error = client.fetch(&film()).unwrap_err();
    let times: Vec<u128> = server
        .asked
        .lock()
        .unwrap()
        .iter()
        .filter(|asked| asked.point == "http://a")
        .map(|a| a.at_ms)
        .collect();
    assert_eq!(times, [0, 200, 600, 1400, 3000, 6200]);
    let text = error.to_string();
    assert!(text.contains("http://a (connection refused); http://b (connection refused)"), "{text}");
    assert!(matches!(error, ClientError::NoServicePoint { .. }));
}

#[test]
fn a_point_that_comes_back_within_patience_answers() {
    let server = FakeServer::new(&[Dead, Back(secs(40), 9)]);
    let client = server.client(ClientSettings::default());
    assert_eq!(client.create(&film(), KeySource::Server).unwrap().0.kid.as_bytes(), &[9; 16]);
    let now = *server.clock.0.lock().unwrap();
    assert!(now >= secs(40) && now < secs(60), "{now:?}");
}

#[test]
fn retries_of_many_requests_together_stay_within_the_budget() {
    let server = FakeServer::new(&[Dead]);
    let settings = ClientSettings { retries_max: 5, retries_per_second: 0.1, ..ClientSettings::default() };
    let client = server.client(settings);
    for _ in 0..20 {
        client.fetch(&film()).unwrap_err();
    }
    let elapsed = server.clock.0.lock().unwrap().as_secs_f64();
    let (asked, firsts) = (server.order().len(), 20);
    let allowed = 5.0 + 0.1 * elapsed;
    assert!(elapsed > 100.0 && asked > 3 * firsts, "{asked} in {elapsed} s");
    assert!((asked - firsts) as f64 <= allowed, "{} retries in {elapsed:.0} s", asked - firsts);
}

#[test]
fn the_client_goes_back_to_the_primary_only_after_it_was_healthy_for_a_while() {
    let server = FakeServer::new(&[Dead, Key(2)]);
    let client = server.client(ClientSettings::default());
    let ask = || {
        client.probe();
        client.fetch(&film()).unwrap();
        server.order()
    };
    assert_eq!(ask(), "ab");
    server.set(0, Key(1));
    let began = *server.clock.0.lock().unwrap();
    let back = (0..120).find(|_| {
        server.clock.pass(secs(1));
        ask() == "a"
    });
    let after = *server.clock.0.lock().unwrap() - began;
    assert!(back.is_some() && after >= secs(30) && after <= secs(35), "back after {after:?}");
}

#[test]
fn a_primary_that_flaps_is_not_gone_back_to() {
    let server = FakeServer::new(&[Dead, Key(2)]);
    let client = server.client(ClientSettings::default());
    client.fetch(&film()).unwrap();
    for second in 0..300 {
        server.set(0, if second % 20 < 15 { Key(1) } else { Dead });
        server.clock.pass(secs(1));
        client.probe();
    }
    server.order();
    client.fetch(&film()).unwrap();
    assert_eq!(server.order(), "b");
}

#[test]
fn a_rotation_by_the_server_is_not_repeated_when_it_may_have_been_done() {
    for lost in [Silent(secs(12)), Status(503, "no quorum"), Says("<html>")] {
        let server = FakeServer::new(&[lost.clone(), Key(2)]);
        let error = server.client(impatient()).rotate(&film(), KeySource::Server).unwrap_err();
        assert!(matches!(error, ClientError::OutcomeUnknown { .. }), "{lost:?}: {error}");
        assert_eq!(server.order(), "a", "{lost:?}");
    }
    let server = FakeServer::new(&[Dead, Key(2)]);
    assert!(server.client(impatient()).rotate(&film(), KeySource::Server).is_ok());
    assert_eq!(server.order(), "ab", "what never arrived may be asked of another");
}

#[test]
fn a_rotation_to_an_own_key_is_repeated_with_the_same_key() {
    let server = FakeServer::new(&[Silent(secs(12)), Status(503, "no quorum"), Obeys]);
    let key = server.client(impatient()).rotate(&film(), KeySource::Own).unwrap();
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|a| a.body == asked[0].body), "another key was tried");
    assert!(String::from_utf8_lossy(&asked[0].body).contains(&key.kid.to_base64()));
}

#[test]
fn a_server_that_swaps_the_supplied_key_is_not_believed() {
    let server = FakeServer::new(&[Key(1), Obeys]);
    server.client(impatient()).rotate(&film(), KeySource::Own).unwrap();
    assert_eq!(server.order(), "ab");
}
