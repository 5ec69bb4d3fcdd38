//! What documents make: contents, their versions and seeds, and the key ids that are noted.

use keymoot_codec::Kind;
use keymoot_model::{AccountChange, AccountId, ContentId, KeyKind, KeyPath, Kid, TrackName};

use super::apply::{Memory, new_key, place};
use super::bytes::{body, command, wrapped};
use super::histories::{account, identity};
use crate::*;

fn kid(byte: u8) -> Kid {
    Kid::from_bytes([byte; 16])
}

fn tracks(names: &[&str]) -> Vec<TrackName> {
    names.iter().map(|name| TrackName::new(*name).unwrap()).collect()
}

/// A document of one content that names these key ids, each of the kind, and the first one the default track's.
pub(super) fn new_document(content: u8, kids: &[u8], is_clear: bool) -> NewDocument {
    let KeyPath { account, content, track } = place(content);
    let (kind, track) = match is_clear {
        true => (KeyKind::Clear, TrackName::hls_aes_128()),
        false => (KeyKind::Protected, track),
    };
    let keys = kids.iter().enumerate().map(|(number, byte)| NewDocumentKey {
        kid: kid(*byte),
        kind,
        tracks: vec![track.clone()],
        key_of: if number == 0 { vec![track.clone()] } else { Vec::new() },
        iv: None,
        replaced_in: None,
    });
    let seed = Some(NewDocumentSeed { id: 7, seed: wrapped() });
    NewDocument { account, content, seed, keys: keys.collect(), answered: None }
}

/// A cluster, and the commands that were applied to it one by one.
struct History {
    memory: Memory,
    serial: u64,
}

impl History {
    fn new() -> Self {
        let mut history = Self { memory: Memory::default(), serial: 0 };
        history.run(Command::Found(identity(0, 4)));
        history
    }

    fn run(&mut self, command: Command) -> Response {
        self.serial += 1;
        let response = self.memory.run_one(self.serial, self.serial, command);
        assert_eq!(digest(&self.memory).unwrap(), self.memory.digest_from_scratch());
        response
    }

    fn note(&mut self, new: NewDocument) -> Response {
        self.run(Command::NoteDocument(Box::new(new)))
    }

    fn refusal(&mut self, new: NewDocument) -> DocumentRefusal {
        match self.note(new) {
            Response::DocumentRefused(refusal) => *refusal,
            other => panic!("{other:?}"),
        }
    }

    fn rotate(&mut self, content: u8) -> Response {
        let KeyPath { account, content, .. } = place(content);
        self.run(Command::RotateDocuments { account, content })
    }

    fn delete(&mut self, content: u8, through: u32) -> u32 {
        let KeyPath { account, content, .. } = place(content);
        match self.run(Command::DeleteDocuments { account, content, through }) {
            Response::Deleted { versions } => versions,
            other => panic!("{other:?}"),
        }
    }

    fn rotate_seed(&mut self, id: u64) -> Response {
        let change = Box::new(AccountChange::RotateDocumentSeed { id, seed: wrapped() });
        self.run(Command::ChangeAccount { id: owner(), change })
    }

    fn content(&self, content: u8) -> Option<DocumentContent> {
        document_content(&self.memory, &owner(), &place(content).content).unwrap()
    }

    /// The content's versions, each with the number of its seed.
    fn versions(&self, content: u8) -> Vec<(u32, u32)> {
        let versions = self.content(content).map(|content| content.versions).unwrap_or_default();
        versions.into_iter().map(|version| (version.version, version.seed)).collect()
    }

    fn noted(&self, byte: u8) -> Option<NotedKid> {
        noted_kid(&self.memory, &owner(), &kid(byte)).unwrap()
    }
}

fn owner() -> AccountId {
    place(1).account
}

#[test]
fn the_first_document_notes_content_seed_and_key_ids_and_a_repetition_changes_nothing() {
    let mut history = History::new();
    assert_eq!(history.note(new_document(1, &[1, 2], false)), Response::Done);
    assert_eq!(history.versions(1), [(1, 1)]);
    let seed = current_document_seed(&history.memory, &owner()).unwrap().unwrap();
    assert_eq!((seed.number, seed.id), (1, 7));
    let before = history.memory.clone();
    let other = Some(NewDocumentSeed { id: 8, seed: wrapped() });
    assert_eq!(history.note(NewDocument { seed: other, ..new_document(1, &[1, 2], false) }), Response::Done);
    let records = |memory: &Memory| {
        memory.records().filter(|(table, ..)| *table != Table::Sessions && *table != Table::Meta).count()
    };
    assert_eq!(records(&history.memory), records(&before));
    assert_eq!(current_document_seed(&history.memory, &owner()).unwrap(), Some(seed), "the first seed stays");
    let noted = history.noted(2).unwrap();
    assert_eq!((noted.content, noted.version.version, noted.is_deleted), (place(1).content, 1, false));
}

#[test]
fn a_key_id_has_one_content_and_is_of_one_kind_whoever_noted_or_stored_it() {
    let mut history = History::new();
    history.note(new_document(1, &[1], false));
    let elsewhere = history.refusal(new_document(2, &[5, 1], false));
    assert_eq!(elsewhere, DocumentRefusal::OtherContent { kid: kid(1), content: place(1).content });
    assert_eq!(history.content(2), None, "nothing of it is noted");
    assert_eq!(history.noted(5), None);
    assert_eq!(history.refusal(new_document(1, &[1], true)), DocumentRefusal::OtherKind(kid(1)));
    // Stored: it wins in its own content, and is not noted.
    history.run(Command::CreateKey(new_key(3, 1, 9)));
    assert_eq!(history.note(new_document(3, &[9, 10], false)), Response::Done);
    assert_eq!((history.noted(9), history.noted(10).is_some()), (None, true));
    assert!(matches!(
        history.refusal(new_document(1, &[9], false)),
        DocumentRefusal::OtherContent { content, .. } if content == place(3).content
    ));
    assert_eq!(history.refusal(new_document(3, &[9], true)), DocumentRefusal::OtherKind(kid(9)));
    // And a key of one's own under a key id that a document named is refused, with what it derives from.
    for command in [Command::CreateKey(new_key(4, 1, 1)), Command::ReplaceKey(new_key(1, 1, 1))] {
        match history.run(command) {
            Response::DocumentKey(record) => assert_eq!((record.kid, record.version), (kid(1), 1)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_iv_that_licenses_announce_is_the_key_ids_for_ever() {
    let mut history = History::new();
    let with_iv = |iv| {
        let mut new = new_document(1, &[1, 2], false);
        new.keys.iter_mut().for_each(|key| key.iv = iv);
        new
    };
    history.note(with_iv(Some([6; 16])));
    assert_eq!(history.content(1).unwrap().iv, Some([6; 16]));
    assert_eq!(history.refusal(with_iv(Some([7; 16]))), DocumentRefusal::OtherIv(kid(1)));
    assert_eq!(history.note(with_iv(Some([6; 16]))), Response::Done);
}

#[test]
fn a_rotated_seed_holds_for_contents_made_after_and_a_rotated_content_for_documents_after() {
    let mut history = History::new();
    let owned = Command::PutAccount {
        account: keymoot_model::Account { id: owner(), ..account(1) },
        if_absent: false,
    };
    history.run(owned);
    assert_eq!(history.rotate(1), Response::DocumentRefused(Box::new(DocumentRefusal::NoContent)));
    history.note(new_document(1, &[1], false));
    assert_eq!(history.rotate_seed(11), Response::Done);
    assert_eq!(history.rotate_seed(11), Response::Unchanged, "a retry");
    history.note(new_document(2, &[2], false));
    assert_eq!((history.versions(1), history.versions(2)), (vec![(1, 1)], vec![(1, 2)]));
    assert_eq!(history.rotate(1), Response::Done);
    assert_eq!(history.versions(1), [(1, 1), (2, 2)], "the first derives what is there, the last what comes");
    for _ in 2..DOCUMENT_VERSIONS_MAX {
        assert_eq!(history.rotate(1), Response::Done);
    }
    let full = Response::DocumentRefused(Box::new(DocumentRefusal::VersionsUsedUp));
    assert_eq!(history.rotate(1), full);
}

#[test]
fn a_content_that_is_made_anew_has_another_version_and_no_note_from_before_holds() {
    let mut history = History::new();
    history.note(new_document(1, &[1, 2], false));
    assert_eq!(history.delete(1, 0), 0, "a late retry of an older delete");
    assert_eq!(history.delete(1, 1), 3, "a version and two key ids");
    assert_eq!((history.content(1), history.noted(1)), (None, None));
    assert_eq!(next_document_version(&history.memory, &owner(), &place(1).content).unwrap(), 2);
    // Free for others now, and the content's again.
    assert_eq!(history.note(new_document(2, &[2], false)), Response::Done);
    assert_eq!(history.note(new_document(1, &[1], false)), Response::Done);
    assert_eq!(history.versions(1), [(2, 1)]);
    assert_eq!(history.delete(1, 1), 0);
    assert_eq!(history.noted(1).unwrap().version.version, 2);
}

#[test]
fn deleting_many_key_ids_takes_several_commands_and_none_holds_after_the_first() {
    let mut history = History::new();
    let mut new = new_document(1, &[1], false);
    let key = new.keys.remove(0);
    new.keys = (0..700_u128)
        .map(|number| NewDocumentKey { kid: Kid::from_bytes(number.to_be_bytes()), ..key.clone() })
        .collect();
    history.note(new);
    let rows = |history: &History, table| history.memory.prefix(table, b"").unwrap().len();
    assert_eq!(rows(&history, Table::DocumentKids), 700);
    assert_eq!(history.delete(1, 1), DELETED_VERSIONS_MAX);
    let last = Kid::from_bytes(699_u128.to_be_bytes());
    assert_eq!(
        noted_kid(&history.memory, &owner(), &last).unwrap(),
        None,
        "it waits to be deleted, and is void"
    );
    assert_eq!((history.delete(1, 1), history.delete(1, 1)), (256, 189));
    assert_eq!((rows(&history, Table::DocumentKids), rows(&history, Table::DocumentKeys)), (0, 0));
}

#[test]
fn a_deleted_key_id_gets_no_key_again_noted_or_not() {
    let mut history = History::new();
    history.note(new_document(1, &[1, 2], false));
    let KeyPath { account, content, .. } = place(1);
    let mut delete = |byte| {
        let (account, content) = (account.clone(), content.clone());
        history.run(Command::DeleteDocumentKid { account, content, kid: kid(byte) })
    };
    assert_eq!(delete(1), Response::Deleted { versions: 1 });
    assert_eq!(delete(1), Response::Deleted { versions: 0 });
    assert_eq!(delete(77), Response::Deleted { versions: 1 }, "a key id of a later period");
    assert_eq!(history.refusal(new_document(1, &[1], false)), DocumentRefusal::Deleted(kid(1)));
    assert_eq!(history.refusal(new_document(1, &[77], false)), DocumentRefusal::Deleted(kid(77)));
    assert_eq!(document_key_of_track(&history.memory, &place(1)).unwrap(), None);
}

#[test]
fn a_track_has_the_key_that_a_document_gave_it_until_one_is_stored() {
    let mut history = History::new();
    let mut new = new_document(1, &[1, 2], false);
    new.keys[1].tracks = tracks(&["HD", "UHD1"]);
    new.keys[1].key_of = tracks(&["HD", "UHD1"]);
    history.note(new);
    let found = |history: &History, track: &str| {
        let place = KeyPath { track: TrackName::new(track).unwrap(), ..place(1) };
        document_key_of_track(&history.memory, &place).unwrap().map(|record| record.kid)
    };
    assert_eq!(found(&history, "DEFAULT"), Some(kid(1)));
    assert_eq!((found(&history, "UHD1"), found(&history, "SD")), (Some(kid(2)), None));
    match history.run(Command::CreateKey(new_key(1, 1, 50))) {
        Response::DocumentKey(record) => assert_eq!((record.kid, record.place), (kid(1), place(1))),
        other => panic!("{other:?}"),
    }
    assert_eq!(history.run(Command::ReplaceKey(new_key(1, 1, 50))), Response::Stored);
    assert!(matches!(history.run(Command::CreateKey(new_key(1, 2, 51))), Response::Existing(_)));
}

#[test]
fn what_documents_named_is_listed_behind_what_is_stored_page_by_page() {
    let mut history = History::new();
    history.run(Command::CreateKey(new_key(2, 1, 50)));
    history.note(new_document(1, &[1, 2, 3], false));
    history.note(new_document(3, &[4], true));
    for limit in 1..=6 {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = contents_page(&history.memory, &owner(), None, after.as_deref(), limit).unwrap();
            assert!(page.versions.len() <= limit);
            listed.extend(page.versions.into_iter().map(|version| version.kid.unwrap()));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(listed, [50, 1, 2, 3, 4].map(kid), "{limit}");
    }
    let one = contents_page(&history.memory, &owner(), Some(&place(3).content), None, 9).unwrap().versions;
    assert_eq!((one.len(), one[0].track.as_str()), (1, "HLS-AES-128"));
}

#[test]
fn what_was_answered_while_cut_off_is_noted_as_it_was_answered() {
    let answered = Some(DocumentVersion { version: 1, seed: 1 });
    let late = |content, kids: &[u8]| NewDocument { answered, ..new_document(content, kids, false) };
    let mut history = History::new();
    let owned = Command::PutAccount {
        account: keymoot_model::Account { id: owner(), ..account(1) },
        if_absent: false,
    };
    history.run(owned);
    assert_eq!(history.refusal(late(1, &[1])), DocumentRefusal::NoContent, "no such seed");
    history.note(new_document(9, &[90], false));
    history.rotate_seed(11);
    // Nobody else made it: the answer's seed it is, though the account has a newer one.
    assert_eq!(history.note(late(1, &[1])), Response::Done);
    assert_eq!(history.versions(1), [(1, 1)]);
    // The others made it meanwhile with the newer seed: each key id keeps the key that it was given.
    history.note(new_document(2, &[2], false));
    assert_eq!(history.note(late(2, &[3])), Response::Done);
    assert_eq!((history.versions(2), history.noted(3).unwrap().version.seed), (vec![(1, 2)], 1));
    // One key id that both gave a key: the one that was noted stays, and the other is told.
    assert_eq!(history.refusal(late(2, &[2, 4])), DocumentRefusal::AnsweredOtherwise { kids: 1 });
    assert_eq!((history.noted(2).unwrap().version.seed, history.noted(4).unwrap().version.seed), (2, 1));
    // Deleted meanwhile: the deletion wins.
    history.delete(1, 1);
    assert_eq!(history.note(late(1, &[5])), Response::Unchanged);
    assert_eq!(history.content(1), None);
}

#[test]
fn the_seeds_of_documents_are_rewrapped_like_every_secret() {
    let mut history = History::new();
    history.note(new_document(1, &[1], false));
    let (key, value) = history.memory.prefix(Table::DocumentSeeds, b"").unwrap().remove(0);
    let secret = secrets_of(Table::DocumentSeeds, &key, &value).unwrap().remove(0);
    let new = new_key(1, 1, 5).key;
    let rewrap = Command::Rewrap { place: secret.place(), old: wrapped(), new: new.clone() };
    assert_eq!(history.run(rewrap.clone()), Response::Done);
    assert_eq!(document_seed(&history.memory, &owner(), 1).unwrap().unwrap().seed, new);
    assert_eq!(history.run(rewrap), Response::Unchanged);
    assert!(SECRET_TABLES.contains(&Table::DocumentSeeds));
}

#[test]
fn records_of_documents_have_names_that_show_no_secret() {
    let mut history = History::new();
    history.note(new_document(1, &[1], false));
    let names: Vec<String> = history
        .memory
        .records()
        .filter_map(|(table, key, value)| record_name(table, key, value).unwrap())
        .map(|name| name.to_string())
        .collect();
    for expected in [
        "content of documents account 167 content film-1",
        "key id of documents account 167 content film-1 version 1 KID 01010101-0101-0101-0101-010101010101",
        "seed of documents account 167 version 1",
    ] {
        assert!(names.iter().any(|name| name == expected), "{expected}: {names:?}");
    }
}

#[test]
fn documents_that_wait_to_be_noted_read_back_from_their_bytes() {
    let waiting = [new_document(1, &[1, 2], false), new_document(2, &[3], true)];
    let bytes = documents_to_bytes(&waiting).unwrap();
    assert_eq!(documents_from_bytes(&bytes).unwrap(), waiting);
    assert!(documents_from_bytes(&bytes[..bytes.len() - 1]).is_err());
}

#[test]
fn commands_answers_and_records_of_documents_have_these_bytes() {
    let new = NewDocument {
        account: AccountId::new("a").unwrap(),
        content: ContentId::new("c").unwrap(),
        seed: Some(NewDocumentSeed { id: 5, seed: wrapped() }),
        keys: vec![NewDocumentKey {
            kid: kid(3),
            kind: KeyKind::Clear,
            tracks: tracks(&["T"]),
            key_of: tracks(&["U"]),
            iv: Some([6; 16]),
            replaced_in: Some(2),
        }],
        answered: Some(DocumentVersion { version: 1, seed: 2 }),
    };
    let (account, content) = (new.account.clone(), new.content.clone());
    let seed =
        DocumentSeedRecord { account: account.clone(), number: 2, id: 5, seed: wrapped(), created_at_ms: 9 };
    let version = DocumentVersion { version: 1, seed: 2 };
    let record = DocumentKeyRecord {
        place: KeyPath {
            account: account.clone(),
            content: content.clone(),
            track: TrackName::new("T").unwrap(),
        },
        kid: kid(3),
        kind: KeyKind::Protected,
        version: 1,
        seed: seed.clone(),
        iv: None,
        is_deleted: false,
    };
    let known = DocumentContent {
        next_version: 3,
        versions: vec![version],
        kinds: vec![KeyKind::Protected],
        tracks: tracks(&["T"]),
        track_keys: vec![(TrackName::new("T").unwrap(), kid(3))],
        iv: None,
        created_at_ms: 9,
    };
    let noted = NotedKid {
        content: content.clone(),
        version,
        kind: KeyKind::Protected,
        tracks: tracks(&["T"]),
        iv: None,
        is_deleted: true,
        noted_at_ms: 9,
    };
    let place = SecretPlace::DocumentSeed { account: account.clone(), number: 2 };
    let change = Box::new(AccountChange::RotateDocumentSeed { id: 5, seed: wrapped() });
    let refusals = [
        DocumentRefusal::OtherContent { kid: kid(3), content: content.clone() },
        DocumentRefusal::OtherKind(kid(3)),
        DocumentRefusal::OtherIv(kid(3)),
        DocumentRefusal::Deleted(kid(3)),
        DocumentRefusal::VersionsUsedUp,
        DocumentRefusal::NoContent,
        DocumentRefusal::AnsweredOtherwise { kids: 2 },
    ];
    let mut found = vec![
        command(Command::NoteDocument(Box::new(new))),
        command(Command::RotateDocuments { account: account.clone(), content: content.clone() }),
        command(Command::DeleteDocuments { account: account.clone(), content: content.clone(), through: 2 }),
        command(Command::DeleteDocumentKid { account: account.clone(), content, kid: kid(3) }),
        command(Command::ChangeAccount { id: account, change }),
        command(Command::Rewrap { place, old: wrapped(), new: wrapped() }),
        body(Kind::Record, &Response::DocumentKey(Box::new(record))),
        body(Kind::Record, &seed),
        body(Kind::Record, &known),
        body(Kind::Record, &noted),
    ];
    found.extend(refusals.map(|refusal| body(Kind::Record, &Response::DocumentRefused(Box::new(refusal)))));
    assert_eq!(found, GOLDEN);
    assert_eq!(level_of(&Command::NoteDocument(Box::new(new_document(1, &[1], false)))), 4);
}

const GOLDEN: [&str; 17] = [
    "050403020135016101630105016d0101010101010101010101010302020201030303030303030303030303030303030101015401015501060606060606060606060606060606060102010102",
    "05040302013601610163",
    "0504030201370161016302",
    "0504030201380161016303030303030303030303030303030303",
    "05040302012301610705016d01010101010101010101010103020202",
    "05040302011508016102016d01010101010101010101010103020202016d01010101010101010101010103020202",
    "1f01610163015403030303030303030303030303030303000101610205016d01010101010101010101010103020202090000",
    "01610205016d0101010101010101010101010302020209",
    "030101020100010154010154030303030303030303030303030303030009",
    "0163010200010154000109",
    "2000030303030303030303030303030303030163",
    "200103030303030303030303030303030303",
    "200203030303030303030303030303030303",
    "200303030303030303030303030303030303",
    "2004",
    "2005",
    "200602",
];
