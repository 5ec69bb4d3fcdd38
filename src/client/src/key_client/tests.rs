//! Keys from the cache during an outage of the whole key server.

use std::time::Duration;

use crate::fakes::{Behaviour, FakeServer, film};
use crate::{ClientError, ClientSettings, Freshness, KeySource};

use Behaviour::{Dead, Key, Says, Silent, Status};

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn tolerant() -> ClientSettings {
    ClientSettings { outage_tolerance: secs(600), ..ClientSettings::default() }
}

fn both(server: &FakeServer, behaviour: Behaviour) {
    server.set(0, behaviour.clone());
    server.set(1, behaviour);
}

#[test]
fn an_outage_within_tolerance_is_ridden_out_with_the_remembered_key_and_then_ends() {
    let server = FakeServer::new(&[Key(1), Key(1)]);
    let client = server.client(tolerant());
    assert_eq!(client.fetch(&film()).unwrap().1, Freshness::Answered);
    both(&server, Dead);
    server.clock.pass(secs(300));
    let (key, freshness) = client.fetch(&film()).unwrap();
    assert_eq!((key.key.expose(), freshness), (&[1; 16], Freshness::Remembered { age: secs(300) }));
    server.clock.pass(secs(301));
    assert!(matches!(client.fetch(&film()), Err(ClientError::NoServicePoint { .. })));
    both(&server, Key(2));
    assert_eq!(client.fetch(&film()).unwrap().0.key.expose(), &[2; 16]);
}

#[test]
fn during_an_outage_a_remembered_key_costs_no_time_out_each_time() {
    let server = FakeServer::new(&[Key(1), Key(1)]);
    let client = server.client(tolerant());
    client.fetch(&film()).unwrap();
    both(&server, Silent(secs(12)));
    client.fetch(&film()).unwrap();
    server.order();
    let before = *server.clock.0.lock().unwrap();
    client.create(&film(), KeySource::Server).unwrap();
    assert!(*server.clock.0.lock().unwrap() - before <= secs(12));
    assert!(server.order().len() <= 1);
}

#[test]
fn without_tolerance_an_outage_is_an_error() {
    let server = FakeServer::new(&[Key(1), Key(1)]);
    let client = server.client(ClientSettings { patience: secs(1), ..ClientSettings::default() });
    client.fetch(&film()).unwrap();
    both(&server, Dead);
    assert!(matches!(client.fetch(&film()), Err(ClientError::NoServicePoint { .. })));
}

#[test]
fn a_key_that_the_server_denies_or_deletes_is_remembered_no_longer() {
    for deny in [Status(404, "gone"), Status(401, "unauthorized")] {
        let server = FakeServer::new(&[Key(1), Key(1)]);
        let client = server.client(ClientSettings { patience: secs(1), ..tolerant() });
        client.fetch(&film()).unwrap();
        both(&server, deny);
        client.fetch(&film()).unwrap_err();
        both(&server, Dead);
        assert!(matches!(client.fetch(&film()), Err(ClientError::NoServicePoint { .. })));
    }
    let server = FakeServer::new(&[Key(1)]);
    let client = server.client(ClientSettings { patience: secs(1), ..tolerant() });
    client.fetch(&film()).unwrap();
    server.set(0, Says(r#"{"content_id":"film","deleted":3}"#));
    assert_eq!(client.delete(&film()).unwrap(), 3);
    server.set(0, Dead);
    assert!(client.fetch(&film()).is_err());
}

#[test]
fn an_answer_always_wins_over_the_memory() {
    let server = FakeServer::new(&[Key(1), Dead]);
    let client = server.client(tolerant());
    client.fetch(&film()).unwrap();
    server.set(0, Key(2));
    assert_eq!(client.fetch(&film()).unwrap().0.key.expose(), &[2; 16]);
}
