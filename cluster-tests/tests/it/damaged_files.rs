//! A node refuses to start from damaged files, naming file, place and remedy; and with every byte as it was it is
//! one of the cluster again. Where only a read can tell, the node answers it with an error of its own, never as if
//! nothing were there, and is neither ready nor leader.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cluster_tests::ledger::Ledger;
use cluster_tests::search::files_under;
use cluster_tests::signed::WIDEVINE;
use cluster_tests::wait::{pause, wait_until};
use cluster_tests::{Cluster, Options, RigError, metrics};
use keymoot_state::{TABLE_NAMES, Table};
use keymoot_store::{Tables, TablesOptions};

const WITHIN: Duration = Duration::from_secs(60);

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at] ^= 0x20;
    std::fs::write(file, bytes).unwrap();
}

/// The files of a node's data directory that a name ends so.
fn files(data: &Path, end: &str) -> Vec<PathBuf> {
    let mut files = files_under(data).unwrap();
    files.retain(|path| path.display().to_string().ends_with(end));
    files.sort();
    files
}

fn refused(cluster: &Cluster, id: u64, words: &[&str]) {
    let (status, said) = cluster.must_refuse(id, &[]).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

const VOTE: u32 = 0;
const APPEND: u32 = 1;
/// Where in an appended entry's record its length is, behind the record's kind and the entry's place.
const LENGTH_AT: usize = 4 + 24;
/// Where in a vote's record its term is, behind the record's kind and the vote's number.
const TERM_AT: usize = 4 + 8;

/// Where each record of the file begins, and its kind.
fn records(bytes: &[u8]) -> Vec<(usize, u32)> {
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut records = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let kind = number(at);
        records.push((at, kind));
        let optional = |at: usize, length: usize| if bytes[at] == 0 { 1 } else { 1 + length };
        let body = match kind {
            VOTE => 25,
            APPEND => 24 + 4 + number(at + LENGTH_AT) as usize,
            2 | 4 => 24,
            3 => optional(at + 4, 24),
            5 => (0..5).fold(1, |length, number| {
                length + optional(at + 4 + length, if number == 0 { 25 } else { 24 })
            }),
            other => panic!("a record of kind {other} at {at}"),
        };
        at += 4 + body + 8;
    }
    records
}

/// The file that the log would go on in, as a power cut leaves it that comes when it was just made.
fn next_file(log: &Path) -> PathBuf {
    let name = log.file_name().unwrap().to_str().unwrap();
    assert!(name.bytes().all(|byte| !byte.is_ascii_digit() || byte == b'0'), "{name} is not the first file");
    let digits = format!("{:020}", std::fs::metadata(log).unwrap().len());
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    log.with_file_name(format!("r-{}.wal", groups.join("_")))
}

fn create(cluster: &Cluster, ledger: &mut Ledger, name: &str, count: usize) {
    let api = cluster.node(cluster.leader().unwrap()).unwrap().api;
    for serial in 0..count {
        ledger.enter(cluster.signer().create(api, &format!("{name}-{serial}.mp4")).unwrap(), name);
    }
}

/// A follower that was killed after it had applied entries of two terms.
struct Killed {
    cluster: Cluster,
    ledger: Ledger,
    id: u64,
    /// Who proposed its last entry.
    leader: u64,
    /// The only file of its log, and what is in it.
    log: PathBuf,
    whole: Vec<u8>,
}

impl Killed {
    fn after_two_terms() -> Self {
        let mut cluster = Options::default().start().unwrap();
        cluster.do_without_dev().unwrap();
        let mut ledger = Ledger::default();
        let first = cluster.leader().unwrap();
        create(&cluster, &mut ledger, "first", 20);
        cluster.kill(first).unwrap();
        let leader = cluster.leader().unwrap();
        create(&cluster, &mut ledger, "second", 20);
        cluster.restart(first).unwrap();
        let id = cluster.others(leader).into_iter().find(|id| *id != first).unwrap();
        cluster.await_caught_up(id).unwrap();
        cluster.kill(id).unwrap();
        let log = files(&cluster.node(id).unwrap().dir.join("data"), ".wal").pop().unwrap();
        let whole = std::fs::read(&log).unwrap();
        Self { cluster, ledger, id, leader, log, whole }
    }

    /// Leaves no file of the log but these bytes of its first.
    fn leave_of_log(&self, bytes: &[u8]) {
        files(self.log.parent().unwrap(), ".wal").iter().for_each(|file| std::fs::remove_file(file).unwrap());
        std::fs::write(&self.log, bytes).unwrap();
    }

    fn starts_and_has_everything(&mut self) {
        self.cluster.restart(self.id).unwrap();
        self.cluster.await_caught_up(self.id).unwrap();
        self.cluster.await_ready().unwrap();
        self.ledger.assert_kept(self.cluster.signer(), &self.cluster.addresses());
    }
}

#[test]
fn a_damaged_length_is_refused_also_before_an_empty_file() {
    let mut killed = Killed::after_two_terms();
    // One flipped bit in the length of an entry makes all behind it, the vote too, look torn off.
    let places = records(&killed.whole);
    let (begin, _) = *places.iter().filter(|(_, kind)| *kind == APPEND).nth(5).unwrap();
    let next = next_file(&killed.log);
    std::fs::write(&next, []).unwrap();
    flip(&killed.log, begin + LENGTH_AT);
    let place = format!("{} is damaged at byte {begin}", killed.log.display());
    refused(&killed.cluster, killed.id, &[&place, "must not start from it"]);
    assert!(next.exists(), "what is refused is not changed");
    // The empty file by itself is no damage.
    std::fs::write(&killed.log, &killed.whole).unwrap();
    killed.starts_and_has_everything();
}

#[test]
fn a_log_that_is_empty_or_gone_is_refused() {
    let mut killed = Killed::after_two_terms();
    killed.leave_of_log(&[]);
    refused(&killed.cluster, killed.id, &["holds no Raft log", "keymoot cluster remove"]);
    killed.leave_of_log(&[]);
    std::fs::remove_file(&killed.log).unwrap();
    refused(
        &killed.cluster,
        killed.id,
        &["holds no Raft log", &killed.log.parent().unwrap().display().to_string()],
    );
    killed.leave_of_log(&killed.whole);
    killed.starts_and_has_everything();
}

#[test]
fn a_vote_that_is_lost_is_raised_to_what_the_tables_prove() {
    let mut killed = Killed::after_two_terms();
    let whole = &killed.whole;
    let term = |at: usize| u64::from_be_bytes(whole[at + TERM_AT..at + TERM_AT + 8].try_into().unwrap());
    let votes: Vec<usize> =
        records(whole).into_iter().filter(|(_, kind)| *kind == VOTE).map(|(at, _)| at).collect();
    let newest = votes.iter().map(|at| term(*at)).max().unwrap();
    let cut = *votes.iter().find(|at| term(**at) == newest).unwrap();
    assert!(term(votes[0]) < newest, "the log holds votes of one term only");
    // Whole records are left, so only the tables tell.
    killed.leave_of_log(&killed.whole[..cut]);
    killed.starts_and_has_everything();
    let lost = "the Raft log has lost its end";
    let said = killed.cluster.said(killed.id).unwrap();
    assert!(said.contains(lost), "{said}");
    assert!(said.contains(&format!("raised_to=({newest}, {})", killed.leader)), "{said}");
    // For good.
    killed.cluster.kill(killed.id).unwrap();
    killed.starts_and_has_everything();
    assert_eq!(killed.cluster.said(killed.id).unwrap().matches(lost).count(), 1);
}

#[test]
fn each_damaged_file_is_refused_by_name_and_place() {
    let mut cluster =
        Options::default().env("KEYMOOT__RAFT__SNAPSHOT_LOG_ENTRIES", "1000000").start().unwrap();
    cluster.do_without_dev().unwrap();
    let mut ledger = Ledger::default();
    let leader = cluster.leader().unwrap();
    let id = cluster.others(leader)[0];
    for serial in 0..40 {
        let api = cluster.node(leader).unwrap().api;
        ledger.enter(cluster.signer().create(api, &format!("film-{serial}.mp4")).unwrap(), "before");
    }
    cluster.await_caught_up(id).unwrap();
    cluster.stop(id).unwrap();
    let data = cluster.node(id).unwrap().dir.join("data");
    let anew = "keymoot cluster remove";

    let log = files(&data, ".wal").pop().unwrap();
    let whole = std::fs::read(&log).unwrap();
    for at in [2, 10, whole.len() / 3, whole.len() / 2, whole.len() - 2] {
        flip(&log, at);
        refused(&cluster, id, &[&log.display().to_string(), "is damaged at byte", anew]);
        std::fs::write(&log, &whole).unwrap();
    }

    for (name, words) in [
        ("identity.toml", "cannot be read as an identity"),
        ("incarnations.toml", "cannot be read as incarnations"),
        ("CURRENT", "names no state directory"),
    ] {
        let file = data.join(name);
        let whole = std::fs::read(&file).unwrap();
        flip(&file, 1);
        refused(&cluster, id, &[&file.display().to_string(), words, anew]);
        std::fs::write(&file, whole).unwrap();
    }

    // A batch with a number that no power cut can have written.
    let journal = files(&data, ".jnl").pop().unwrap();
    let whole = std::fs::read(&journal).unwrap();
    flip(&journal, 12);
    refused(&cluster, id, &[&journal.display().to_string(), "is damaged at byte", anew]);
    std::fs::write(&journal, &whole).unwrap();

    // With every byte as it was, it starts; with its journal damaged in the middle it heals itself
    // from the log, which still has everything.
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    flip(&journal, used / 2);
    cluster.restart(id).unwrap();
    cluster.await_caught_up(id).unwrap();
    assert!(cluster.said(id).unwrap().contains("it comes again from the raft log"));
    cluster.await_ready().unwrap();
    ledger.assert_kept(cluster.signer(), &cluster.addresses());
}

/// Flips a bit of the one record of a stopped node's table whose value holds these bytes.
fn flip_record(data: &Path, table: Table, bytes: &[u8]) {
    // Each commit is written to files, where each block has a checksum.
    let options = TablesOptions { write_buffer_bytes: 1, ..TablesOptions::default() };
    let tables = Tables::open(data, TABLE_NAMES, options).unwrap();
    let records = tables.prefix(table as usize, b"", usize::MAX).unwrap();
    let held = |value: &[u8]| value.windows(bytes.len()).any(|window| window == bytes);
    let (key, value) = records.into_iter().find(|(_, value)| held(value)).expect("the record");
    let mut batch = tables.begin();
    batch.put(table as usize, &key, &value).unwrap();
    tables.commit(batch).unwrap();
    let place = |path: &PathBuf| {
        let file = std::fs::read(path).ok()?;
        file.windows(value.len()).position(|window| window == &*value)
    };
    let (file, at) = wait_until("the record to be in a table's file", WITHIN, || {
        let files = files_under(data)?.into_iter();
        let mut tables = files.filter(|path| path.components().any(|part| part.as_os_str() == "tables"));
        let found = tables.find_map(|path| Some((path.clone(), place(&path)?)));
        found.ok_or_else(|| RigError::Answer("it is in none".to_owned()))
    })
    .unwrap();
    drop(tables);
    flip(&file, at + value.len() / 2);
}

/// The status that a rightly signed question for a key gets at a node.
fn asked(cluster: &Cluster, id: u64, content: &str) -> u16 {
    let (signer, api) = (cluster.signer(), cluster.node(id).unwrap().api);
    signer.send(api, "GET", WIDEVINE, &signer.custom_data(content, &[])).unwrap().status
}

/// The node says that it cannot serve, why, and what to do.
fn is_known_to_be_damaged(cluster: &Cluster, id: u64) {
    let node = cluster.node(id).unwrap();
    let said = metrics::is_ready(node.api).expect_err("a damaged node is ready").to_string();
    wait_until("the node to be measured as damaged", WITHIN, || {
        match metrics::sample(node.api, metrics::TABLES_DAMAGED)? {
            1.0 => Ok(()),
            other => Err(RigError::Answer(other.to_string())),
        }
    })
    .unwrap();
    let log = cluster.said(id).unwrap();
    let data = node.dir.join("data").display().to_string();
    for word in ["cannot read the tables in", "Checksum", &format!("cluster remove {id}"), &data] {
        assert!(said.contains(word) && log.contains(word), "{word:?} is not in {said}, or not in its log");
    }
    assert!(said.contains("503"), "{said}");
}

/// The others serve, and one of them leads, also when their leader dies.
fn the_others_lead(cluster: &mut Cluster, damaged: u64) {
    wait_until("another node to lead", WITHIN, || match cluster.leader()? {
        leader if leader == damaged => Err(RigError::Answer("the damaged node leads".to_owned())),
        _ => Ok(()),
    })
    .unwrap();
    for id in cluster.others(damaged) {
        assert_eq!(asked(cluster, id, "film-3.mp4"), 200);
    }
    let leader = cluster.leader().unwrap();
    cluster.kill(leader).unwrap();
    let api = cluster.node(damaged).unwrap().api;
    // Longer than elections take; the last whole node needs the damaged one's vote, and gets it.
    for _ in 0..30 {
        assert!(metrics::sample(api, metrics::IS_LEADER).unwrap() < 0.5, "the damaged node leads");
        pause(Duration::from_millis(100)).unwrap();
    }
    let last = *cluster.others(damaged).iter().find(|id| **id != leader).unwrap();
    assert_eq!(cluster.leader().unwrap(), last);
    assert_eq!(asked(cluster, last, "film-3.mp4"), 200);
    cluster.restart(leader).unwrap();
    cluster.await_caught_up(leader).unwrap();
}

fn lead(cluster: &Cluster, id: u64) {
    wait_until("the node to lead", WITHIN, || {
        cluster.operate(id, &["transfer-leader", &id.to_string(), "--yes"])?.succeeded()?;
        match cluster.leader()? {
            leader if leader == id => Ok(()),
            leader => Err(RigError::Answer(format!("node {leader} leads"))),
        }
    })
    .unwrap();
}

/// Three nodes with some keys.
fn with_keys() -> (Cluster, Ledger) {
    let (mut cluster, mut ledger) = (Options::default().start().unwrap(), Ledger::default());
    cluster.do_without_dev().unwrap();
    for serial in 0..10 {
        let api = cluster.nodes()[serial % 3].api;
        ledger.enter(cluster.signer().create(api, &format!("film-{serial}.mp4")).unwrap(), "before");
    }
    for node in cluster.nodes() {
        cluster.await_caught_up(node.id).unwrap();
    }
    (cluster, ledger)
}

/// Three nodes with some keys, the second of which has a damaged record and leads.
fn led_by_a_damaged_node(table: Table, bytes: impl FnOnce(&Cluster) -> Vec<u8>) -> (Cluster, Ledger, u64) {
    let (mut cluster, ledger) = with_keys();
    let id = cluster.nodes()[1].id;
    cluster.stop(id).unwrap();
    flip_record(&cluster.node(id).unwrap().dir.join("data"), table, &bytes(&cluster));
    cluster.restart(id).unwrap();
    cluster.await_caught_up(id).unwrap();
    cluster.await_ready().unwrap();
    lead(&cluster, id);
    (cluster, ledger, id)
}

#[test]
fn a_damaged_account_is_no_wrong_signature_and_its_node_neither_ready_nor_leader() {
    let account = |cluster: &Cluster| cluster.signer().account_id.clone().into_bytes();
    let (mut cluster, ledger, id) = led_by_a_damaged_node(Table::Accounts, account);
    assert_eq!(asked(&cluster, id, "film-3.mp4"), 500);
    assert_eq!(asked(&cluster, id, "no-such-film.mp4"), 500);
    is_known_to_be_damaged(&cluster, id);
    the_others_lead(&mut cluster, id);
    // Not made the leader by hand either.
    let said = cluster.operate(id, &["transfer-leader", &id.to_string(), "--yes"]).unwrap();
    assert_ne!((said.code, cluster.leader().unwrap()), (Some(0), id), "{said:?}");
    assert_eq!(asked(&cluster, id, "film-3.mp4"), 500);
    let whole: Vec<_> = cluster.others(id).into_iter().map(|id| cluster.node(id).unwrap().api).collect();
    ledger.assert_kept(cluster.signer(), &whole);
}

#[test]
fn a_damaged_key_is_not_absent_and_its_node_neither_ready_nor_leader() {
    let film = |_: &Cluster| b"film-3.mp4".to_vec();
    let (mut cluster, ledger, id) = led_by_a_damaged_node(Table::Tracks, film);
    assert_eq!(asked(&cluster, id, "film-3.mp4"), 500);
    is_known_to_be_damaged(&cluster, id);
    the_others_lead(&mut cluster, id);
    let whole: Vec<_> = cluster.others(id).into_iter().map(|id| cluster.node(id).unwrap().api).collect();
    ledger.assert_kept(cluster.signer(), &whole);
    // What it cannot apply ends it, with the same words.
    let signer = cluster.signer();
    let answer = signer.send(whole[0], "PUT", WIDEVINE, &signer.custom_data("film-3.mp4", &[])).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(cluster.await_own_end(id).unwrap().code(), Some(1));
    let log = cluster.said(id).unwrap();
    let last = log.lines().last().unwrap_or_default();
    assert!(
        log.contains(&format!("cluster remove {id}")) && last.contains("cannot read the tables"),
        "{last}"
    );
}

#[test]
fn where_every_node_is_damaged_one_leads_after_all() {
    let (mut cluster, _) = with_keys();
    let ids: Vec<u64> = cluster.nodes().iter().map(|node| node.id).collect();
    for id in &ids {
        cluster.stop(*id).unwrap();
        flip_record(&cluster.node(*id).unwrap().dir.join("data"), Table::Tracks, b"film-3.mp4");
    }
    cluster.restart_all().unwrap();
    cluster.await_ready().unwrap();
    for id in &ids {
        assert_eq!(asked(&cluster, *id, "film-3.mp4"), 500);
        is_known_to_be_damaged(&cluster, *id);
    }
    let leader = wait_until("one to lead", WITHIN, || cluster.leader()).unwrap();
    cluster.kill(leader).unwrap();
    wait_until("one of the others to lead", WITHIN, || cluster.leader()).unwrap();
}
