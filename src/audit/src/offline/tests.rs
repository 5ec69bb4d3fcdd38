use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bytes::Bytes;
use keymoot_model::ClusterName;

use super::*;
use crate::disk::manifest::{Manifest, read_key};
use crate::segment::{SegmentHeader, SegmentReader, events_path, list, write_record};
use crate::tree::Frontier;
use crate::{
    Action, Actor, AuditLog, AuditSettings, Checkpoint, Event, LogIdentity, LogKey, Outcome,
    SignedCheckpoint, VerifierKey, leaf_hash,
};

const EVENTS: u64 = 400;

/// A log of some hundred events that is closed, and the node that cosigned it half way and at its end.
struct Rig {
    home: tempfile::TempDir,
    cosigner: LogKey,
    trust: Trust,
}

fn event(serial: u64) -> Event {
    let mut event = Event::new(3, 1_000 + serial, Action::KEY_READ, Outcome::Done, Actor::STRANGER);
    event.reference = Some(format!("{serial:08}"));
    event
}

impl Rig {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let settings =
            AuditSettings { sync_interval_ms: 5, held_back_bytes: 4096, ..AuditSettings::default() };
        let identity = LogIdentity { cluster: ClusterName::new("west").unwrap(), node: 3, incarnation: None };
        let log = AuditLog::open(&settings, home.path(), &identity, None).unwrap();
        let cosigner = LogKey::generate("west.keymoot.audit/4/00000000000000aa").unwrap().0;
        let keys = vec![log.public_key().clone(), cosigner.verifier().clone()];
        let rig = Self { home, cosigner, trust: Trust { keys, ..Trust::default() } };
        for half in 0..2 {
            let mut number = 0;
            for serial in 0..EVENTS / 2 {
                number = log.append(event(half * EVENTS / 2 + serial)).unwrap();
            }
            while log.checkpoint().checkpoint().size <= number {
                std::thread::sleep(std::time::Duration::from_millis(1));
                wait_until_written(&log, number);
            }
            let mut signed = log.checkpoint();
            signed.add(signed.cosign(&rig.cosigner, 1_700_000_000 + half));
            log.keep_cosigned(&signed).unwrap();
        }
        log.close();
        rig
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    fn verify(&self) -> Report {
        verify(self.path(), &self.trust).unwrap()
    }

    fn events(&self) -> Vec<Bytes> {
        let manifest = Manifest::read(self.path()).unwrap().unwrap();
        let header = SegmentHeader { first: 0, log_id: manifest.log_id() };
        let mut reader = SegmentReader::open(self.path(), header, u64::MAX).unwrap();
        std::iter::from_fn(|| reader.next_event().unwrap().map(|(_, bytes)| bytes)).collect()
    }

    /// Writes other events in place of those of the log, with the CRCs that they must have.
    fn put_events(&self, events: &[Bytes]) {
        let manifest = Manifest::read(self.path()).unwrap().unwrap();
        let mut bytes = SegmentHeader { first: 0, log_id: manifest.log_id() }.encode().to_vec();
        for (number, event) in (0..).zip(events) {
            write_record(&mut bytes, number, event);
        }
        fs::write(events_path(self.path(), 0), bytes).unwrap();
    }

    /// Makes the kept hashes fit the events, too.
    fn put_hashes(&self, events: &[Bytes]) {
        let (mut frontier, mut new) = (Frontier::default(), crate::hashes::NewHashes::default());
        for event in events {
            frontier.push_with(leaf_hash(event), |height, hash| new.take(height, hash));
        }
        let mut files = crate::hashes::HashFiles::open(self.path()).unwrap();
        files.truncate(0).unwrap();
        files.write(0, &new).unwrap();
    }

    /// Signs what is there with the key of the node, as whoever owns the node can.
    fn put_signature(&self, events: &[Bytes]) {
        let manifest = Manifest::read(self.path()).unwrap().unwrap();
        let key = read_key(self.path(), &manifest.origin()).unwrap();
        let mut frontier = Frontier::default();
        events.iter().for_each(|event| frontier.push(leaf_hash(event)));
        let tree = Checkpoint { origin: manifest.origin(), size: frontier.size(), root: frontier.root() };
        let signed = SignedCheckpoint::sign(tree, &key).unwrap();
        fs::write(self.path().join("checkpoint"), signed.to_string()).unwrap();
    }
}

fn wait_until_written(log: &AuditLog, number: u64) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(log.written(number)).unwrap();
}

#[test]
fn a_log_that_nobody_touched_is_whole() {
    let rig = Rig::new();
    let report = rig.verify();
    assert_eq!(report.findings, []);
    assert_eq!((report.events, report.signed, report.cosigned), (EVENTS + 1, EVENTS + 1, EVENTS + 1));
    assert_eq!((report.seen_by.len(), report.checkpoints, report.key_is_its_own), (1, 3, false));
    // With nothing but what lies with it.
    let alone = verify(rig.path(), &Trust::default()).unwrap();
    assert!(alone.is_whole() && alone.key_is_its_own && alone.cosigned == 0);
    let others = Trust { keys: vec![rig.cosigner.verifier().clone()], ..Trust::default() };
    let unknown = verify(rig.path(), &others).unwrap();
    assert!(matches!(unknown.findings[..], [Finding::UnknownKey { .. }]), "{unknown:?}");
}

#[test]
fn what_a_power_cut_leaves_of_hashes_that_no_checkpoint_covers_is_no_finding() {
    let rig = Rig::new();
    let (mut events, later) = (rig.events(), EVENTS + 1_000);
    events.push(Bytes::from(serde_json::to_vec(&event(later)).unwrap()));
    rig.put_events(&events);
    let hashes = OpenOptions::new().write(true).open(crate::hashes::level_path(rig.path(), 0)).unwrap();
    // The file had grown, and what it had grown by was not on the disk.
    hashes.write_all_at(&[0; 32], hashes.metadata().unwrap().len()).unwrap();
    let report = rig.verify();
    assert_eq!(report.findings, []);
    assert_eq!((report.events, report.signed), (EVENTS + 2, EVENTS + 1));
}

#[test]
fn a_flipped_bit_is_found_and_named() {
    let rig = Rig::new();
    let manifest = Manifest::read(rig.path()).unwrap().unwrap();
    let header = SegmentHeader { first: 0, log_id: manifest.log_id() };
    let mut reader = SegmentReader::open(rig.path(), header, u64::MAX).unwrap();
    while reader.position().number < 123 {
        reader.next_event().unwrap();
    }
    let file = OpenOptions::new().read(true).write(true).open(events_path(rig.path(), 0)).unwrap();
    let (at, mut byte) = (reader.position().offset + 30, [0]);
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
    let report = rig.verify();
    assert!(matches!(report.findings[..], [Finding::Damaged { number: 123, .. }]), "{report:?}");
    // The length of a record, behind which nobody can read on.
    file.write_all_at(&byte, at).unwrap();
    file.write_all_at(&[0xff; 4], reader.position().offset).unwrap();
    let report = rig.verify();
    assert!(matches!(report.findings[0], Finding::Damaged { number: 123, .. }), "{report:?}");
    assert!(matches!(report.findings[1], Finding::CutOff { first: 123, .. }), "{report:?}");
}

#[test]
fn an_altered_event_with_the_crc_that_it_must_have_is_found_and_named() {
    let rig = Rig::new();
    let mut events = rig.events();
    events[77] = event(9999).encode().unwrap().into();
    rig.put_events(&events);
    let report = rig.verify();
    assert_eq!(report.findings[0], Finding::Changed { number: 77 });
    let departs = |found: &Finding| matches!(found, Finding::OtherRoot { size: 201, after: 0, .. });
    assert!(report.findings.iter().any(departs), "{report:?}");
}

#[test]
fn a_removed_event_is_found_and_named() {
    for (first, count) in [(10, 1), (300, 5), (EVENTS as usize, 1)] {
        let rig = Rig::new();
        let mut events = rig.events();
        events.drain(first..first + count);
        rig.put_events(&events);
        let (first, last) = (first as u64, (first + count - 1) as u64);
        let report = rig.verify();
        let named = match last == EVENTS {
            // The last one: nothing stands in its place.
            true => matches!(report.findings[0], Finding::CutOff { first: EVENTS, last: EVENTS, .. }),
            false => report.findings[0] == Finding::Removed { first, last },
        };
        assert!(named, "{report:?}");
    }
}

#[test]
fn an_inserted_event_is_found_and_named() {
    let rig = Rig::new();
    let mut events = rig.events();
    events.insert(50, event(9999).encode().unwrap().into());
    rig.put_events(&events);
    let report = rig.verify();
    assert_eq!(report.findings[0], Finding::Inserted { number: 50 });
}

#[test]
fn events_in_another_order_are_found_and_named() {
    let rig = Rig::new();
    let mut events = rig.events();
    events.swap(20, 25);
    rig.put_events(&events);
    let report = rig.verify();
    let moved = [Finding::Moved { number: 20, from: 25 }, Finding::Moved { number: 25, from: 20 }];
    assert_eq!(report.findings[..2], moved);
}

#[test]
fn a_cut_tail_is_found_and_who_has_seen_it_is_named() {
    let rig = Rig::new();
    let mut events = rig.events();
    events.truncate(350);
    rig.put_events(&events);
    rig.put_hashes(&events);
    // Also where the node's own checkpoint was cut with it.
    rig.put_signature(&events);
    let report = rig.verify();
    let [Finding::CutOff { first: 350, last: EVENTS, seen_by }] = &report.findings[..] else {
        panic!("{report:?}")
    };
    assert_eq!(seen_by[0].name, rig.cosigner.verifier().name());
}

#[test]
fn a_forgery_of_the_whole_log_with_the_nodes_own_key_is_found_by_what_others_cosigned() {
    let rig = Rig::new();
    let mut events = rig.events();
    events[250] = event(9999).encode().unwrap().into();
    rig.put_events(&events);
    rig.put_hashes(&events);
    rig.put_signature(&events);
    let report = rig.verify();
    let [Finding::OtherRoot { size, after, seen_by }] = &report.findings[..] else { panic!("{report:?}") };
    assert_eq!((*size, *after, seen_by.len()), (EVENTS + 1, 201, 1));
    // The forger takes away what was cosigned, too; but others have it.
    let kept = SignedCheckpoint::parse_all(&fs::read_to_string(rig.path().join("checkpoints")).unwrap());
    fs::remove_file(rig.path().join("checkpoints")).unwrap();
    assert!(rig.verify().is_whole(), "nobody else has seen the log");
    let checkpoints = kept.into_iter().map(Result::unwrap).collect();
    let trust = Trust { keys: rig.trust.keys.clone(), checkpoints, ..Trust::default() };
    let report = verify(rig.path(), &trust).unwrap();
    assert!(matches!(report.findings[..], [Finding::OtherRoot { after: 201, .. }]), "{report:?}");
}

#[test]
fn a_forgery_with_another_key_is_found_by_the_keys_that_are_believed() {
    let rig = Rig::new();
    let origin = Manifest::read(rig.path()).unwrap().unwrap().origin();
    let forger = LogKey::generate(&origin).unwrap().0;
    let own = fs::read_to_string(rig.path().join("checkpoint")).unwrap();
    let tree = SignedCheckpoint::parse(&own).unwrap().checkpoint().clone();
    fs::write(rig.path().join("checkpoint"), SignedCheckpoint::sign(tree, &forger).unwrap().to_string())
        .unwrap();
    fs::write(rig.path().join("public-key"), format!("{}\n", forger.verifier())).unwrap();
    let report = rig.verify();
    assert!(matches!(report.findings[..], [Finding::Signature { .. }]), "{report:?}");
}

#[test]
fn a_cosignature_that_does_not_hold_is_found() {
    let rig = Rig::new();
    let path = rig.path().join("checkpoints");
    let text = fs::read_to_string(&path).unwrap();
    let note = SignedCheckpoint::parse_all(&text).remove(0).unwrap();
    let line = note.note().signatures()[1].to_string();
    let mut bytes = line.clone().into_bytes();
    let at = bytes.len() - 9;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    fs::write(&path, text.replace(&line, std::str::from_utf8(&bytes).unwrap())).unwrap();
    let report = rig.verify();
    assert!(matches!(report.findings[..], [Finding::Signature { size: 201, .. }]), "{report:?}");
}

#[test]
fn altered_hashes_are_found() {
    for (level, at, wanted) in
        [(0, 90 * 32, Finding::Changed { number: 90 }), (1, 3, Finding::Hashes { level: 1, index: 0 })]
    {
        let rig = Rig::new();
        let path = crate::hashes::level_path(rig.path(), level);
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(rig.verify().findings, [wanted]);
    }
}

#[test]
fn events_that_the_log_did_not_say_it_deleted_are_missed() {
    let rig = Rig::new();
    let events = rig.events();
    // The forger moves the beginning of the segment on.
    let manifest = Manifest::read(rig.path()).unwrap().unwrap();
    let mut bytes = SegmentHeader { first: 100, log_id: manifest.log_id() }.encode().to_vec();
    for (number, event) in (0..).zip(&events).skip(100) {
        write_record(&mut bytes, number, event);
    }
    fs::remove_file(events_path(rig.path(), 0)).unwrap();
    fs::write(events_path(rig.path(), 100), bytes).unwrap();
    assert_eq!(rig.verify().findings, [Finding::DeletedUnsaid { first_kept: 100 }]);
    assert_eq!(list(rig.path()).unwrap(), [100]);
}

#[test]
fn every_event_is_proved_to_whoever_has_the_public_keys() {
    let rig = Rig::new();
    let key: &VerifierKey = &rig.trust.keys[0];
    for number in (0..=EVENTS).step_by(7) {
        let proved = prove(rig.path(), number).unwrap();
        let read = crate::ProofFile::parse(&proved.proof.to_string()).unwrap();
        read.verify(&proved.event, key).unwrap();
        assert!(read.checkpoint.verify_cosignature(rig.cosigner.verifier()).is_ok());
        assert!(read.verify(b"another", key).is_err());
    }
    let refused = prove(rig.path(), EVENTS + 1).unwrap_err();
    assert!(refused.to_string().contains("not covered"), "{refused}");
}

#[test]
fn tiles_hold_the_events_and_their_hashes() {
    let rig = Rig::new();
    let to = tempfile::tempdir().unwrap();
    let exported = export_tiles(rig.path(), to.path()).unwrap();
    assert_eq!((exported.events, exported.first), (EVENTS + 1, 0));
    let tile = |name: &str| fs::read(to.path().join("tile").join(name)).unwrap();
    assert_eq!(
        (tile("0/000").len(), tile("0/001.p/145").len(), tile("1/000.p/1").len()),
        (8192, 145 * 32, 32)
    );
    let mut rest: &[u8] = &[tile("entries/000"), tile("entries/001.p/145")].concat();
    for event in rig.events() {
        let (length, after) = rest.split_first_chunk::<2>().unwrap();
        let (bytes, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
        assert_eq!(bytes, event);
        rest = after;
    }
    assert!(rest.is_empty());
    let signed = SignedCheckpoint::parse(&fs::read_to_string(to.path().join("checkpoint")).unwrap()).unwrap();
    assert_eq!(signed.note().signatures().len(), 2, "it is the one that was cosigned");
}

#[test]
fn logs_that_ended_are_found_beside_the_one_that_goes_on() {
    let rig = Rig::new();
    let identity = LogIdentity { cluster: ClusterName::new("west").unwrap(), node: 9, incarnation: None };
    AuditLog::open(&AuditSettings::default(), rig.path(), &identity, None).unwrap().close();
    let logs = logs_in(rig.path()).unwrap();
    assert_eq!((logs.len(), logs[0].as_path()), (2, rig.path()));
    let reports: Vec<_> = logs.iter().map(|log| verify(log, &Trust::default()).unwrap()).collect();
    assert!(reports.iter().all(Report::is_whole), "{reports:?}");
    assert_eq!(reports[0].predecessor.as_ref().unwrap().origin, reports[1].origin);
}
