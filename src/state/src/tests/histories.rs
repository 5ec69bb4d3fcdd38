//! Whole histories: every command, several proposers whose clocks disagree, and forwarded proposals that are
//! repeated in any order.
//!
//! A history is generated from actions of proposers and the network, so that a proposer could have sent every
//! serial and floor.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::Index;

use keymoot_model::{
    Account, AccountChange, AccountId, Auxiliary, Consistency, ContentId, Fingerprint, KeyPath, Kid,
    MasterKeyId, MasterKeyVerifier, OperatorName, Period, Policy, PolicyName, ResponseShape, Role,
    ViewerPlace,
};

use super::apply::{Memory, new_key, place};
use super::bytes::wrapped;
use super::documents::new_document;
use super::rotation::new_seed;
use crate::*;

fn names() -> (AccountId, ContentId) {
    let KeyPath { account, content, .. } = place(1);
    (account, content)
}

pub(super) fn account(number: u8) -> Account {
    Account {
        id: AccountId::new(format!("account-{number}")).unwrap(),
        ca_systems: vec![],
        credentials: vec![],
        allow_list: vec![],
        consistency: Consistency::Linearizable,
        response_shape: ResponseShape::ByPath,
        license_url: Some(format!("https://example.net/{number}")),
        created_at_ms: u64::from(number),
        minimum_scheme: None,
        allow_unsigned_packagers: false,
        playready_la_url: None,
    }
}

pub(super) fn identity(number: u8, feature_level: u32) -> ClusterIdentity {
    let keyring_check = new_key(1, 1, number).key;
    ClusterIdentity { cluster: format!("cluster-{number}"), keyring_check, feature_level }
}

pub(super) fn policy_name(number: u8) -> PolicyName {
    PolicyName::new(format!("policy-{number}")).unwrap()
}

fn viewer(number: u8) -> ViewerPlace {
    let (account, content) = names();
    ViewerPlace { account, content, viewer: [number; 16] }
}

fn key_command() -> impl Strategy<Value = Command> {
    let kid = || (0_u8..40).prop_map(|kid| Kid::from_bytes([kid; 16]));
    prop_oneof![
        (0_u8..4, 1_u32..6, 0_u8..40).prop_map(|(c, v, k)| Command::CreateKey(new_key(c, v, k))),
        (0_u8..4, 1_u32..6, 0_u8..40).prop_map(|(c, v, k)| Command::ReplaceKey(new_key(c, v, k))),
        (0_u8..4, 0_u32..6, proptest::option::of(kid()))
            .prop_map(|(c, through, kid)| { Command::DeleteKey { place: place(c), through, kid } }),
        (0_u8..4, 1_u32..8, 0_u32..3).prop_map(|(c, v, l)| Command::CreateSeed(new_seed(c, v, l))),
        (0_u8..4, 1_u32..8, 0_u32..3).prop_map(|(c, v, l)| Command::ReplaceSeed(new_seed(c, v, l))),
        (0_u8..4, 1_u32..8, 0_u8..40, 0_u32..3, 0_u32..3).prop_map(|(c, v, k, length_s, index)| {
            Command::SupplyPeriodKey { key: new_key(c, v, k), period: Period { length_s, index } }
        }),
        (0_u8..3).prop_map(|k| Command::FoundKidKey { key: new_key(1, 1, k).key }),
        (0_u8..4, proptest::option::of(0_u32..3), any::<bool>()).prop_map(|(c, id, if_absent)| {
            let KeyPath { account, content, .. } = place(c);
            let auxiliary = id.map(|id| Auxiliary { super_cas_id: Some(id), ..Auxiliary::default() });
            Command::PutAuxiliary { account, content, auxiliary, if_absent }
        }),
    ]
}

fn cluster_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        (0_u8..4, any::<bool>())
            .prop_map(|(n, if_absent)| Command::PutAccount { account: account(n), if_absent }),
        (0_u8..4).prop_map(|n| Command::DeleteAccount { id: account(n).id }),
        (0_u8..4, any::<bool>()).prop_map(|(n, suspend)| Command::ChangeAccount {
            id: account(n).id,
            change: Box::new(if suspend { AccountChange::Suspend } else { AccountChange::Resume }),
        }),
        (0_u64..3, 0_u8..2).prop_map(|(revision, n)| Command::DeclareAccounts { revision, digest: [n; 32] }),
        (0_u64..3, 0_u8..4).prop_map(|(revision, n)| Command::DeclareAccount {
            revision,
            account: Box::new(account(n)),
            expires_at_ms: Vec::new(),
            sha1: None,
            documents: None,
        }),
        (0_u8..3, 1_u32..3).prop_map(|(n, level)| Command::Found(identity(n, level))),
        (1_u32..5).prop_map(|to| Command::RaiseFeatureLevel { to }),
        (0_u8..6, 990_u64..1100)
            .prop_map(|(n, created_s)| Command::SpendNonce { digest: [n; 16], created_s }),
        (0_u8..3).prop_map(|n| Command::PutServerSecret { secret: new_key(1, 1, n).key }),
    ]
}

fn condition() -> impl Strategy<Value = PolicyCondition> {
    prop_oneof![
        Just(PolicyCondition::Always),
        Just(PolicyCondition::IfAbsent),
        Just(PolicyCondition::IfPresent),
        (1_u64..5).prop_map(PolicyCondition::IfVersion),
    ]
}

fn viewing_command() -> impl Strategy<Value = Command> {
    let named = || proptest::option::of((0_u8..3).prop_map(policy_name));
    prop_oneof![
        (0_u8..3, 1_u32..4, condition()).prop_map(|(n, license_s, condition)| {
            let license_duration_s = std::num::NonZeroU32::new(license_s);
            let policy = Policy { license_duration_s, ..Policy::streaming(policy_name(n)) };
            Command::PutPolicy { account: names().0, policy: Box::new(policy), condition }
        }),
        (0_u8..3, condition()).prop_map(|(n, condition)| Command::DeletePolicy {
            account: names().0,
            name: policy_name(n),
            condition
        }),
        (0_u8..3, named(), any::<bool>()).prop_map(|(c, policy, if_absent)| {
            let KeyPath { account, content, .. } = place(c);
            Command::AttachPolicy { account, content, policy, if_absent }
        }),
        named().prop_map(|policy| Command::SetDefaultPolicy { account: names().0, policy }),
        (0_u8..2, 0_u8..3, 1_u32..20, 1_u16..3).prop_map(|(v, device, duration_s, slots)| {
            Command::ClaimLease { place: viewer(v), device: [device; 16], duration_s, slots }
        }),
        (0_u8..2, 0_u8..3)
            .prop_map(|(v, device)| Command::ReleaseLease { place: viewer(v), device: [device; 16] }),
        (0_u8..2).prop_map(|v| Command::BeginRental { place: viewer(v) }),
        (0_u8..2).prop_map(|v| Command::EndRental { place: viewer(v) }),
    ]
}

fn good_backup() -> impl Strategy<Value = GoodBackup> {
    (1_u64..4, 1_u64..6).prop_map(|(node, index)| GoodBackup {
        node,
        made_at_ms: 1000 * index,
        index,
        bytes: 7,
        digest: "d".into(),
        file: format!("f{index}"),
    })
}

fn backup_command() -> impl Strategy<Value = Command> {
    let progress = prop_oneof![
        (0_u64..3).prop_map(BackupProgress::UnderWay),
        good_backup().prop_map(BackupProgress::Good),
        (0_u8..3).prop_map(|reason| BackupProgress::Failed(format!("reason {reason}"))),
    ];
    prop_oneof![
        proptest::option::of(60_u64..62).prop_map(|every_s| {
            let directory = "/b".to_owned();
            let schedule = every_s.map(|every_s| BackupSchedule { every_s, keep: 2, directory });
            Command::ScheduleBackups(schedule.map(Box::new))
        }),
        (1_u64..4, 0_u64..4).prop_map(|(node, after)| Command::ClaimBackup { node, after }),
        (1_u64..4, 1_u64..4, progress).prop_map(|(turn, node, progress)| Command::NoteBackup {
            turn,
            node,
            progress: Box::new(progress)
        }),
        good_backup().prop_map(|good| Command::NoteGoodBackup(Box::new(good))),
        (1_u64..4, 1_u32..3).prop_map(|(node, count)| Command::ReserveWraps {
            node,
            master_key: MasterKeyId(format!("mk{count}")),
            count
        }),
    ]
}

fn operator_command() -> impl Strategy<Value = Command> {
    let name = |n: u8| OperatorName::new(format!("operator-{n}")).unwrap();
    let mark = |n: u8| Fingerprint::from_bytes([n; 32]);
    let change = (0_u8..3, 0_u8..6, 0_u8..6, 0_usize..5).prop_map(move |(n, other, kind, role)| match kind {
        0 => OperatorChange::Add {
            name: name(n),
            roles: vec![Role::ALL[role]],
            fingerprint: mark(other),
            expires_at_s: u64::from(other),
            voucher: Voucher::Keyring { node: 1, acknowledged_by: None },
        },
        1 => OperatorChange::SetRoles { name: name(n), roles: vec![Role::ALL[role]] },
        2 => OperatorChange::AddCertificate {
            name: name(n),
            by: name(n),
            fingerprint: mark(other),
            expires_at_s: 9,
        },
        3 => OperatorChange::RevokeCertificate { name: name(n), fingerprint: mark(other) },
        4 => OperatorChange::Acknowledge { name: name(n), by: name(other) },
        _ => OperatorChange::Revoke { name: name(n) },
    });
    change.prop_map(|change| Command::ChangeOperators(Box::new(change)))
}

/// What takes two persons, among operators of whom some are there.
fn approval_command() -> impl Strategy<Value = Command> {
    let name = |n: u8| OperatorName::new(format!("operator-{n}")).unwrap();
    (0_u8..3, 0_u8..3, 1_u64..6, 0_u8..7).prop_map(move |(n, other, id, kind)| {
        let (by, acts) = (name(n), ActKind::ALL.into_iter().take(other.into()).collect());
        let act = Act::SetRoles { name: name(other), roles: vec![Role::Security] };
        let change = match kind {
            0 => ApprovalChange::Ask { act, by },
            1 => ApprovalChange::Approve { id, by },
            2 => ApprovalChange::Withdraw { id, by },
            3 => ApprovalChange::SetRule { rule: TwoPersonRule { acts, within_s: 60 * id }, by },
            4 => ApprovalChange::PermitKeyRemoval { id: "mk1".to_owned() },
            5 => ApprovalChange::Ask { act: Act::RemoveMasterKey { id: "mk1".to_owned() }, by },
            _ => ApprovalChange::OpenExport { account: account(other).id, for_s: 60 },
        };
        Command::ChangeApprovals(Box::new(change))
    })
}

fn sign_in_command() -> impl Strategy<Value = Command> {
    let name = |n: u8| OperatorName::new(format!("operator-{n}")).unwrap();
    (0_u8..3, 0_u8..3, 0_u64..6, 0_u8..4).prop_map(move |(n, other, step, kind)| {
        let (name, by, digest) = (name(n), name(other), Fingerprint::from_bytes([other; 32]));
        let change = match kind {
            0 => SignInChange::Set { name, by, password: wrapped(), codes: Some(wrapped()) },
            1 => SignInChange::Begin { name, version: 1, step, digest, from: "::1".to_owned() },
            2 => SignInChange::See { name, digest },
            _ => SignInChange::End { name, digest: Some(digest).filter(|_| step > 0) },
        };
        Command::ChangeSignIn(Box::new(change))
    })
}

fn witness_command() -> impl Strategy<Value = Command> {
    let token = |n: u8| JoinTokenRecord {
        id: [n; 8],
        secret_digest: [n; 32],
        expires_at_ms: 1_005_000,
        learner: false,
        zone: None,
        revoked: false,
        spent: None,
    };
    let admission = |n: u8, key: u8| Admission {
        token: [n; 8],
        secret_digest: [n; 32],
        key_digest: [key; 32],
        id: None,
        highest_id: 0,
        facts: NodeFacts { zone: "z".into(), version: "v".into(), feature_level: 4 },
    };
    let verifier =
        |n: u8| MasterKeyVerifier { master_key: MasterKeyId(format!("mk{n}")), public_key: [n; 32] };
    prop_oneof![
        (0_u8..3).prop_map(move |n| Command::PutWitnessToken(Box::new(token(n)))),
        (0_u8..3, 0_u8..3).prop_map(move |(n, key)| Command::AdmitWitness(Box::new(admission(n, key)))),
        (0_u8..3).prop_map(|n| Command::RevokeJoinToken { id: [n; 8] }),
        (0_u8..3).prop_map(move |n| Command::SetVerifiers((0..n).map(verifier).collect())),
    ]
}

fn audit_log_command() -> impl Strategy<Value = Command> {
    let name = |node: u64, log: u8| AuditLogName { node, log: AuditLogId::from_bytes([log; 8]) };
    (1_u64..4, 0_u8..2, 1_u64..4, 0_u64..40, 0_u8..8).prop_map(move |(node, log, by, size, kind)| {
        let (at, name, signature) = (AuditSize { size, root: [0; 32] }, name(node, log), vec![0; 64]);
        Command::ChangeAuditLogs(Box::new(match kind {
            0 => AuditLogChange::Register { name, public_key: [log; 32], before: None },
            1..5 => AuditLogChange::PutCheckpoint { name, at, signature },
            _ => {
                let by = AuditLogName { node: by, ..name };
                let cosignature = AuditCosignature { by, time_s: size, signature };
                AuditLogChange::Cosign { name, at, cosignature }
            }
        }))
    })
}

fn document_command() -> impl Strategy<Value = Command> {
    let answered = (1_u32..4, 1_u32..4).prop_map(|(version, seed)| DocumentVersion { version, seed });
    let note = (0_u8..4, 0_u8..8, 1_u8..4, any::<bool>(), proptest::option::weighted(0.2, answered))
        .prop_map(|(content, kid, keys, is_clear, answered)| {
            Command::NoteDocument(Box::new(NewDocument {
                answered,
                ..new_document(content, &(kid..kid + keys).collect::<Vec<_>>(), is_clear)
            }))
        });
    let placed = |c: u8| (place(c).account, place(c).content);
    prop_oneof![
        3 => note,
        1 => (0_u8..4).prop_map(move |c| {
            let (account, content) = placed(c);
            Command::RotateDocuments { account, content }
        }),
        1 => (0_u8..4, 0_u32..4).prop_map(move |(c, through)| {
            let (account, content) = placed(c);
            Command::DeleteDocuments { account, content, through }
        }),
        1 => (0_u8..4, 0_u8..10).prop_map(move |(c, kid)| {
            let ((account, content), kid) = (placed(c), Kid::from_bytes([kid; 16]));
            Command::DeleteDocumentKid { account, content, kid }
        }),
    ]
}

fn any_command() -> impl Strategy<Value = Command> {
    prop_oneof![
        2 => document_command(),
        1 => audit_log_command(),
        1 => approval_command(),
        1 => sign_in_command(),
        3 => key_command(),
        1 => cluster_command(),
        3 => viewing_command(),
        1 => backup_command(),
        1 => operator_command(),
        1 => witness_command(),
    ]
}

/// An event outside the state.
#[derive(Clone, Debug)]
enum Event {
    /// A proposer sends a proposal for the first time, at its own clock's time.
    Send { client: u64, clock_ms: u64, commands: Vec<Command> },
    /// The network delivers a sent proposal, perhaps again.
    Deliver(Index),
    /// A proposer gets the answer to a delivered proposal.
    Answer(Index),
}

fn event(clock_ms_max: u64) -> impl Strategy<Value = Event> {
    let commands = proptest::collection::vec(any_command(), 0..4);
    prop_oneof![
        3 => (0_u64..3, 0_u64..clock_ms_max, commands).prop_map(|(client, clock_ms, commands)| {
            Event::Send { client, clock_ms, commands }
        }),
        5 => any::<Index>().prop_map(Event::Deliver),
        2 => any::<Index>().prop_map(Event::Answer),
    ]
}

/// The log: proposals in the order of delivery, some of them several times.
fn log_of(events: Vec<Event>) -> Vec<Proposal> {
    let mut log = Vec::new();
    let mut sent: Vec<Proposal> = Vec::new();
    let mut serials: BTreeMap<u64, u64> = BTreeMap::new();
    let mut unanswered: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    let mut brought: BTreeSet<(u64, u64)> = BTreeSet::new();
    for (step, event) in events.into_iter().enumerate() {
        match event {
            Event::Send { client, clock_ms, commands } => {
                let serial = serials.entry(client).and_modify(|serial| *serial += 1).or_insert(1);
                let waiting = unanswered.entry(client).or_default();
                waiting.insert(*serial);
                let floor = waiting.first().copied().unwrap_or(*serial);
                let now_ms = 1_000_000 + 1500 * step as u64 + clock_ms;
                sent.push(Proposal { client, serial: *serial, floor, now_ms, commands });
            }
            Event::Deliver(which) if !sent.is_empty() => {
                let proposal = which.get(&sent).clone();
                brought.insert((proposal.client, proposal.serial));
                log.push(proposal);
            }
            Event::Answer(which) if !log.is_empty() => {
                let answered: &Proposal = which.get(&log);
                unanswered.entry(answered.client).or_default().remove(&answered.serial);
            }
            Event::Deliver(_) | Event::Answer(_) => {}
        }
    }
    // Proposals that were never delivered come last.
    log.extend(sent.into_iter().filter(|proposal| !brought.contains(&(proposal.client, proposal.serial))));
    log
}

fn any_log() -> impl Strategy<Value = Vec<Proposal>> {
    log_by_clocks(3000)
}

/// A log of proposers whose clocks differ by up to `clock_ms_max`.
fn log_by_clocks(clock_ms_max: u64) -> impl Strategy<Value = Vec<Proposal>> {
    let events = proptest::collection::vec(event(clock_ms_max), 1..60);
    events.prop_map(log_of).prop_filter("empty", |log| !log.is_empty())
}

/// The same in a cluster that counts its clients.
fn log_of_a_new_cluster(clock_ms_max: u64) -> impl Strategy<Value = Vec<Proposal>> {
    log_by_clocks(clock_ms_max).prop_map(|mut log| {
        let commands = vec![Command::Found(identity(0, FEATURE_LEVEL))];
        log.insert(0, Proposal { client: 9, serial: 1, floor: 1, now_ms: 1, commands });
        log
    })
}

/// Only the first delivery of each proposal.
fn without_repeats(log: &[Proposal]) -> Vec<Proposal> {
    let mut seen = BTreeSet::new();
    log.iter().filter(|proposal| seen.insert((proposal.client, proposal.serial))).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_same_log_gives_the_same_state_and_digest_however_it_is_cut(
        log in log_by_clocks(10_000_000),
        cut in 1_usize..9,
    ) {
        let (mut one_by_one, mut in_runs) = (Memory::default(), Memory::default());
        let answers: Vec<_> = log.iter().flat_map(|p| one_by_one.run(std::slice::from_ref(p))).collect();
        let in_run_answers: Vec<_> = log.chunks(cut).flat_map(|run| in_runs.run(run)).collect();
        prop_assert_eq!(&one_by_one, &in_runs);
        prop_assert_eq!(answers, in_run_answers);
        prop_assert_eq!(digest(&one_by_one).unwrap(), one_by_one.digest_from_scratch());
    }

    #[test]
    fn a_snapshot_and_the_tail_equal_the_replay(log in log_by_clocks(10_000_000), at in any::<Index>()) {
        let at = at.index(log.len());
        let mut whole = Memory::default();
        whole.run(&log);
        let mut first = Memory::default();
        first.run(&log[..at]);
        let mut restored = Memory::default();
        restored.install(&first);
        restored.run(&log[at..]);
        prop_assert_eq!(digest(&restored).unwrap(), digest(&whole).unwrap());
        prop_assert_eq!(restored, whole);
    }

    #[test]
    fn any_interleaving_of_retried_forwards_applies_each_once(
        log in prop_oneof![any_log(), log_of_a_new_cluster(100_000_000)],
    ) {
        let (mut with_repeats, mut plain) = (Memory::default(), Memory::default());
        let mut answers: BTreeMap<(u64, u64), Vec<Response>> = BTreeMap::new();
        for proposal in &log {
            let before = with_repeats.clone();
            let answer = with_repeats.run(std::slice::from_ref(proposal)).remove(0);
            match answers.get(&(proposal.client, proposal.serial)) {
                Some(first) => {
                    let forgotten = vec![Response::AnsweredBefore; proposal.commands.len()];
                    prop_assert!(*first == answer || forgotten == answer, "{:?} then {:?}", first, answer);
                    prop_assert_eq!(&before, &with_repeats);
                }
                None => {
                    answers.insert((proposal.client, proposal.serial), answer);
                }
            }
        }
        plain.run(&without_repeats(&log));
        prop_assert_eq!(with_repeats, plain);
    }

    #[test]
    fn every_kid_leads_to_its_own_key_at_every_moment(log in any_log()) {
        let mut memory = Memory::default();
        for proposal in &log {
            memory.run(std::slice::from_ref(proposal));
            for content in 0..4 {
                if let Some(current) = current_key(&memory, &place(content)).unwrap() {
                    prop_assert_eq!(key_by_kid(&memory, &place(1).account, &current.kid).unwrap(), Some(current));
                }
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
