//! Which requests a client sends, and in which order.

use super::*;

fn text(traffic: &dyn Traffic, client: usize, serial: u64) -> String {
    let mut out = Vec::new();
    traffic.write_request(client, serial, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn fresh_requests_come_once_whether_they_were_made_beforehand_or_not() {
    let fresh = Fresh::new(|serial| "x".repeat(usize::try_from(serial).unwrap() + 1).into_bytes());
    let mut lengths = Vec::new();
    for (ahead, asked) in [(0, 2), (3, 5), (2, 1), (2, 4)] {
        fresh.prepare(ahead);
        lengths.extend((0..asked).map(|_| text(&fresh, 7, 7).len()));
    }
    assert_eq!(lengths, (1..=12).collect::<Vec<_>>());
}

#[test]
fn what_was_made_beforehand_is_not_made_again() {
    let made = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&made);
    let fresh = Fresh::new(move |_| counted.fetch_add(1, Ordering::Relaxed).to_string().into_bytes());
    fresh.prepare(3);
    let texts: Vec<String> = (0..4).map(|_| text(&fresh, 0, 0)).collect();
    assert_eq!((texts.join(" "), made.load(Ordering::Relaxed)), ("0 1 2 3".to_owned(), 4));
}

#[test]
fn one_of_twenty_requests_of_a_mixed_day_is_a_create() {
    let reads = Arc::new(Ring(vec![b"read".to_vec()]));
    let mixed = Mixed { reads, creates: Fresh::new(|_| b"create".to_vec()) };
    mixed.prepare(100);
    assert_eq!((0..100).filter(|serial| text(&mixed, 3, *serial) == "create").count(), 5);
}

#[test]
fn clients_begin_a_ring_at_different_requests() {
    let ring = Ring((0..10).map(|request: u8| vec![b'0' + request]).collect());
    let of = |client| (0..4).map(|serial| text(&ring, client, serial)).collect::<String>();
    assert_eq!((of(0), of(1), of(2)), ("0123".to_owned(), "9012".to_owned(), "8901".to_owned()));
}
