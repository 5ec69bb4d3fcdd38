//! What the audit has of each key that leaves and of each change, whatever the use case.

use keymoot_audit::{Action, AuditLog, Event, NodeAudit, Outcome, Settled, Unwritable};
use keymoot_model::PolicyName;
use keymoot_state::Command;

use super::policies::policy;
use super::*;
use crate::{PolicyCondition, open_server_keys};

/// One request, and what the audit has of it.
struct Asked {
    grant: Grant,
    log: AuditLog,
}

impl Asked {
    fn new() -> Self {
        let log = AuditLog::in_memory();
        let to = NodeAudit { log: log.clone(), node: 1 };
        let trail = Trail::new(to, Action::REQUEST, None);
        Self { grant: grant_on(account(Consistency::Linearizable), trail), log }
    }

    /// The events once it is answered.
    fn answered(self, settled: Settled) -> Vec<Event> {
        self.grant.trail().settle(settled).unwrap();
        self.log.remembered()
    }
}

/// What events say, shortly: action, outcome, how many keys, and the intent that it is the outcome of.
fn told(events: &[Event]) -> Vec<(&str, Outcome, usize, Option<u64>)> {
    let told = |event| -> (&str, Outcome, usize, Option<u64>) {
        let Event { action, outcome, keys, intent, .. }: &Event = event;
        (action.as_str(), *outcome, keys.len(), *intent)
    };
    events.iter().map(told).collect()
}

#[tokio::test]
async fn a_key_that_is_made_is_intended_first_and_one_that_is_there_is_read() {
    let world = World::new();
    let asked = Asked::new();
    let made = world.keys().create(&asked.grant, &film(1), None).await.unwrap();
    let events = asked.answered(Settled::DONE);
    let expected = [("key.create", Outcome::Intended, 1, None), ("key.create", Outcome::Done, 1, Some(0))];
    assert_eq!(told(&events), expected);
    assert_eq!(events[1].log_index, Some(1));
    assert_eq!((events[1].keys[0].kid, events[1].keys[0].version), (Some(made.kid), Some(1)));
    assert_eq!(events[1].content, Some(film(1)));
    for again in [KeyChange::Create, KeyChange::Import] {
        let asked = Asked::new();
        world.keys().change(&asked.grant, &film(1), again, None).await.unwrap();
        assert_eq!(told(&asked.answered(Settled::DONE)), [("key.read", Outcome::Done, 1, None)]);
    }
    let asked = Asked::new();
    world.keys().read(&asked.grant, &film(1)).await.unwrap();
    world.keys().read_version(&asked.grant, &film(1), &made.kid).await.unwrap();
    world.keys().look_up(&asked.grant, &[made.kid, own_key(9).0]).await.unwrap();
    let events = asked.answered(Settled::DONE);
    let expected = [("key.read", Outcome::Done, 2, None), ("key.look_up", Outcome::Done, 1, None)];
    assert_eq!(told(&events), expected);
}

#[tokio::test]
async fn a_replacement_a_deletion_and_a_lost_race_are_told_as_what_they_are() {
    let world = World::new();
    world.keys().create(&world.grant, &film(1), None).await.unwrap();
    let asked = Asked::new();
    world.keys().replace(&asked.grant, &film(1), None).await.unwrap();
    let expected = [("key.replace", Outcome::Intended, 1, None), ("key.replace", Outcome::Done, 1, Some(0))];
    assert_eq!(told(&asked.answered(Settled::DONE)), expected);
    let asked = Asked::new();
    assert_eq!(world.keys().delete(&asked.grant, &film(1), None).await.unwrap(), 2);
    let expected = [("key.delete", Outcome::Intended, 1, None), ("key.delete", Outcome::Done, 1, Some(0))];
    assert_eq!(told(&asked.answered(Settled::DONE)), expected);
    // Another request makes the key between the look and the proposal.
    let asked = Asked::new();
    let other = world.new_key(&film(2), 1, own_key(7).0);
    world.here().next_proposal_is(Fault::After(vec![Command::CreateKey(other)]));
    let served = world.keys().create(&asked.grant, &film(2), None).await.unwrap();
    assert_eq!(served.kid, own_key(7).0);
    let events = asked.answered(Settled::DONE);
    let expected = [
        ("key.create", Outcome::Intended, 1, None),
        ("key.read", Outcome::Done, 1, None),
        ("key.create", Outcome::Failed, 1, Some(0)),
    ];
    assert_eq!(told(&events), expected);
    assert_eq!(events[2].reason.as_deref(), Some("there was a key already"));
}

#[tokio::test]
async fn an_answer_that_was_lost_is_unknown_and_a_refusal_names_no_key() {
    let world = World::new();
    let asked = Asked::new();
    world.here().next_proposal_is(Fault::AnswerLost);
    assert!(is_no_quorum(&world.keys().create(&asked.grant, &film(1), None).await));
    let events = asked.answered(Settled::refused(Outcome::Failed, 503, "no quorum", 7));
    let expected = [
        ("key.create", Outcome::Intended, 1, None),
        ("key.create", Outcome::Unknown, 1, Some(0)),
        ("request", Outcome::Failed, 0, None),
    ];
    assert_eq!(told(&events), expected);
    let asked = Asked::new();
    world.keys().read(&asked.grant, &film(1)).await.unwrap().unwrap();
    let events = asked.answered(Settled::refused(Outcome::Failed, 500, "it cannot be told", 8));
    assert_eq!(told(&events), [("request", Outcome::Failed, 0, None)]);
}

#[tokio::test]
async fn every_period_and_every_exported_key_is_named() {
    let world = World::new();
    let asked = Asked::new();
    let range = PeriodRange::new(10, 5, 20).unwrap();
    world.keys().periods(&asked.grant, &film(1), range).await.unwrap();
    let events = asked.answered(Settled::DONE);
    let expected = [
        ("periods.begin", Outcome::Intended, 1, None),
        // The first periods of a cluster: what their key ids are derived with is made, too.
        ("secrets.make", Outcome::Intended, 0, None),
        ("periods.read", Outcome::Done, 20, None),
        ("periods.begin", Outcome::Done, 1, Some(0)),
        ("secrets.make", Outcome::Done, 0, Some(1)),
    ];
    assert_eq!(told(&events), expected);
    assert_eq!(events[4].log_index, Some(2));
    assert_eq!(events[2].keys[19].period, Some(Period { length_s: 10, index: 24 }));
    world.keys().create(&world.grant, &film(2), None).await.unwrap();
    world.keys().create(&world.grant, &film(3), None).await.unwrap();
    let asked = Asked::new();
    asked.grant.trail().recipient("somebody".to_owned());
    world.keys().export(&asked.grant, None, None).await.unwrap();
    let events = asked.answered(Settled::DONE);
    assert_eq!(told(&events), [("key.export", Outcome::Done, 2, None)]);
    assert_eq!(events[0].recipient.as_deref(), Some("somebody"));
    assert_eq!(events[0].keys[1].content, Some(film(3)), "the contents differ");
}

#[tokio::test]
async fn policies_and_what_comes_with_a_key_are_intended_each_by_itself() {
    let world = World::new();
    let asked = Asked::new();
    world.policies().put(&asked.grant, policy("hd", true), PolicyCondition::Always).await.unwrap();
    let expected = [("policy.put", Outcome::Intended, 0, None), ("policy.put", Outcome::Done, 0, Some(0))];
    let events = asked.answered(Settled::DONE);
    assert_eq!(told(&events), expected);
    let name = PolicyName::new("hd").unwrap();
    assert_eq!(events[0].policy.as_ref(), Some(&name));
    let asked = Asked::new();
    let track = TrackName::default_track();
    let content = film(1);
    let wanted = Ingestion { policy: Some(&name), ..Ingestion::of(&content, WantedKeys::created(&track)) };
    world.keys().ingest(&asked.grant, wanted).await.unwrap();
    let expected = [
        ("policy.attach", Outcome::Intended, 1, None),
        ("key.create", Outcome::Intended, 1, None),
        ("key.create", Outcome::Done, 1, Some(1)),
        ("policy.attach", Outcome::Done, 1, Some(0)),
    ];
    assert_eq!(told(&asked.answered(Settled::DONE)), expected);
}

#[tokio::test]
async fn where_nothing_can_be_written_nothing_is_proposed() {
    let world = World::new();
    let asked = Asked::new();
    asked.log.break_for_test(Some(Unwritable { reason: "the disk is full".to_owned() }));
    let refused = |error| matches!(error, ServiceError::Unaudited(_));
    assert!(refused(world.keys().create(&asked.grant, &film(1), None).await.unwrap_err()));
    assert!(refused(world.keys().delete(&asked.grant, &film(1), None).await.unwrap_err()));
    let policies = world.policies();
    let put = policies.put(&asked.grant, policy("hd", true), PolicyCondition::Always);
    assert!(refused(put.await.unwrap_err()));
    assert_eq!(world.here().log().len(), 0);
    // Nor does the node do anything by itself.
    let (audit, slot) = (NodeAudit { log: asked.log.clone(), node: 1 }, std::sync::OnceLock::new());
    let opened = open_server_keys(world.here(), &world.keyring, &audit, &slot);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(50), opened).await.is_err());
    assert_eq!(world.here().log().len(), 0);
    asked.log.break_for_test(None);
    world.keys().create(&asked.grant, &film(1), None).await.unwrap();
    assert_eq!(world.here().log().len(), 1);
}

#[tokio::test]
async fn what_the_node_makes_by_itself_is_intended_first_and_once() {
    let world = World::new();
    let audit = world.audit();
    for _ in 0..2 {
        let slot = std::sync::OnceLock::new();
        open_server_keys(world.here(), &world.keyring, &audit, &slot).await;
        assert!(slot.get().is_some());
    }
    let events = audit.log.remembered();
    let expected =
        [("secrets.make", Outcome::Intended, 0, None), ("secrets.make", Outcome::Done, 0, Some(0))];
    assert_eq!(told(&events), expected);
    assert_eq!((events[1].object.as_deref(), events[1].log_index), (Some("secret=answers"), Some(1)));
}

/// Where commands are proposed: what audits them first, what notes later and has one intent for all its attempts, the
/// port, and what lets a request in once and decides nothing by itself.
const PROPOSE: [&str; 4] = ["changes.rs", "late.rs", "nonces.rs", "replicated_state.rs"];

#[test]
fn nothing_is_proposed_past_the_audit() {
    let mut open = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut propose = Vec::new();
    while let Some(dir) = open.pop() {
        for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != "tests" {
                open.push(path);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                let text = std::fs::read_to_string(&path).unwrap();
                let asks = [".propose(", ".propose_one(", ".propose_indexed("];
                if asks.iter().any(|asks| text.contains(asks)) {
                    propose.push(name);
                }
            }
        }
    }
    propose.sort();
    assert_eq!(propose, PROPOSE, "a change goes by the module `changes`, which tells the audit of it first");
}
