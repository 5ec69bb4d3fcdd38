//! Whole histories of commands against a model of the tables in memory.

use std::collections::BTreeMap;

use proptest::prelude::*;

use keymoot_model::{
    AccountId, Auxiliary, ContentId, KeyOrigin, KeyPath, Kid, MasterKeyId, Period, TrackName, Wrapped,
};

use super::rotation::new_seed;
use crate::layout::META_DIGEST;
use crate::*;

/// Tables in memory.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Memory(BTreeMap<(Table, Vec<u8>), Vec<u8>>);

impl Tables for Memory {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        Ok(self.0.get(&(table, key.to_vec())).cloned())
    }

    fn prefix(&self, table: Table, prefix: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>, StateError> {
        let wanted = |key: &(Table, Vec<u8>)| key.0 == table && key.1.starts_with(prefix);
        Ok(self
            .0
            .iter()
            .filter(|(key, _)| wanted(key))
            .map(|(key, value)| (key.1.clone(), value.clone()))
            .collect())
    }

    fn page(&self, table: Table, prefix: &[u8], after: &[u8], limit: usize) -> Result<Vec<Pair>, StateError> {
        let all = self.prefix(table, prefix)?;
        Ok(all.into_iter().filter(|(key, _)| key.as_slice() > after).take(limit).collect())
    }
}

impl Memory {
    pub(crate) fn run(&mut self, proposals: &[Proposal]) -> Vec<Vec<Response>> {
        self.run_by(|run| proposals.iter().map(|proposal| apply(run, proposal).unwrap()).collect())
    }

    /// Applies one command, which is the client's whole proposal of this serial number.
    pub(crate) fn run_one(&mut self, serial: u64, now_ms: u64, command: Command) -> Response {
        let proposal = Proposal { client: 1, serial, floor: serial, now_ms, commands: vec![command] };
        self.run(&[proposal]).remove(0).remove(0)
    }

    /// Makes the changes of one run.
    pub(crate) fn run_by<R>(&mut self, changes: impl FnOnce(&mut Transaction<'_, Self>) -> R) -> R {
        let before = self.clone();
        let mut transaction = Transaction::new(&before);
        let result = changes(&mut transaction);
        self.make(transaction.finish().unwrap().0);
        result
    }

    pub(crate) fn make(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change.value {
                Some(value) => self.0.insert((change.table, change.key), value),
                None => self.0.remove(&(change.table, change.key)),
            };
        }
    }

    pub(crate) fn put<V: serde::Serialize>(&mut self, table: Table, key: &[u8], value: &V) {
        let value = keymoot_codec::encode(keymoot_codec::Kind::Record, value).unwrap();
        self.0.insert((table, key.to_vec()), value);
    }

    /// Copies a snapshot's records one by one, as an installation does.
    pub(crate) fn install(&mut self, snapshot: &Self) {
        self.0 = snapshot.0.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = (Table, &[u8], &[u8])> {
        self.0.iter().map(|((table, key), value)| (*table, key.as_slice(), value.as_slice()))
    }

    pub(crate) fn digest_from_scratch(&self) -> Digest {
        let mut digest = Digest::default();
        for ((table, key), value) in &self.0 {
            if (*table, key.as_slice()) != (Table::Meta, META_DIGEST) {
                digest.add(*table, key, value);
            }
        }
        digest
    }
}

pub(crate) fn place(content: u8) -> KeyPath {
    KeyPath {
        account: AccountId::new("167").unwrap(),
        content: ContentId::new(format!("film-{content}")).unwrap(),
        track: TrackName::default_track(),
    }
}

pub(crate) fn new_key(content: u8, version: u32, kid: u8) -> NewKey {
    NewKey {
        place: place(content),
        version,
        kid: Kid::from_bytes([kid; 16]),
        key: Wrapped { master_key: MasterKeyId("mk1".into()), nonce: [kid; 12], ciphertext: vec![kid; 32] },
        origin: KeyOrigin::Generated,
    }
}

pub(crate) fn proposal(serial: u64, commands: Vec<Command>) -> Proposal {
    Proposal { client: 7, serial, floor: serial, now_ms: 1000 + serial, commands }
}

#[test]
fn the_first_create_wins_and_everybody_gets_its_key() {
    let mut memory = Memory::default();
    let first = memory.run(&[proposal(1, vec![Command::CreateKey(new_key(1, 1, 1))])]);
    assert_eq!(first, [[Response::Stored]]);
    let second = memory.run(&[proposal(2, vec![Command::CreateKey(new_key(1, 1, 2))])]);
    let Response::Existing(record) = &second[0][0] else { panic!("{second:?}") };
    assert_eq!(record.kid, Kid::from_bytes([1; 16]));
    assert_eq!(record.created_at_ms, 1001);
    assert_eq!(key_by_kid(&memory, &place(1).account, &Kid::from_bytes([2; 16])).unwrap(), None);
}

#[test]
fn a_replaced_key_stays_reachable_by_its_kid_until_it_is_deleted() {
    let mut memory = Memory::default();
    memory.run(&[proposal(
        1,
        vec![Command::CreateKey(new_key(1, 1, 1)), Command::ReplaceKey(new_key(1, 2, 2))],
    )]);
    assert_eq!(current_key(&memory, &place(1)).unwrap().unwrap().version, 2);
    assert_eq!(
        key_by_kid(&memory, &place(1).account, &Kid::from_bytes([1; 16])).unwrap().unwrap().version,
        1
    );
    let delete = Command::DeleteKey { place: place(1), through: 2, kid: None };
    assert_eq!(memory.run(&[proposal(2, vec![delete])]), [[Response::Deleted { versions: 2 }]]);
    assert_eq!(current_key(&memory, &place(1)).unwrap(), None);
    assert_eq!(key_by_kid(&memory, &place(1).account, &Kid::from_bytes([1; 16])).unwrap(), None);
}

#[test]
fn no_version_is_used_twice_even_after_a_delete() {
    let mut memory = Memory::default();
    memory.run(&[proposal(1, vec![Command::CreateKey(new_key(1, 1, 1))])]);
    memory.run(&[proposal(2, vec![Command::DeleteKey { place: place(1), through: 1, kid: None }])]);
    assert_eq!(next_version(&memory, &place(1)).unwrap(), 2);
    let stale = memory.run(&[proposal(3, vec![Command::CreateKey(new_key(1, 1, 3))])]);
    assert_eq!(stale, [[Response::VersionMoved { next: 2 }]]);
}

#[test]
fn a_delete_that_comes_late_leaves_newer_keys_alone() {
    let mut memory = Memory::default();
    memory.run(&[proposal(
        1,
        vec![Command::CreateKey(new_key(1, 1, 1)), Command::ReplaceKey(new_key(1, 2, 2))],
    )]);
    memory.run(&[proposal(2, vec![Command::DeleteKey { place: place(1), through: 1, kid: None }])]);
    assert_eq!(current_key(&memory, &place(1)).unwrap().unwrap().version, 2);
}

#[test]
fn a_kid_names_one_key_only() {
    let mut memory = Memory::default();
    memory.run(&[proposal(1, vec![Command::CreateKey(new_key(1, 1, 9))])]);
    let other = memory.run(&[proposal(2, vec![Command::CreateKey(new_key(2, 1, 9))])]);
    assert!(matches!(&other[0][0], Response::KidTaken(record) if record.place == place(1)));
    assert_eq!(current_key(&memory, &place(2)).unwrap(), None);
}

#[test]
fn a_retried_proposal_gets_its_old_answer_and_changes_nothing() {
    let mut memory = Memory::default();
    let create = proposal(1, vec![Command::CreateKey(new_key(1, 1, 1))]);
    let delete = proposal(2, vec![Command::DeleteKey { place: place(1), through: 9, kid: None }]);
    let again = proposal(3, vec![Command::CreateKey(new_key(1, 2, 2))]);
    memory.run(&[Proposal { floor: 1, ..create }]);
    let answered = memory.run(&[Proposal { floor: 2, ..delete.clone() }]);
    memory.run(&[Proposal { floor: 2, ..again }]);
    let before = memory.clone();
    assert_eq!(memory.run(std::slice::from_ref(&delete)), answered);
    assert_eq!(memory, before);
    memory.run(&[proposal(4, vec![])]);
    assert_eq!(memory.run(&[delete]), [[Response::AnsweredBefore]]);
    assert_eq!(current_key(&memory, &place(1)).unwrap().unwrap().version, 2);
}

#[test]
fn a_client_silent_for_an_hour_is_forgotten_when_a_new_one_comes() {
    let mut memory = Memory::default();
    memory.run(&[proposal(1, vec![])]);
    let sessions = |memory: &Memory| memory.prefix(Table::Sessions, b"").unwrap().len();
    assert_eq!(sessions(&memory), 2);
    let late = Proposal { client: 8, serial: 1, floor: 1, now_ms: 4_000_000, commands: vec![] };
    memory.run(&[late]);
    assert_eq!(sessions(&memory), 2);
}

#[test]
fn a_cluster_is_founded_once() {
    let identity = |name: &str| ClusterIdentity {
        cluster: name.into(),
        keyring_check: new_key(1, 1, 1).key,
        feature_level: 1,
    };
    let mut memory = Memory::default();
    let commands = vec![Command::Found(identity("a")), Command::Found(identity("b"))];
    assert_eq!(memory.run(&[proposal(1, commands)]), [[Response::Done, Response::Unchanged]]);
    assert_eq!(cluster_identity(&memory).unwrap().unwrap().cluster, "a");
}

fn any_command() -> impl Strategy<Value = Command> {
    let kid = proptest::option::of(0_u8..40).prop_map(|kid| kid.map(|kid| Kid::from_bytes([kid; 16])));
    prop_oneof![
        (0_u8..4, 1_u32..6, 0_u8..40).prop_map(|(c, v, k)| Command::CreateKey(new_key(c, v, k))),
        (0_u8..4, 1_u32..6, 0_u8..40).prop_map(|(c, v, k)| Command::ReplaceKey(new_key(c, v, k))),
        (0_u8..4, 0_u32..6, kid).prop_map(|(c, through, kid)| Command::DeleteKey {
            place: place(c),
            through,
            kid
        }),
        (0_u8..4, 1_u32..8, 0_u32..3).prop_map(|(c, v, l)| Command::CreateSeed(new_seed(c, v, l))),
        (0_u8..4, 1_u32..8, 0_u32..3).prop_map(|(c, v, l)| Command::ReplaceSeed(new_seed(c, v, l))),
        (0_u8..4, 1_u32..8, 0_u8..40, 0_u32..3, 0_u32..3).prop_map(|(c, v, k, length_s, index)| {
            Command::SupplyPeriodKey { key: new_key(c, v, k), period: Period { length_s, index } }
        }),
        (0_u8..3).prop_map(|k| Command::FoundKidKey { key: new_key(1, 1, k).key }),
    ]
}

/// Proposals of one client in order, some of them delivered again later.
fn any_history() -> impl Strategy<Value = Vec<Proposal>> {
    let batches = proptest::collection::vec(proptest::collection::vec(any_command(), 0..4), 1..24);
    let repeats = proptest::collection::vec((any::<proptest::sample::Index>(), 0_usize..6), 0..8);
    (batches, repeats).prop_map(|(batches, repeats)| {
        let mut history: Vec<Proposal> = batches
            .into_iter()
            .zip(1_u64..)
            // Nothing is answered until six more were sent, so every repeat is still remembered.
            .map(|(commands, serial)| Proposal {
                floor: serial.saturating_sub(6).max(1),
                ..proposal(serial, commands)
            })
            .collect();
        let sent = history.clone();
        for (which, later) in repeats {
            let proposal = which.get(&sent).clone();
            let first = history.iter().position(|p| p.serial == proposal.serial).unwrap();
            history.insert((first + 1 + later).min(history.len()), proposal);
        }
        history
    })
}

proptest! {
    #[test]
    fn however_a_history_is_cut_into_runs_the_state_is_the_same(history in any_history(), cut in 1_usize..9) {
        let mut one_by_one = Memory::default();
        let mut in_runs = Memory::default();
        for proposal in &history {
            one_by_one.run(std::slice::from_ref(proposal));
        }
        for run in history.chunks(cut) {
            in_runs.run(run);
        }
        prop_assert_eq!(&one_by_one, &in_runs);
        prop_assert_eq!(digest(&one_by_one).unwrap(), one_by_one.digest_from_scratch());
    }

    #[test]
    fn retried_proposals_apply_once_wherever_they_fall(history in any_history()) {
        let mut with_repeats = Memory::default();
        let mut without = Memory::default();
        let mut answers: BTreeMap<u64, Vec<Response>> = BTreeMap::new();
        for proposal in &history {
            let response = with_repeats.run(std::slice::from_ref(proposal)).remove(0);
            match answers.get(&proposal.serial) {
                Some(first) => {
                    let forgotten = vec![Response::AnsweredBefore; proposal.commands.len()];
                    prop_assert!(*first == response || response == forgotten);
                }
                None => {
                    without.run(std::slice::from_ref(proposal));
                    answers.insert(proposal.serial, response);
                }
            }
        }
        prop_assert_eq!(with_repeats, without);
    }

    #[test]
    fn a_snapshot_and_the_rest_of_the_log_equal_the_whole_log(history in any_history(), at in any::<proptest::sample::Index>()) {
        let at = at.index(history.len());
        let mut whole = Memory::default();
        whole.run(&history);
        let mut first = Memory::default();
        first.run(&history[..at]);
        let mut restored = Memory(first.0.clone());
        restored.run(&history[at..]);
        prop_assert_eq!(whole, restored);
    }

    #[test]
    fn every_current_key_is_found_by_its_kid_and_every_kid_leads_to_its_key(history in any_history()) {
        let mut memory = Memory::default();
        memory.run(&history);
        for content in 0..4 {
            if let Some(current) = current_key(&memory, &place(content)).unwrap() {
                prop_assert_eq!(key_by_kid(&memory, &place(1).account, &current.kid).unwrap(), Some(current));
            }
        }
        for kid in 0..40 {
            let kid = Kid::from_bytes([kid; 16]);
            if let Some(record) = key_by_kid(&memory, &place(1).account, &kid).unwrap() {
                prop_assert_eq!(record.kid, kid);
            }
        }
    }
}

fn put_auxiliary(auxiliary: Option<u32>, if_absent: bool) -> Command {
    let KeyPath { account, content, .. } = place(1);
    let auxiliary = auxiliary.map(|id| Auxiliary { super_cas_id: Some(id), ..Auxiliary::default() });
    Command::PutAuxiliary { account, content, auxiliary, if_absent }
}

#[test]
fn auxiliary_data_is_kept_changed_and_deleted_beside_the_keys() {
    let mut memory = Memory::default();
    let stored = |memory: &Memory| {
        let KeyPath { account, content, .. } = place(1);
        auxiliary(memory, &account, &content).unwrap().and_then(|auxiliary| auxiliary.super_cas_id)
    };
    let steps = [
        (put_auxiliary(Some(1), true), Response::Done, Some(1)),
        (put_auxiliary(Some(2), true), Response::Unchanged, Some(1)),
        (put_auxiliary(Some(2), false), Response::Done, Some(2)),
        (put_auxiliary(Some(2), false), Response::Unchanged, Some(2)),
        (put_auxiliary(None, false), Response::Done, None),
        (put_auxiliary(None, false), Response::Unchanged, None),
    ];
    for (serial, (command, response, left)) in (1..).zip(steps) {
        assert_eq!(memory.run(&[proposal(serial, vec![command])]), [[response]]);
        assert_eq!(stored(&memory), left);
    }
    assert_eq!(digest(&memory).unwrap(), memory.digest_from_scratch());
}

#[test]
fn a_nonce_is_spent_once_and_never_again_while_its_request_could_be_accepted() {
    let mut state = Memory::default();
    let mut serial = 0;
    let mut spend = |digest: u8, created_s: u64, now_s: u64| {
        serial += 1;
        let commands = vec![Command::SpendNonce { digest: [digest; 16], created_s }];
        let proposal = Proposal { client: 1, serial, floor: serial, now_ms: now_s * 1000, commands };
        (
            state.run(&[proposal]).remove(0).remove(0),
            state.0.keys().filter(|key| key.0 == Table::Nonces).count(),
        )
    };
    assert_eq!(spend(1, 10_000, 10_000).0, Response::Done);
    assert_eq!(spend(1, 10_000, 10_001).0, Response::Unchanged);
    assert_eq!(spend(2, 10_000, 10_001).0, Response::Done);
    assert_eq!(spend(1, 10_001, 10_001).0, Response::Done, "another request of the same nonce");
    // Ten minutes later all of them are forgotten, and refused for their age.
    assert_eq!(spend(3, 10_602, 10_602), (Response::Done, 2));
    assert_eq!(spend(1, 10_000, 10_602).0, Response::Unchanged);
    // A client from the future, or a node from the past, moves nothing.
    assert_eq!(spend(4, 99_000, 10_602).0, Response::Done);
    assert_eq!(spend(5, 10_602, 99_000).0, Response::Done);
    assert_eq!(spend(6, 10_300, 10_602).0, Response::Done);
}

/// Spends nonces one by one; what came of each, and how many records there are then.
fn spending(level: u32) -> impl FnMut(u8, u64, u64) -> (Response, usize) {
    let mut state = Memory::default();
    let mut serial = 1;
    let found = vec![Command::Found(super::histories::identity(0, level))];
    state.run(&[Proposal { client: 1, serial, floor: serial, now_ms: 1, commands: found }]);
    move |digest, created_s, now_s| {
        serial += 1;
        let commands = match digest {
            // The level is raised in the middle.
            0 => vec![Command::RaiseFeatureLevel { to: 4 }],
            _ => vec![Command::SpendNonce { digest: [digest; 16], created_s }],
        };
        let proposal = Proposal { client: 1, serial, floor: serial, now_ms: now_s * 1000, commands };
        let answer = state.run(&[proposal]).remove(0).remove(0);
        (answer, state.0.keys().filter(|key| key.0 == Table::Nonces).count())
    }
}

#[test]
fn a_nonce_is_good_once_whatever_time_its_requests_state() {
    let mut spend = spending(4);
    // Its request was made five minutes before it was shown.
    assert_eq!(spend(1, 10_000, 10_300).0, Response::Done);
    for (created_s, now_s) in [(10_000, 10_300), (10_001, 10_300), (10_360, 10_301), (9_999, 10_301)] {
        assert_eq!(spend(1, created_s, now_s).0, Response::Unchanged, "{created_s}");
    }
    // For as long as anything is good that was signed with it by then, whoever else comes.
    assert_eq!(spend(2, 10_720, 10_720).0, Response::Done);
    assert_eq!(spend(1, 10_360, 10_720).0, Response::Unchanged);
    assert_eq!(spend(3, 10_900, 10_900).0, Response::Done);
    assert_eq!(spend(1, 10_900, 10_900).0, Response::Unchanged);
    assert_eq!(spend(4, 10_901, 10_901), (Response::Done, 6), "and no longer");
    assert_eq!(spend(1, 10_300, 10_901).0, Response::Unchanged, "what is older is refused for its age");
    // A proposer's clock that is ahead keeps one for twice as long at most.
    assert_eq!(spend(5, 10_901, 99_000).0, Response::Done);
    for late in [10_902, 11_500, 11_501, 12_100, 12_101, 12_102] {
        spend((late % 200) as u8 + 10, late, late);
    }
    assert!(spend(6, 12_102, 12_102).1 < 12);
    assert_eq!(spend(5, 12_102, 12_102).0, Response::Done);
}

#[test]
fn nonces_that_were_spent_before_the_level_was_raised_stay_spent() {
    let mut spend = spending(3);
    assert_eq!(spend(1, 10_000, 10_000).0, Response::Done);
    assert_eq!(spend(1, 10_001, 10_001).0, Response::Done, "so it was");
    assert_eq!(spend(0, 0, 10_002).0, Response::Done);
    assert_eq!(spend(1, 10_000, 10_003).0, Response::Unchanged);
    assert_eq!(spend(1, 10_001, 10_003).0, Response::Unchanged);
    assert_eq!(spend(1, 10_003, 10_003).0, Response::Done, "it is known by its times only");
    assert_eq!(spend(1, 10_004, 10_004).0, Response::Unchanged);
    // Those from before are forgotten, and not the one that came after.
    assert_eq!(spend(2, 10_602, 10_602), (Response::Done, 4));
    assert_eq!(spend(1, 10_602, 10_602).0, Response::Unchanged);
}

#[test]
fn the_servers_secret_is_stored_once() {
    let secret = |byte| Wrapped {
        master_key: MasterKeyId("mk1".to_owned()),
        nonce: [byte; 12],
        ciphertext: vec![byte; 48],
    };
    let mut state = Memory::default();
    let put = |byte, serial| Proposal {
        client: 1,
        serial,
        floor: serial,
        now_ms: 1,
        commands: vec![Command::PutServerSecret { secret: secret(byte) }],
    };
    assert_eq!(state.run(&[put(1, 1)]), [[Response::Done]]);
    assert_eq!(state.run(&[put(2, 2)]), [[Response::Unchanged]]);
    assert_eq!(server_secret(&state).unwrap(), Some(secret(1)));
}
