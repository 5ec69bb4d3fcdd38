//! Backup files: made from a real state, damaged in every way, and restored.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::EntryPayload;
use proptest::prelude::*;

use super::error::HeaderFault;
use super::header::MAGIC_BYTES;
use super::source::{backup_of as pieces_of, describe};
use super::*;
use crate::members::authority::{AuthorityError, AuthorityPlan, NodeAuthority};
use crate::raft::state_machine::StateMachine;
use crate::raft::state_view::StateView;
use crate::recovery::{Recovery, Taken};
use crate::vote_ledger::VoteLedger;
use crate::wire::raft_codec;
use crate::wire::raft_types::{EncodedProposal, Entry};
use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{ContentKey, Keyring, SIGNATURE_BYTES, SignatureFault, keyring_edit, random_kid};
use keymoot_model::{AccountId, ContentId, KeyOrigin, KeyPath, TrackName};
use keymoot_model::{ClusterName, MasterKeyId};
use keymoot_state as state;
use keymoot_state::{AuthorityRecord, ClusterIdentity, Command, NewKey, Proposal, TABLE_NAMES};
use keymoot_store::{Directory, Identity, Log, LogOptions, LogPosition, StoredVote, Tables, TablesOptions};
use keymoot_telemetry::Metrics;
use keymoot_tls::ClusterCa;

const SMALL: TablesOptions =
    TablesOptions { cache_bytes: 1024 * 1024, hot_bytes: 1024 * 1024, write_buffer_bytes: 8 * 1024 * 1024 };

fn position(index: u64) -> LogPosition {
    LogPosition { term: 3, node: 1, index }
}

fn place(content: u64) -> KeyPath {
    KeyPath {
        account: AccountId::new("demo").unwrap(),
        content: ContentId::new(format!("content-{content}")).unwrap(),
        track: TrackName::default_track(),
    }
}

fn command(ring: &Keyring, index: u64) -> Command {
    if index == 1 {
        return Command::Found(ClusterIdentity {
            cluster: "west".to_owned(),
            keyring_check: ring.check_value("west").unwrap(),
            feature_level: 1,
        });
    }
    let (place, kid) = (place(index), random_kid().unwrap());
    let key = ring.wrap_content_key(&ContentKey::generate().unwrap(), &place, 1, &kid).unwrap();
    Command::CreateKey(NewKey { place, version: 1, kid, key, origin: KeyOrigin::Generated })
}

fn proposal(ring: &Keyring, index: u64) -> Vec<u8> {
    let commands = vec![command(ring, index)];
    let proposal = Proposal { client: 1, serial: index, floor: index, now_ms: 1, commands };
    codec::encode(Kind::Entry, &proposal).unwrap()
}

fn west() -> ClusterName {
    ClusterName::new("west").unwrap()
}

/// The certificates of a node under an authority of its own, whose files are in `dir`; with its key, or
/// without.
fn certificates(dir: &Path, has_key: bool) -> NodeAuthority {
    let (cert, key) = (dir.join("ca.pem"), dir.join("ca-key.pem"));
    if !cert.exists() {
        fs::create_dir_all(dir).unwrap();
        ClusterCa::generate(&west()).unwrap().save_new(&cert, &key).unwrap();
    }
    NodeAuthority::load(&cert, has_key.then_some(key.as_path())).unwrap()
}

pub(crate) fn owner() -> Identity {
    Identity { cluster: "west".to_owned(), node: 2, fence: 0 }
}

/// The entry that gives the cluster its authority.
fn put_authority(ring: &Keyring, ca: &ClusterCa, index: u64) -> Vec<u8> {
    let key = ring.wrap_authority("west", &ca.key_pem()).unwrap();
    let record = AuthorityRecord { certificate_pem: ca.certificate_pem().to_owned(), key };
    let commands = vec![Command::PutAuthority(Box::new(record))];
    let proposal = Proposal { client: 1, serial: index, floor: index, now_ms: 1, commands };
    codec::encode(Kind::Entry, &proposal).unwrap()
}

/// A node's data directory with entries 1 to `applied` applied, and the entries after them up to
/// `last` in its log.
pub(crate) fn node(root: &Path, ring: &Keyring, applied: u64, last: u64) -> Tables {
    let directory = Arc::new(Directory::open(root, &owner()).unwrap());
    let tables = Tables::open(root, TABLE_NAMES, SMALL).unwrap();
    let metrics = Arc::new(Metrics::new().unwrap());
    let view = StateView::new(tables.clone());
    let mut machine =
        StateMachine::new(tables.clone(), view, directory.clone(), metrics, VoteLedger::detached()).unwrap();
    let entry = |index| Entry {
        log_id: raft_codec::log_id(&position(index)),
        payload: EntryPayload::Normal(EncodedProposal(proposal(ring, index).into())),
    };
    machine.replay((1..=applied).map(entry).collect()).unwrap();
    let log = Log::open(&directory.log(), LogOptions::default()).unwrap();
    log.save_vote(StoredVote { term: 5, node: 3, committed: false }, Box::new(|_| {})).unwrap();
    log.purge(position(applied)).unwrap();
    let rest = (applied + 1..=last).map(|index| (position(index), proposal(ring, index).into()));
    log.append(rest.collect(), Box::new(|_| {})).unwrap();
    log.settle().unwrap();
    drop(machine);
    drop(Arc::into_inner(directory).unwrap());
    tables
}

/// A backup of that node, in the form the operator's tool writes.
fn backup(home: &Path, ring: &Keyring, keys: u64) -> PathBuf {
    backup_of(home, ring, keys, None)
}

/// The same of a cluster that holds this authority.
fn backup_of(home: &Path, ring: &Keyring, keys: u64, ca: Option<ClusterCa>) -> PathBuf {
    let root = home.join("source");
    let tables = node(&root, ring, keys + 1, keys + 1);
    if let Some(ca) = ca {
        let directory = Arc::new(Directory::open(&root, &owner()).unwrap());
        let (metrics, view) = (Arc::new(Metrics::new().unwrap()), StateView::new(tables.clone()));
        let ledger = VoteLedger::detached();
        let mut machine = StateMachine::new(tables.clone(), view, directory, metrics, ledger).unwrap();
        let payload = EntryPayload::Normal(EncodedProposal(put_authority(ring, &ca, keys + 2).into()));
        let entry = Entry { log_id: raft_codec::log_id(&position(keys + 2)), payload };
        machine.replay(vec![entry]).unwrap();
    }
    let (_, first, pieces) = pieces_of(&owner(), tables.view(), ring.backup_signer()).unwrap();
    let pieces = pieces.map(|piece| piece.unwrap().to_vec());
    let bytes: Vec<u8> = std::iter::once(first).chain(pieces).flatten().collect();
    let path = home.join("west.backup");
    fs::write(&path, bytes).unwrap();
    path
}

fn how(node: u64, fence: Option<u64>) -> Restore {
    let members = [(2, "two:1"), (5, "five:1")].map(|(id, address)| (id, address.to_owned()));
    let members = BTreeMap::from(members);
    Restore { cluster: west(), node, members, fence, without_ca_key: false, unsigned: false }
}

/// The applied position of a directory, with its members, its digest and its fence.
fn look(root: &Path, node: u64) -> crate::recovery::Survivor {
    let taken = Recovery::take(root, &ClusterName::new("west").unwrap(), node).unwrap();
    let Taken::Survivor(recovery) = taken else { panic!("{taken:?}") };
    let survivor = recovery.survey().unwrap();
    recovery.abandon().unwrap();
    survivor
}

#[test]
fn a_backup_says_what_it_holds_and_every_key_opens() {
    let home = tempfile::tempdir().unwrap();
    let ring = Keyring::generate().unwrap();
    let file = BackupFile::open(&backup(home.path(), &ring, 20)).unwrap();
    let header = file.header();
    assert_eq!((header.cluster.as_str(), header.fence, header.node), ("west", 0, 2));
    assert_eq!((header.applied, header.key_count()), (position(21), 20));
    assert_eq!(header.master_keys, [("mk1".to_owned(), 21)]);
    let opened = file.open_secrets(&ring).unwrap();
    assert_eq!((opened.opened, opened.is_complete()), (21, true));
    let other = file.open_secrets(&Keyring::generate().unwrap()).unwrap();
    assert_eq!((other.opened, other.refused), (0, 21));
}

#[test]
fn a_header_has_these_bytes() {
    let header = BackupHeader {
        cluster: "w".to_owned(),
        fence: 2,
        node: 3,
        applied: LogPosition { term: 4, node: 5, index: 6 },
        made_at_ms: 7,
        program: "p".to_owned(),
        digest: "d".to_owned(),
        master_keys: vec![("m".to_owned(), 8)],
        tables: vec![("t".to_owned(), 9)],
        signed_under: None,
    };
    let bytes = header.to_bytes().unwrap();
    let golden = b"KMBKUP\0\x01KM\x08\x01\x14\0\0\0]\x8c\x01\xc4\x01w\x02\x03\x04\x05\x06\x07\x01p\x01d\x01\x01m\x08\x01\x01t\t";
    assert_eq!(bytes, golden, "{}", bytes.escape_ascii());
    let (read, first) = BackupHeader::read(&mut golden.as_slice()).unwrap();
    assert_eq!((&read, first.as_slice()), (&header, golden.as_slice()));

    let signed = BackupHeader { signed_under: Some(MasterKeyId("mk1".to_owned())), ..header };
    let bytes = signed.to_bytes().unwrap();
    let golden = [&golden[..7], b"\x02", &golden[8..], b"\x03mk1"].concat();
    assert_eq!(bytes, golden, "{}", bytes.escape_ascii());
    let (read, first) = BackupHeader::read(&mut golden.as_slice()).unwrap();
    assert_eq!((read, first), (signed, golden));
}

#[test]
fn foreign_newer_and_short_files_are_refused_by_name_and_place() {
    let home = tempfile::tempdir().unwrap();
    let path = backup(home.path(), &Keyring::generate().unwrap(), 3);
    let good = fs::read(&path).unwrap();
    let fault = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = BackupFile::open(&path).unwrap_err();
        assert!(error.to_string().contains("west.backup"), "{error}");
        error
    };
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    assert!(matches!(fault(&changed(0, b'X')), BackupError::Header { fault: HeaderFault::Magic, .. }));
    let newer = fault(&changed(MAGIC_BYTES - 1, 3));
    assert!(newer.to_string().contains("byte 7 says format 3 and this build knows format 2"), "{newer}");
    assert!(matches!(
        fault(&changed(15, 0xff)),
        BackupError::Header { fault: HeaderFault::TooLong { .. }, .. }
    ));
    assert!(matches!(fault(&good[..11]), BackupError::Header { fault: HeaderFault::Truncated, .. }));
    assert!(matches!(fault(b""), BackupError::Header { fault: HeaderFault::Truncated, .. }));
    let cut = fault(&good[..good.len() - 1]);
    assert!(cut.to_string().contains("is damaged at byte"), "{cut}");
    assert!(matches!(fault(&[good.as_slice(), b"x"].concat()), BackupError::Damaged { .. }));
    // The last section begins at the footer; the offset counts in the file, not in the snapshot.
    let BackupError::Damaged { offset, .. } = cut else { panic!("{cut}") };
    assert_eq!(offset, good.len() as u64 - 49 - SIGNATURE_BYTES as u64);
}

#[test]
fn a_state_that_changed_behind_its_own_back_is_not_backed_up() {
    let home = tempfile::tempdir().unwrap();
    let tables = node(&home.path().join("source"), &Keyring::generate().unwrap(), 4, 4);
    let mut batch = tables.begin();
    batch
        .delete(
            state::Table::Kids as usize,
            *tables.prefix(2, b"", 1).unwrap()[0].0.first_chunk::<16>().unwrap(),
        )
        .unwrap();
    tables.commit(batch).unwrap();
    let error = describe(&owner(), tables.view()).unwrap_err().to_string();
    assert!(error.contains("digest"), "{error}");
}

#[test]
fn the_same_file_makes_members_that_begin_alike() {
    let home = tempfile::tempdir().unwrap();
    let ring = Keyring::generate().unwrap();
    let file = BackupFile::open(&backup(home.path(), &ring, 10)).unwrap();
    let [first, second] = ["first", "second"].map(|name| home.path().join(name));
    let own = certificates(&home.path().join("tls"), true);
    let restored = restore(&first, &file, &ring, &own, &how(2, None)).unwrap();
    assert_eq!(restored.applied, position(11));
    // The backup holds no authority, so there is none to forget.
    assert_eq!(restored.authority, AuthorityPlan::Replaced { forget: false });
    let again = restore(&second, &file, &ring, &own, &how(5, Some(restored.fence))).unwrap();
    assert_eq!(again, restored);
    let (one, other) = (look(&first, 2), look(&second, 5));
    assert_eq!((one.applied, one.last, one.fence), (Some(position(11)), Some(position(11)), restored.fence));
    assert_eq!((&one.members, &one.digest, &one.voters), (&other.members, &other.digest, &other.voters));
    assert_eq!(one.digest, file.header().digest);
    assert_eq!(one.vote.unwrap().term, 4);
}

#[test]
fn under_another_authority_all_members_forget_the_old_one_and_begin_alike() {
    let home = tempfile::tempdir().unwrap();
    let ring = Keyring::generate().unwrap();
    let path = backup_of(home.path(), &ring, 10, Some(ClusterCa::generate(&west()).unwrap()));
    let file = BackupFile::open(&path).unwrap();
    assert!(file.authority().is_some());
    let [with, without] = [true, false].map(|has_key| certificates(&home.path().join("tls"), has_key));
    let [first, second, third] = ["first", "second", "third"].map(|name| home.path().join(name));

    // Nobody would have the key: that is refused, unless it is meant.
    let refused = restore(&first, &file, &ring, &without, &how(2, None)).unwrap_err();
    assert!(matches!(refused, BackupError::Authority(AuthorityError::Untrusted { .. })), "{refused}");
    let restored = restore(&first, &file, &ring, &with, &how(2, None)).unwrap();
    assert_eq!(restored.authority, AuthorityPlan::Replaced { forget: true });
    // The other machines trust the same authority and have no key of it.
    let fence = Some(restored.fence);
    let other = restore(&second, &file, &ring, &without, &how(5, fence)).unwrap();
    assert_eq!((other.fence, other.authority), (restored.fence, AuthorityPlan::Nobodys { forget: true }));
    let (one, two) = (look(&first, 2), look(&second, 5));
    assert_eq!((&one.digest, &one.authority), (&two.digest, &None));
    assert_ne!(one.digest, file.header().digest);
    // The digest that the state keeps is that of its records, so it can be backed up again.
    let tables = Tables::open(&first, TABLE_NAMES, SMALL).unwrap();
    assert!(describe(&owner(), tables.view()).is_ok());
    // A machine that trusts yet another one is refused.
    let strange = certificates(&home.path().join("strange"), true);
    let refused = restore(&third, &file, &ring, &strange, &how(5, fence)).unwrap_err();
    assert!(matches!(refused, BackupError::OtherRestore { .. }), "{refused}");
    let meant = Restore { without_ca_key: true, ..how(2, None) };
    let restored = restore(&third, &file, &ring, &without, &meant).unwrap();
    assert_eq!(restored.authority, AuthorityPlan::Nobodys { forget: true });
}

#[test]
fn what_must_not_be_restored_leaves_the_directory_as_it_was() {
    let home = tempfile::tempdir().unwrap();
    let ring = Keyring::generate().unwrap();
    let file = BackupFile::open(&backup(home.path(), &ring, 3)).unwrap();
    let root = home.path().join("node");
    let own = certificates(&home.path().join("tls"), true);
    let refused = |ring: &Keyring, how: &Restore| restore(&root, &file, ring, &own, how).unwrap_err();

    let strange = Keyring::generate().unwrap();
    let wrong = refused(&strange, &how(2, None));
    assert!(matches!(wrong, BackupError::Signature { fault: SignatureFault::Wrong(_), .. }), "{wrong}");
    let east = Restore { cluster: ClusterName::new("east").unwrap(), ..how(2, None) };
    assert!(matches!(refused(&ring, &east), BackupError::OtherCluster { .. }));
    assert!(matches!(refused(&ring, &how(9, None)), BackupError::Rebuild(_)));
    assert!(matches!(refused(&ring, &how(2, Some(77))), BackupError::OtherRestore { fence: 77 }));
    assert!(!root.exists(), "a refused restore made the directory");

    let fence = restore(&root, &file, &ring, &own, &how(2, None)).unwrap().fence;
    assert!(matches!(refused(&ring, &how(2, Some(fence))), BackupError::NotEmpty { .. }));
    let mut elsewhere = how(2, Some(fence));
    elsewhere.members.insert(5, "elsewhere:1".to_owned());
    assert!(matches!(refused(&ring, &elsewhere), BackupError::OtherRestore { .. }));
    assert_eq!(look(&root, 2).fence, fence);
}

/// The file at `path` with another header or signature, as somebody makes it who can compute
/// checksums and has no keyring.
fn forged(path: &Path, forge: impl FnOnce(&mut BackupHeader, &mut Vec<u8>)) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    let (mut header, first) = BackupHeader::read(&mut bytes.as_slice()).unwrap();
    let snapshot = bytes[first.len()..bytes.len() - SIGNATURE_BYTES].to_vec();
    let mut signature = bytes[bytes.len() - SIGNATURE_BYTES..].to_vec();
    forge(&mut header, &mut signature);
    [header.to_bytes().unwrap(), snapshot, signature].concat()
}

#[test]
fn a_forgery_with_right_checksums_is_refused_by_its_signature() {
    let home = tempfile::tempdir().unwrap();
    let (ring, root) = (Keyring::generate().unwrap(), home.path().join("node"));
    let path = backup(home.path(), &ring, 3);
    let good = fs::read(&path).unwrap();
    // A later state of the same cluster, signed by it, whose parts a forger may use.
    let later = backup(&home.path().join("later"), &ring, 4);
    let own = certificates(&home.path().join("tls"), true);
    let refused = |bytes: &[u8], how: &Restore| {
        fs::write(&path, bytes).unwrap();
        let file = BackupFile::open(&path).unwrap();
        let by_verify = file.check_signature(&ring, how.unsigned).unwrap_err();
        let by_restore = restore(&root, &file, &ring, &own, how).unwrap_err();
        assert_eq!(by_verify.to_string(), by_restore.to_string());
        assert!(!root.exists(), "a refused restore made the directory");
        by_restore
    };
    let wrong = |error: BackupError| {
        assert!(matches!(&error, BackupError::Signature { fault: SignatureFault::Wrong(_), .. }), "{error}");
        assert!(error.to_string().contains("use another backup"), "{error}");
    };
    let permissive = Restore { unsigned: true, ..how(2, None) };
    let forge = |f: &dyn Fn(&mut BackupHeader, &mut Vec<u8>)| {
        fs::write(&path, &good).unwrap();
        forged(&path, f)
    };
    // What is not in the records: a time, a fence, a position.
    wrong(refused(&forge(&|header, _| header.made_at_ms += 1), &permissive));
    wrong(refused(&forge(&|header, _| header.fence = 7), &permissive));
    wrong(refused(&forge(&|header, _| header.applied.term = 9), &permissive));
    // Records and header of one signed backup with the signature of another one.
    let donor = fs::read(&later).unwrap();
    let foreign = donor[donor.len() - SIGNATURE_BYTES..].to_vec();
    wrong(refused(&forge(&|_, signature| signature.clone_from(&foreign)), &permissive));
    // Another master key than the one that signed.
    let elsewhere = forge(&|header, _| header.signed_under = Some(MasterKeyId("mk7".to_owned())));
    let error = refused(&elsewhere, &permissive);
    assert!(error.to_string().contains("`mk7`, which the keyring lacks"), "{error}");
    // Stripped, with the format of earlier versions: it is refused unless somebody says so.
    let stripped = forge(&|header, signature| {
        header.signed_under = None;
        signature.clear();
    });
    let error = refused(&stripped, &how(2, None));
    assert!(matches!(&error, BackupError::Unsigned { .. }), "{error}");
    assert!(error.to_string().contains("--unsigned"), "{error}");
    // Only the format byte, or only the signature.
    let cut = &good[..good.len() - SIGNATURE_BYTES];
    let mut older = good.clone();
    older[MAGIC_BYTES - 1] = 1;
    let older_and_cut = older[..older.len() - SIGNATURE_BYTES].to_vec();
    for bytes in [cut, older.as_slice(), older_and_cut.as_slice()] {
        fs::write(&path, bytes).unwrap();
        let error = BackupFile::open(&path).unwrap_err();
        assert!(matches!(&error, BackupError::Damaged { .. }), "{error}");
    }
    fs::write(&path, &good).unwrap();
    let file = BackupFile::open(&path).unwrap();
    assert!(restore(&root, &file, &ring, &own, &how(2, None)).is_ok());
}

#[test]
fn a_backup_of_an_earlier_version_is_restored_when_somebody_says_so() {
    let home = tempfile::tempdir().unwrap();
    let (ring, root) = (Keyring::generate().unwrap(), home.path().join("node"));
    let path = backup(home.path(), &ring, 3);
    let bytes = forged(&path, |header, signature| {
        header.signed_under = None;
        signature.clear();
    });
    assert_eq!(bytes[MAGIC_BYTES - 1], 1);
    fs::write(&path, bytes).unwrap();
    let file = BackupFile::open(&path).unwrap();
    let own = certificates(&home.path().join("tls"), true);
    let meant = Restore { unsigned: true, ..how(2, None) };
    assert_eq!(restore(&root, &file, &ring, &own, &meant).unwrap().applied, position(4));
}

#[test]
fn a_backup_is_checked_with_the_master_key_that_signed_it_after_a_rotation() {
    let home = tempfile::tempdir().unwrap();
    let keyring = home.path().join("keyring.toml");
    let before = Keyring::save_new(&keyring).unwrap();
    let path = backup(home.path(), &before, 2);
    keyring_edit::add(&keyring, None).unwrap();
    keyring_edit::activate(&keyring, &MasterKeyId("mk2".to_owned())).unwrap();
    let file = BackupFile::open(&path).unwrap();
    file.check_signature(&Keyring::load(&keyring).unwrap(), false).unwrap();
    keyring_edit::remove(&keyring, &MasterKeyId("mk1".to_owned())).unwrap();
    let refused = file.check_signature(&Keyring::load(&keyring).unwrap(), false).unwrap_err();
    assert!(refused.to_string().contains("`mk1`, which the keyring lacks"), "{refused}");
}

#[test]
fn a_file_that_is_exchanged_after_it_was_verified_is_not_read() {
    let home = tempfile::tempdir().unwrap();
    let ring = Keyring::generate().unwrap();
    let path = backup(home.path(), &ring, 3);
    let file = BackupFile::open(&path).unwrap();
    file.check_signature(&ring, false).unwrap();
    let other = backup(&home.path().join("other"), &ring, 3);
    fs::rename(other, &path).unwrap();
    let refused = file.open_secrets(&ring).unwrap_err();
    assert!(matches!(refused, BackupError::Damaged { .. }), "{refused}");
}

#[test]
fn a_survivor_keeps_what_it_has_and_did_not_know_to_be_committed() {
    let home = tempfile::tempdir().unwrap();
    let (root, ring) = (home.path().join("node"), Keyring::generate().unwrap());
    drop(node(&root, &ring, 5, 8));
    let before = look(&root, 2);
    assert_eq!((before.applied, before.last), (Some(position(5)), Some(position(8))));
    assert_eq!(before.unapplied_entries(), 3);

    let Taken::Survivor(recovery) = Recovery::take(&root, &ClusterName::new("west").unwrap(), 2).unwrap()
    else {
        panic!("no survivor")
    };
    let recovered = recovery.recover("two:1", false).unwrap();
    let after = look(&root, 2);
    assert_eq!(after.applied, Some(position(8)));
    assert_eq!((after.fence, after.unapplied_entries()), (recovered.fence, 0));
    assert_eq!(after.members, BTreeMap::from([(2, "two:1".to_owned())]));
    assert_eq!((after.voters.as_slice(), after.vote.unwrap().term), ([2].as_slice(), 6));
    let tables = Tables::open(&root, TABLE_NAMES, SMALL).unwrap();
    for content in 2..=8 {
        assert!(state::current_key(&StateView::new(tables.clone()), &place(content)).unwrap().is_some());
    }
    // The old contents are complete, under their old fence.
    let kept = look(&recovered.kept.unwrap(), 2);
    assert_eq!((kept.fence, kept.applied, kept.last), (0, before.applied, before.last));
}

#[test]
fn another_nodes_directory_and_an_empty_one_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let west = ClusterName::new("west").unwrap();
    let refused = |root: &Path, node| Recovery::take(root, &west, node).unwrap_err().to_string();
    assert!(refused(&home.path().join("empty"), 2).contains("holds no node's data"));
    let root = home.path().join("node");
    drop(node(&root, &Keyring::generate().unwrap(), 2, 2));
    assert!(refused(&root, 7).contains("holds the data of node 2 of cluster \"west\""));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_byte_anywhere_and_a_cut_anywhere_are_refused(keys in 0_u64..4, flip in 1_u8..) {
        let home = tempfile::tempdir().unwrap();
        let ring = Keyring::generate().unwrap();
        let path = backup(home.path(), &ring, keys);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= flip;
            fs::write(&path, &bad).unwrap();
            let passed = BackupFile::open(&path).and_then(|file| file.check_signature(&ring, false));
            prop_assert!(passed.is_err(), "byte {} of {}", at, good.len());
        }
        for length in 0..good.len() {
            fs::write(&path, &good[..length]).unwrap();
            let passed = BackupFile::open(&path).and_then(|file| file.check_signature(&ring, true));
            prop_assert!(passed.is_err(), "the first {} of {} bytes", length, good.len());
        }
    }
}
