//! Nodes, tokens and the feature level, as the state keeps them.

use keymoot_model::{MasterKeyId, MasterKeyVerifier, Wrapped};

use super::apply::Memory;
use crate::*;

fn facts(zone: &str, feature_level: u32) -> NodeFacts {
    NodeFacts { zone: zone.into(), version: "0.1.0".into(), feature_level }
}

fn token(id: u8) -> JoinTokenRecord {
    JoinTokenRecord {
        id: [id; 8],
        secret_digest: [id; 32],
        expires_at_ms: 1000,
        learner: false,
        zone: None,
        revoked: false,
        spent: None,
    }
}

fn admission(token: u8, key: u8) -> Admission {
    Admission {
        token: [token; 8],
        secret_digest: [token; 32],
        key_digest: [key; 32],
        id: None,
        highest_id: 0,
        facts: facts("a", 1),
    }
}

#[test]
fn a_witness_is_admitted_by_a_token_of_its_own_kind_and_stays_one() {
    let mut log = Log::new();
    let check = Wrapped { master_key: MasterKeyId("m".to_owned()), nonce: [0; 12], ciphertext: vec![] };
    let identity = ClusterIdentity { cluster: "moot".into(), keyring_check: check, feature_level: 4 };
    log.at(1, Command::Found(identity));
    log.at(2, Command::DescribeNode { id: 1, facts: facts("a", 4) });
    log.put(token(1));
    assert_eq!(log.at(3, Command::PutWitnessToken(Box::new(token(2)))), Response::Done);
    let admit = |token, key| Command::AdmitWitness(Box::new(admission(token, key)));
    let unknown = Response::TokenRefused(TokenRefusal::Unknown);
    assert_eq!(log.at(4, admit(1, 5)), unknown, "a token of a node");
    assert_eq!(log.admit(2, 5), unknown, "a token of a witness");
    let admitted = Response::Admitted { id: 2, learner: false };
    assert_eq!(log.at(5, admit(2, 5)), admitted);
    assert_eq!(log.at(6, admit(2, 5)), admitted, "the answer may be lost");
    assert_eq!(log.at(6, admit(2, 6)), Response::TokenRefused(TokenRefusal::Spent));
    assert_eq!(log.admit(1, 9), Response::Admitted { id: 3, learner: false });
    let standing = |log: &Log, id, key| key_standing(&log.memory, id, &[key; 32]).unwrap();
    assert_eq!((standing(&log, 2, 5), standing(&log, 3, 9)), (KeyStanding::Witness, KeyStanding::Registered));
    assert_eq!(standing(&log, 2, 6), KeyStanding::Other);
    assert_eq!(witnesses(&log.memory).unwrap(), [2].into());
    // Another key makes it no other node, and it is revoked and removed like any.
    log.at(7, Command::RegisterNodeKey { id: 2, digest: [6; 32] });
    assert_eq!(standing(&log, 2, 6), KeyStanding::Witness);
    log.at(8, Command::RevokeCertificate { id: 2 });
    assert_eq!(standing(&log, 2, 6), KeyStanding::Revoked);
    log.at(9, Command::RemoveNode { id: 2 });
    assert_eq!(standing(&log, 2, 6), KeyStanding::Removed { revoked: true });
    // A token is revoked by its id, whatever its kind.
    log.at(10, Command::PutWitnessToken(Box::new(token(4))));
    assert_eq!(log.at(11, Command::RevokeJoinToken { id: [4; 8] }), Response::Done);
    assert_eq!(log.at(12, admit(4, 7)), Response::TokenRefused(TokenRefusal::Revoked));
    assert_eq!(
        log.at(13, Command::RevokeJoinToken { id: [2; 8] }),
        Response::TokenRefused(TokenRefusal::Spent)
    );
    assert_eq!(log.at(14, Command::RevokeJoinToken { id: [9; 8] }), unknown);
    let ids = |kind| -> Vec<u8> {
        join_tokens(&log.memory, kind).unwrap().iter().map(|token| token.id[0]).collect()
    };
    assert_eq!((ids(TokenKind::Node), ids(TokenKind::Witness)), (vec![1], vec![2, 4]));
}

#[test]
fn what_tells_who_holds_a_master_key_is_as_it_was_set_last() {
    let mut log = Log::new();
    assert_eq!(verifiers(&log.memory).unwrap(), []);
    let of = |key| MasterKeyVerifier { master_key: MasterKeyId("m".to_owned()), public_key: [key; 32] };
    assert_eq!(log.at(1, Command::SetVerifiers(vec![of(1), of(2)])), Response::Done);
    assert_eq!(log.at(2, Command::SetVerifiers(vec![of(1), of(2)])), Response::Unchanged);
    assert_eq!(log.at(3, Command::SetVerifiers(vec![of(2)])), Response::Done);
    assert_eq!(verifiers(&log.memory).unwrap(), [of(2)]);
}

#[test]
fn a_nodes_key_is_registered_at_its_admission_or_by_itself_and_a_revoked_one_for_good() {
    let mut log = Log::new();
    let standing = |log: &Log, id, key| key_standing(&log.memory, id, &[key; 32]).unwrap();
    let check = Wrapped { master_key: MasterKeyId("m".to_owned()), nonce: [0; 12], ciphertext: vec![] };
    let mut identity = ClusterIdentity { cluster: "moot".into(), keyring_check: check, feature_level: 3 };
    log.at(1, Command::Found(identity.clone()));
    log.at(2, Command::DescribeNode { id: 1, facts: facts("a", 4) });
    log.put(token(1));
    log.admit(1, 2);
    assert_eq!(standing(&log, 2, 9), KeyStanding::Unregistered, "the level does not know keys");
    assert_eq!(registered_keys(&log.memory).unwrap(), []);

    let mut log = Log::new();
    identity.feature_level = 4;
    log.at(1, Command::Found(identity));
    log.at(2, Command::DescribeNode { id: 1, facts: facts("a", 4) });
    assert_eq!(standing(&log, 1, 1), KeyStanding::Unregistered);
    assert_eq!(standing(&log, 2, 2), KeyStanding::Unknown);
    let register = |id, key| Command::RegisterNodeKey { id, digest: [key; 32] };
    assert_eq!(log.at(3, register(1, 1)), Response::Done);
    assert_eq!(log.at(4, register(1, 1)), Response::Unchanged);
    log.put(token(1));
    assert_eq!(log.admit(1, 2), Response::Admitted { id: 2, learner: false });
    assert_eq!((standing(&log, 1, 1), standing(&log, 1, 2)), (KeyStanding::Registered, KeyStanding::Other));
    assert_eq!(standing(&log, 2, 2), KeyStanding::Registered);
    // The node itself may take another key.
    assert_eq!(log.at(20, register(2, 3)), Response::Done);
    assert_eq!((standing(&log, 2, 2), standing(&log, 2, 3)), (KeyStanding::Other, KeyStanding::Registered));
    let revoke = |id| Command::RevokeCertificate { id };
    assert_eq!(log.at(30, revoke(9)), Response::NoNode);
    assert_eq!(log.at(30, revoke(2)), Response::Done);
    assert_eq!(log.at(31, revoke(2)), Response::Unchanged);
    assert_eq!(log.at(32, register(2, 3)), Response::CertificateRevoked);
    for key in [2, 3, 4] {
        assert_eq!(standing(&log, 2, key), KeyStanding::Revoked);
    }
    assert_eq!(registered_key(&log.memory, 2).unwrap().unwrap().revoked_at_ms, Some(30));
    log.at(40, Command::RemoveNode { id: 1 });
    assert_eq!(standing(&log, 1, 1), KeyStanding::Removed { revoked: false });
    assert_eq!(log.at(41, register(1, 5)), Response::NodeRemoved);
    // A node that registered none is revoked as well.
    log.at(42, Command::DescribeNode { id: 3, facts: facts("a", 4) });
    assert_eq!(log.at(43, revoke(3)), Response::Done);
    assert_eq!(standing(&log, 3, 0), KeyStanding::Revoked);
    log.at(44, Command::RemoveNode { id: 2 });
    assert_eq!(standing(&log, 2, 3), KeyStanding::Removed { revoked: true });
    let mut run = Transaction::new(&log.memory);
    forget_node_keys(&mut run, &[2]).unwrap();
    let forgotten = run.finish().unwrap().0.iter().filter(|change| change.value.is_none()).count();
    assert_eq!(forgotten, 2, "node 3 was revoked, and is none of the rebuilt cluster");
}

#[test]
fn an_authority_is_replaced_step_by_step_and_both_keys_are_rewrapped_meanwhile() {
    let mut log = Log::new();
    let key =
        |n: u8| Wrapped { master_key: MasterKeyId("m".to_owned()), nonce: [n; 12], ciphertext: vec![n] };
    let record = |n: u8| AuthorityRecord { certificate_pem: format!("p{n}"), key: key(n) };
    let begin = |n| Command::BeginAuthorityChange(Box::new(record(n)));
    assert_eq!(log.at(1, begin(2)), Response::Unchanged, "there is nothing to replace");
    log.at(1, Command::PutAuthority(Box::new(record(1))));
    for early in [Command::AdoptAuthority, Command::RetireAuthority, Command::CancelAuthorityChange] {
        assert_eq!(log.at(2, early), Response::Unchanged);
    }
    // One that signs nothing yet may be given up: whoever trusts it must do so no more.
    assert_eq!(log.at(2, begin(9)), Response::Done);
    assert_eq!(log.at(2, Command::CancelAuthorityChange), Response::Done);
    assert_eq!(authority_change(&log.memory).unwrap(), None);
    assert_eq!(retired_authorities(&log.memory).unwrap(), ["p9"]);
    assert_eq!(authority(&log.memory).unwrap().unwrap().certificate_pem, "p1");
    assert_eq!(log.at(3, begin(2)), Response::Done);
    assert_eq!(log.at(3, begin(3)), Response::Unchanged, "one is under way");
    assert_eq!(log.at(4, Command::RetireAuthority), Response::Unchanged, "it signs nothing yet");
    let rewrap = |old, new| Command::Rewrap { place: SecretPlace::Authority, old: key(old), new: key(new) };
    assert_eq!(log.at(5, rewrap(2, 12)), Response::Done);
    assert_eq!(log.at(5, rewrap(1, 11)), Response::Done);
    assert_eq!(log.at(6, Command::AdoptAuthority), Response::Done);
    assert_eq!(log.at(6, Command::AdoptAuthority), Response::Unchanged);
    assert_eq!(log.at(6, Command::CancelAuthorityChange), Response::Unchanged, "there is no way back");
    let signs = authority(&log.memory).unwrap().unwrap();
    assert_eq!((signs.certificate_pem.as_str(), signs.key), ("p2", key(12)));
    let other = authority_change(&log.memory).unwrap().unwrap();
    assert_eq!(other.adopted_at_ms, Some(6));
    assert_eq!((other.adopted, other.other.certificate_pem.as_str(), other.other.key), (true, "p1", key(11)));
    assert_eq!(log.at(7, Command::RetireAuthority), Response::Done);
    assert_eq!(authority_change(&log.memory).unwrap(), None);
    assert_eq!(retired_authorities(&log.memory).unwrap(), ["p9", "p1"]);
    let trust = NodeTrust { node: 4, trusted: vec![[1; 32]], issuer: None };
    assert_eq!(log.at(8, Command::NoteTrust(Box::new(trust.clone()))), Response::Done);
    assert_eq!(log.at(8, Command::NoteTrust(Box::new(trust.clone()))), Response::Unchanged);
    assert_eq!(node_trust(&log.memory).unwrap(), [trust]);
}

struct Log {
    memory: Memory,
    serial: u64,
}

impl Log {
    fn new() -> Self {
        Self { memory: Memory::default(), serial: 0 }
    }

    fn at(&mut self, now_ms: u64, command: Command) -> Response {
        self.serial += 1;
        let proposal =
            Proposal { client: 1, serial: self.serial, floor: self.serial, now_ms, commands: vec![command] };
        self.memory.run(&[proposal]).remove(0).remove(0)
    }

    fn admit(&mut self, token: u8, key: u8) -> Response {
        self.at(10, Command::AdmitNode(Box::new(admission(token, key))))
    }

    fn put(&mut self, token: JoinTokenRecord) {
        assert_eq!(self.at(1, Command::PutJoinToken(Box::new(token))), Response::Done);
    }
}

#[test]
fn an_id_is_given_once_and_never_again() {
    let mut log = Log::new();
    for id in 1..=2 {
        assert_eq!(log.at(1, Command::DescribeNode { id, facts: facts("", 1) }), Response::Done);
    }
    assert_eq!(log.at(2, Command::RemoveNode { id: 2 }), Response::Done);
    assert_eq!(log.at(3, Command::RemoveNode { id: 2 }), Response::Unchanged);
    assert_eq!(log.at(3, Command::DescribeNode { id: 2, facts: facts("", 1) }), Response::NodeRemoved);
    assert_eq!(log.at(3, Command::SetLearner { id: 2, learner: true }), Response::NodeRemoved);
    log.put(token(1));
    assert_eq!(log.admit(1, 1), Response::Admitted { id: 3, learner: false });
    let removed = node(&log.memory, 2).unwrap().unwrap();
    assert_eq!(removed.removed_at_ms, Some(2));
    log.put(token(2));
    let mut named = admission(2, 2);
    named.id = Some(2);
    assert_eq!(log.at(4, Command::AdmitNode(Box::new(named))), Response::NodeIdTaken { next: 4 });
    let mut behind = admission(2, 2);
    behind.highest_id = 7;
    assert_eq!(
        log.at(4, Command::AdmitNode(Box::new(behind))),
        Response::Admitted { id: 8, learner: false },
        "a member that has not described itself yet keeps its id"
    );
}

#[test]
fn a_token_admits_one_node_which_may_ask_again() {
    let mut log = Log::new();
    log.put(JoinTokenRecord { zone: Some("west".into()), learner: true, ..token(1) });
    assert_eq!(log.admit(1, 1), Response::Admitted { id: 1, learner: true });
    assert_eq!(log.admit(1, 1), Response::Admitted { id: 1, learner: true });
    assert_eq!(log.admit(1, 2), Response::TokenRefused(TokenRefusal::Spent));
    let admitted = node(&log.memory, 1).unwrap().unwrap();
    assert_eq!((admitted.facts.zone.as_str(), admitted.learner), ("west", true));
    assert_eq!(nodes(&log.memory).unwrap().len(), 1);
}

#[test]
fn a_bad_token_is_told_why_and_changes_nothing() {
    let mut log = Log::new();
    log.put(token(1));
    let mut wrong = admission(1, 1);
    wrong.secret_digest = [9; 32];
    let unknown = Response::TokenRefused(TokenRefusal::Unknown);
    assert_eq!(log.at(2, Command::AdmitNode(Box::new(wrong))), unknown);
    assert_eq!(log.admit(7, 1), unknown);
    let late = Command::AdmitNode(Box::new(admission(1, 1)));
    assert_eq!(log.at(1000, late), Response::TokenRefused(TokenRefusal::Expired));
    assert_eq!(log.at(2, Command::RevokeJoinToken { id: [1; 8] }), Response::Done);
    assert_eq!(log.at(2, Command::RevokeJoinToken { id: [1; 8] }), Response::Unchanged);
    assert_eq!(log.at(2, Command::RevokeJoinToken { id: [7; 8] }), unknown);
    assert_eq!(log.admit(1, 1), Response::TokenRefused(TokenRefusal::Revoked));
    assert!(nodes(&log.memory).unwrap().is_empty());
    let check = |secret: u8| {
        let token = [1; 8];
        check_join_token(&log.memory, TokenKind::Node, &token, &[secret; 32], &[1; 32], 2).unwrap()
    };
    assert_eq!((check(1), check(2)), (Err(TokenRefusal::Revoked), Err(TokenRefusal::Unknown)));
}

#[test]
fn tokens_that_are_long_over_are_forgotten() {
    let mut log = Log::new();
    log.put(token(1));
    assert_eq!(log.at(u64::MAX, Command::PutJoinToken(Box::new(token(2)))), Response::Done);
    let left: Vec<u8> =
        join_tokens(&log.memory, TokenKind::Node).unwrap().iter().map(|token| token.id[0]).collect();
    assert_eq!(left, [2]);
}

#[test]
fn the_feature_level_rises_only_when_every_member_knows_it() {
    let wrapped = || Wrapped { master_key: MasterKeyId("m".into()), nonce: [1; 12], ciphertext: vec![2] };
    let mut log = Log::new();
    let identity = ClusterIdentity { cluster: "x".into(), keyring_check: wrapped(), feature_level: 1 };
    log.at(1, Command::Found(identity));
    log.at(1, Command::DescribeNode { id: 1, facts: facts("", 2) });
    log.at(1, Command::DescribeNode { id: 2, facts: facts("", 1) });
    let raise = || Command::RaiseFeatureLevel { to: 2 };
    assert_eq!(log.at(1, raise()), Response::LevelUnknownTo { node: 2, level: 1 });
    log.at(1, Command::RemoveNode { id: 2 });
    assert_eq!(log.at(1, raise()), Response::Done, "a removed node counts no more");
    assert_eq!(log.at(1, raise()), Response::Unchanged);
    assert_eq!(cluster_identity(&log.memory).unwrap().unwrap().feature_level, 2);
    let authority = |pem: &str| {
        Command::PutAuthority(Box::new(AuthorityRecord { certificate_pem: pem.into(), key: wrapped() }))
    };
    assert_eq!(log.at(1, authority("a")), Response::Done);
    assert_eq!(log.at(1, authority("b")), Response::Unchanged);
    assert_eq!(crate::authority(&log.memory).unwrap().unwrap().certificate_pem, "a");
}

#[test]
fn a_directory_is_enrolled_with_later_starts_only_and_anew_under_another_fence() {
    let mut log = Log::new();
    let directory =
        |fence, incarnation, start, start_id| EnrolledDirectory { fence, incarnation, start, start_id };
    let mut enroll = |directory| log.at(1, Command::EnrollDirectory { id: 2, directory });
    assert_eq!(enroll(directory(0, 7, 3, 1)), Response::Done);
    assert_eq!(enroll(directory(0, 7, 3, 1)), Response::Unchanged);
    assert_eq!(enroll(directory(0, 7, 3, 2)), Response::OtherDirectory, "a copy of the same start");
    assert_eq!(enroll(directory(0, 7, 2, 1)), Response::OtherDirectory, "an older one");
    assert_eq!(enroll(directory(0, 8, 4, 1)), Response::OtherDirectory, "an emptied one");
    assert_eq!(enroll(directory(0, 7, 5, 9)), Response::Done);
    assert_eq!(enroll(directory(6, 8, 1, 1)), Response::Done, "after a recovery");
    assert_eq!(log.at(2, Command::RemoveNode { id: 2 }), Response::Done);
    let kept = enrolled_directory(&log.memory, 2).unwrap();
    assert_eq!(kept, Some(directory(6, 8, 1, 1)));
    assert_eq!(enrolled_directory(&log.memory, 3).unwrap(), None);
}
