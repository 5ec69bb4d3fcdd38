use keymoot_model::{Kid, TrackName};

use super::*;

fn trail() -> (Arc<Trail>, AuditLog) {
    let log = AuditLog::in_memory();
    let to = NodeAudit { log: log.clone(), node: 3 };
    (Trail::new(to, Action::KEY_CREATE, Some("192.0.2.1".parse().unwrap())), log)
}

fn admitted() -> Admitted {
    Admitted {
        account: AccountId::new("167").unwrap(),
        credential: "enc".to_owned(),
        scheme: Some("udrm-sha1"),
        content: Some(ContentId::new("film").unwrap()),
    }
}

fn key(byte: u8) -> KeyName {
    KeyName {
        content: Some(ContentId::new("film").unwrap()),
        track: Some(TrackName::default_track()),
        kid: Some(Kid::from_bytes([byte; 16])),
        version: Some(1),
        period: None,
    }
}

fn making(keys: Vec<KeyName>) -> Change {
    Change { action: Action::KEY_CREATE, keys, policy: None, object: None }
}

fn told(log: &AuditLog) -> Vec<(String, Outcome, usize, Option<u64>)> {
    let events = log.remembered().into_iter();
    events.map(|event| (event.action.to_string(), event.outcome, event.keys.len(), event.intent)).collect()
}

#[tokio::test]
async fn a_key_that_was_made_is_the_outcome_of_the_intent_and_one_that_was_there_was_read() {
    let (trail, log) = trail();
    trail.admit(admitted());
    let intents = trail.intend(vec![making(vec![key(1)])]).await.unwrap();
    trail.answered(&intents, Some(77), &[Verdict::DONE]);
    trail.hand_out(Action::KEY_READ, key(1));
    trail.hand_out(Action::KEY_READ, key(2));
    assert_eq!(trail.settle(Settled::DONE).unwrap(), Some(2));
    let named = |action: &str, outcome, intent| (action.to_owned(), outcome, 1, intent);
    assert_eq!(
        told(&log),
        [
            named("key.create", Outcome::Intended, None),
            named("key.create", Outcome::Done, Some(0)),
            named("key.read", Outcome::Done, None),
        ]
    );
    let made = &log.remembered()[1];
    assert_eq!((made.log_index, made.node), (Some(77), 3));
    assert_eq!(made.content.as_ref().unwrap().as_str(), "film");
    assert_eq!(made.keys[0].content, None, "it is the event's");
    assert_eq!(made.actor.credential.as_deref(), Some("enc"));
}

#[tokio::test]
async fn of_a_refused_request_no_key_is_named_and_what_it_changed_all_the_same_is() {
    let (trail, log) = trail();
    trail.admit(admitted());
    let intents = trail.intend(vec![making(vec![key(1)]), making(vec![key(2)])]).await.unwrap();
    trail.answered(&intents, Some(7), &[Verdict::DONE, Verdict::failed("there was one")]);
    trail.hand_out(Action::KEY_READ, key(3));
    trail.settle(Settled::refused(Outcome::Failed, 500, "out of luck", 9)).unwrap();
    let named = |outcome, keys, intent| ("key.create".to_owned(), outcome, keys, intent);
    assert_eq!(
        told(&log)[2..],
        [
            named(Outcome::Done, 1, Some(0)),
            named(Outcome::Failed, 1, Some(1)),
            named(Outcome::Failed, 0, None),
        ]
    );
    let last = log.remembered().pop().unwrap();
    assert_eq!((last.status, last.reference.as_deref()), (Some(500), Some("9")));
}

#[tokio::test]
async fn a_request_that_hands_out_nothing_is_told_once_and_one_whose_caller_hung_up_tells_its_intents() {
    let (trail, log) = trail();
    trail.claims(&AccountId::new("x").unwrap(), None);
    assert!(trail.is_strangers());
    trail.settle(Settled::refused(Outcome::Refused, 401, "who".repeat(1000), 1)).unwrap();
    let only = log.remembered().pop().unwrap();
    assert_eq!((only.actor.kind, only.actor.id.as_deref()), (ActorKind::Stranger, Some("x")));
    assert!(only.reason.unwrap().len() <= REASON_BYTES_MAX + 3);
    trail.intend(vec![making(vec![key(1)])]).await.unwrap();
    drop(trail);
    assert_eq!(told(&log).last().unwrap().1, Outcome::Unknown);
}

#[tokio::test]
async fn nothing_is_intended_or_settled_where_nothing_can_be_written() {
    let (trail, log) = trail();
    trail.hand_out(Action::KEY_READ, key(1));
    log.break_for_test(Some(Unwritable { reason: "full".to_owned() }));
    assert!(trail.intend(vec![making(vec![key(1)])]).await.is_err());
    assert!(trail.settle(Settled::DONE).is_err());
}

#[tokio::test]
async fn what_could_not_be_written_in_time_is_said_to_be_undone_or_unanswered() {
    let (trail, log) = trail();
    let stall = |why: Option<&str>| {
        log.stall_for_test(why.map(|why| Unwritable { reason: why.to_owned() }));
    };
    stall(Some("slow"));
    // Not proposed.
    assert!(trail.intend(vec![making(vec![key(1)])]).await.is_err());
    let last = log.remembered().pop().unwrap();
    assert_eq!((last.outcome, last.intent, last.keys.len()), (Outcome::Failed, Some(0), 1));
    assert!(last.reason.unwrap().contains("it was not done: the audit log cannot be written: slow"));
    // Not answered.
    trail.hand_out(Action::KEY_READ, key(1));
    let number = trail.settle(Settled::DONE).unwrap();
    assert!(trail.written(number).await.is_err());
    log.break_for_test(Some(Unwritable { reason: "slow".to_owned() }));
    trail.withhold(Settled::refused(Outcome::Failed, 503, "held back", 4));
    let last = log.remembered().pop().unwrap();
    assert_eq!(
        (last.outcome, last.status, last.reason.as_deref()),
        (Outcome::Failed, Some(503), Some("held back"))
    );
    log.break_for_test(None);
    // What operators ask for, and what the node does.
    let event = || trail.audit().event(Action::NODE_JOIN, Outcome::Done, Actor::SYSTEM);
    assert!(trail.audit().write(event()).await.is_err());
    let told = log.remembered();
    assert_eq!((told[told.len() - 1].outcome, told[told.len() - 1].intent), (Outcome::Failed, None));
    assert!(trail.audit().begin(event()).await.is_err());
    let told = log.remembered();
    let [.., intended, undone] = &told[..] else { panic!("{told:?}") };
    assert_eq!((intended.outcome, undone.outcome), (Outcome::Intended, Outcome::Failed));
    assert_eq!(undone.intent, Some(told.len() as u64 - 2));
    stall(None);
    trail.settle(Settled::DONE).unwrap();
    assert!(trail.audit().write(event()).await.is_ok());
}

#[test]
fn more_keys_than_an_event_holds_are_named_in_several() {
    let (trail, log) = trail();
    trail.admit(admitted());
    for _ in 0..2000 {
        trail.hand_out(Action::PERIODS_READ, key(1));
    }
    trail.settle(Settled::DONE).unwrap();
    let events = log.remembered();
    assert!(events.len() > 1);
    assert_eq!(events.iter().map(|event| event.keys.len()).sum::<usize>(), 2000);
    for event in events {
        assert!(serde_json::to_string(&event).unwrap().len() <= Event::BYTES_MAX);
    }
}
