//! Keys under the key ids of encryptors: derived alike everywhere, noted once, and never another in silence.

use std::collections::{BTreeMap, HashSet};

use keymoot_audit::{AuditLog, NodeAudit, Outcome};
use keymoot_drm::fairplay::constant_iv;
use keymoot_model::{AccountChange, DocumentSettings, KeyKind, PolicyName, WidevineHdcp};
use keymoot_state::{Command, NewDocumentSeed};

use super::*;
use crate::documents::new_document_seed;
use crate::{DocumentKey, DocumentKeySource, PolicyCondition, WantedDocumentKey};

fn kid(byte: u8) -> Kid {
    Kid::from_bytes([byte; 16])
}

fn tracks(names: &[&str]) -> Vec<TrackName> {
    names.iter().map(|name| TrackName::new(*name).unwrap()).collect()
}

fn wanted(content: &ContentId, kid_byte: u8) -> WantedDocumentKey {
    WantedDocumentKey {
        content: content.clone(),
        kid: kid(kid_byte),
        kind: KeyKind::Protected,
        announced_iv: None,
        tracks: Vec::new(),
        has_periods: false,
    }
}

fn clear(content: &ContentId, kid_byte: u8) -> WantedDocumentKey {
    WantedDocumentKey { kind: KeyKind::Clear, ..wanted(content, kid_byte) }
}

/// What an answer holds, to be compared.
fn held(keys: &[DocumentKey]) -> Vec<(Kid, [u8; 16], [u8; 16])> {
    keys.iter().map(|key| (key.kid, *key.key.expose(), key.iv)).collect()
}

impl World {
    async fn document(&self, wanted: &[WantedDocumentKey]) -> Result<Vec<DocumentKey>, ServiceError> {
        self.keys().of_document(&self.grant, wanted).await
    }

    async fn one(&self, wanted: WantedDocumentKey) -> DocumentKey {
        self.document(&[wanted]).await.unwrap().remove(0)
    }

    /// The keys that a license of the content would hold.
    async fn licensable(&self, content: &ContentId, kids: &[Kid]) -> Vec<(Kid, [u8; 16])> {
        let found = self.keys().of_content(&self.grant, content, kids).await.unwrap();
        found.iter().map(|key| (key.kid, *key.key.expose())).collect()
    }

    /// What the account's operator does.
    async fn rotate_seed(&self) {
        let account = self.grant.account();
        let put = Command::PutAccount { account: account.clone(), if_absent: true };
        let NewDocumentSeed { id, seed } = new_document_seed(&self.keyring, &account.id).unwrap();
        let change = Box::new(AccountChange::RotateDocumentSeed { id, seed });
        let rotate = Command::ChangeAccount { id: account.id.clone(), change };
        let responses = self.here().propose(vec![put, rotate]).await.unwrap();
        assert_eq!(responses[1], keymoot_state::Response::Done);
    }

    async fn rotate(&self, content: &ContentId) {
        let account = self.grant.account().id.clone();
        let rotate = Command::RotateDocuments { account, content: content.clone() };
        assert_eq!(self.here().propose_one(rotate).await.unwrap(), keymoot_state::Response::Done);
    }
}

#[tokio::test]
async fn the_same_document_has_the_same_keys_on_every_node_and_costs_one_proposal() {
    let world = World::new();
    let document: Vec<_> = (1..=8).map(|byte| wanted(&film(1), byte)).collect();
    let first = world.document(&document).await.unwrap();
    assert_eq!(world.here().log().len(), 1);
    assert_eq!(first.iter().map(|key| *key.key.expose()).collect::<HashSet<_>>().len(), 8);
    assert!(first.iter().all(|key| key.source == DocumentKeySource::Derived));
    assert_eq!(first[0].iv, constant_iv(&kid(1)));
    let elsewhere = world.keys_elsewhere().of_document(&world.grant, &document).await.unwrap();
    assert_eq!(held(&elsewhere), held(&first));
    // Periods: key ids that nobody noted.
    let period = WantedDocumentKey { has_periods: true, ..wanted(&film(1), 200) };
    let here = world.one(period.clone()).await;
    let there = world.keys_elsewhere().of_document(&world.grant, &[period]).await.unwrap();
    assert_eq!(held(&there), held(&[here]));
    assert_eq!(world.here().log().len(), 1, "neither a repetition nor a period is noted");
}

#[tokio::test]
async fn two_nodes_that_are_asked_at_once_give_one_answer() {
    let world = World::new();
    let document = [wanted(&film(1), 1), wanted(&film(2), 2)];
    let (here, there) = (world.keys(), world.keys_elsewhere());
    let (one, other) =
        tokio::join!(here.of_document(&world.grant, &document), there.of_document(&world.grant, &document));
    assert_eq!(held(&one.unwrap()), held(&other.unwrap()));
}

#[tokio::test]
async fn in_a_minority_every_known_content_is_answered_and_a_new_one_waits() {
    let world = World::reading(Consistency::Local);
    let known = world.one(wanted(&film(1), 1)).await;
    world.here().lose_quorum();
    let again = world.document(&[wanted(&film(1), 1), wanted(&film(1), 99)]).await.unwrap();
    assert_eq!((again[0].kid, again[0].key.expose()), (known.kid, known.key.expose()));
    assert!(is_no_quorum(&world.document(&[wanted(&film(2), 2)]).await));
    world.here().regain_quorum();
    let period = again[1].key.expose();
    assert_eq!(world.one(wanted(&film(1), 99)).await.key.expose(), period);
}

#[tokio::test]
async fn an_answer_that_got_lost_is_given_again() {
    let world = World::new();
    world.here().next_proposal_is(Fault::AnswerLost);
    assert!(is_no_quorum(&world.document(&[wanted(&film(1), 1)]).await));
    let here = world.one(wanted(&film(1), 1)).await;
    let there = world.keys_elsewhere().of_document(&world.grant, &[wanted(&film(1), 1)]).await.unwrap();
    assert_eq!(held(&there), held(&[here]));
    assert_eq!(world.here().log().len(), 1);
}

#[tokio::test]
async fn what_is_stored_for_a_key_id_wins_in_its_content_and_is_refused_in_others() {
    let world = World::new();
    let (kid, key) = own_key(1);
    world.keys().create(&world.grant, &film(1), Some((kid, key))).await.unwrap();
    let found = world.one(wanted(&film(1), 1)).await;
    assert_eq!((found.source, *found.key.expose()), (DocumentKeySource::Stored, [1; 16]));
    let refused = conflict(world.document(&[wanted(&film(2), 2), wanted(&film(2), 1)]).await);
    assert!(refused.contains("film-1") && refused.contains("01010101-"), "{refused}");
    assert_eq!(world.here().log().len(), 1, "nothing was noted");
    let with_iv = WantedDocumentKey { announced_iv: Some([7; 16]), ..wanted(&film(1), 1) };
    assert!(conflict(world.document(&[with_iv]).await).contains("announce another IV"));
    // A period's derived key is a key, too.
    let range = PeriodRange::new(60, 5, 1).unwrap();
    let period = world.keys().periods(&world.grant, &film(3), range).await.unwrap().remove(0);
    let of_period = WantedDocumentKey { kid: period.kid, ..wanted(&film(3), 0) };
    assert_eq!(world.one(of_period).await.key.expose(), period.key.expose());
}

#[tokio::test]
async fn a_key_id_of_a_document_gets_no_key_of_somebodys_own_in_silence() {
    let world = World::new();
    let derived = world.one(wanted(&film(1), 1)).await;
    for content in [film(1), film(2)] {
        let refused = world.keys().replace(&world.grant, &content, Some(own_key(1))).await;
        assert!(conflict(refused).contains("never used"));
    }
    let same = ContentKey::from_bytes(derived.key.expose());
    let repeated = world.keys().replace(&world.grant, &film(1), Some((kid(1), same))).await.unwrap();
    assert_eq!(repeated.key.expose(), derived.key.expose());
    assert_eq!(world.one(wanted(&film(1), 1)).await.key.expose(), derived.key.expose());
}

#[tokio::test]
async fn a_license_opens_keys_of_its_content_and_nothing_else() {
    let world = World::new();
    let one = world.one(wanted(&film(1), 1)).await;
    let period = world.one(WantedDocumentKey { has_periods: true, ..wanted(&film(1), 50) }).await;
    let other = world.one(wanted(&film(2), 2)).await;
    let kids = [kid(1), kid(50)];
    let expected = [(kid(1), *one.key.expose()), (kid(50), *period.key.expose())];
    assert_eq!(world.licensable(&film(1), &kids).await, expected);
    assert!(world.licensable(&film(1), &[kid(2)]).await.is_empty(), "noted for another content");
    // The same key id under another content or another account derives something else.
    let elsewhere = world.licensable(&film(2), &[kid(50)]).await;
    assert!(elsewhere.iter().all(|(_, key)| key != period.key.expose()));
    assert_ne!(other.key.expose(), one.key.expose());
    let foreign = grant(Account { id: AccountId::new("168").unwrap(), ..account(Consistency::Linearizable) });
    let none = world.keys().of_content(&foreign, &film(1), &[kid(1)]).await.unwrap();
    assert!(none.is_empty(), "another account never made the content");
    let theirs = world.keys().of_document(&foreign, &[wanted(&film(1), 1)]).await.unwrap();
    assert_ne!(theirs[0].key.expose(), one.key.expose());
    // Nobody's content.
    assert!(world.licensable(&film(9), &[kid(1), kid(99)]).await.is_empty());
    world.keys().create(&world.grant, &film(3), None).await.unwrap();
    assert!(world.licensable(&film(3), &[kid(77)]).await.is_empty(), "no document made it");
}

#[tokio::test]
async fn a_deleted_content_has_no_license_and_other_keys_when_it_is_made_anew() {
    let world = World::new();
    let before = world.one(wanted(&film(1), 1)).await;
    assert_eq!(world.keys().delete(&world.grant, &film(1), None).await.unwrap(), 2, "a version and a key id");
    assert!(world.licensable(&film(1), &[kid(1), kid(50)]).await.is_empty());
    assert!(world.keys().read(&world.grant, &film(1)).await.unwrap().is_none());
    let after = world.one(wanted(&film(1), 1)).await;
    assert_eq!(after.kid, before.kid);
    assert_ne!(after.key.expose(), before.key.expose());
    assert_eq!(world.licensable(&film(1), &[kid(1)]).await, [(kid(1), *after.key.expose())]);
}

#[tokio::test]
async fn a_deleted_key_id_is_refused_whether_it_was_noted_or_not() {
    let world = World::new();
    world.document(&[wanted(&film(1), 1), wanted(&film(1), 2)]).await.unwrap();
    for byte in [1, 60] {
        assert_eq!(world.keys().delete(&world.grant, &film(1), Some(kid(byte))).await.unwrap(), 1);
        assert!(conflict(world.document(&[wanted(&film(1), byte)]).await).contains("was deleted"));
        assert!(world.licensable(&film(1), &[kid(byte)]).await.is_empty());
    }
    assert_eq!(world.licensable(&film(1), &[kid(2)]).await.len(), 1);
}

#[tokio::test]
async fn a_rotated_seed_holds_for_contents_that_are_made_after() {
    let world = World::new();
    let old = world.one(wanted(&film(1), 1)).await;
    world.rotate_seed().await;
    assert_eq!(world.one(wanted(&film(1), 1)).await.key.expose(), old.key.expose());
    let numbers = |content: &ContentId| {
        let known = keymoot_state::document_content(world.here().state(), &world.grant.account().id, content);
        known.unwrap().unwrap().versions[0].seed
    };
    world.one(wanted(&film(2), 2)).await;
    assert_eq!((numbers(&film(1)), numbers(&film(2))), (1, 2));
}

#[tokio::test]
async fn a_rotated_content_has_other_keys_under_other_key_ids_and_the_old_ones_stay() {
    let world = World::new();
    let document = [wanted(&film(1), 1), WantedDocumentKey { has_periods: true, ..wanted(&film(1), 50) }];
    let old = world.document(&document).await.unwrap();
    world.rotate(&film(1)).await;
    let length = world.here().log().len();
    let new = world.document(&document).await.unwrap();
    for (old, new) in old.iter().zip(&new) {
        assert_eq!(new.source, DocumentKeySource::Replaced);
        assert!(new.kid != old.kid && new.key.expose() != old.key.expose());
    }
    assert_eq!(held(&world.document(&document).await.unwrap()), held(&new), "the same again");
    let elsewhere = world.keys_elsewhere().of_document(&world.grant, &document).await.unwrap();
    assert_eq!(held(&elsewhere), held(&new));
    assert_eq!(world.here().log().len(), length, "a rotated content costs no proposal");
    // An encryptor that took the new key id asks for it as it is.
    let taken = WantedDocumentKey { kid: new[0].kid, ..document[0].clone() };
    assert_eq!(held(&[world.one(taken.clone()).await]), held(&new[..1]));
    // Licenses for what was encrypted before and for what is now.
    let kids = [old[0].kid, old[1].kid, new[0].kid, new[1].kid];
    let expected: Vec<_> = old.iter().chain(&new).map(|key| (key.kid, *key.key.expose())).collect();
    assert_eq!(world.licensable(&film(1), &kids).await, expected);
    // Rotated once more, the key id that the server made gets no other key either.
    world.rotate(&film(1)).await;
    let third = world.one(taken).await;
    assert!(third.kid != new[0].kid && third.source == DocumentKeySource::Replaced);
    assert_eq!(world.licensable(&film(1), &kids).await, expected);
    let from_first = world.one(document[0].clone()).await;
    assert_ne!(from_first.kid, third.kid, "each key id that is asked for has another in its place");
}

#[tokio::test]
async fn a_node_that_has_not_applied_a_rotation_gives_no_wrong_key_for_what_came_after() {
    let world = World::reading(Consistency::Local);
    world.one(wanted(&film(1), 1)).await;
    let elsewhere = world.keys_elsewhere();
    elsewhere.of_document(&world.grant, &[wanted(&film(1), 1)]).await.unwrap();
    let account = world.grant.account().id.clone();
    let rotate = Command::RotateDocuments { account, content: film(1) };
    world.nodes[1].propose_one(rotate).await.unwrap();
    let new = elsewhere.of_document(&world.grant, &[wanted(&film(1), 1)]).await.unwrap().remove(0);
    assert_eq!(new.source, DocumentKeySource::Replaced);
    // The first node hears of it when it is asked for the new key id.
    let found = world.keys().of_content(&world.grant, &film(1), &[new.kid]).await.unwrap();
    assert_eq!(found[0].key.expose(), new.key.expose());
    let account = world.grant.account().id.clone();
    world.nodes[1].propose_one(Command::RotateDocuments { account, content: film(1) }).await.unwrap();
    let third = elsewhere.of_document(&world.grant, &[wanted(&film(1), 1)]).await.unwrap().remove(0);
    let taken = WantedDocumentKey { kid: third.kid, ..wanted(&film(1), 0) };
    assert_eq!(held(&[world.one(taken).await]), held(&[third]));
}

#[tokio::test]
async fn clear_keys_and_protected_ones_never_meet() {
    let world = World::new();
    let protected = world.one(wanted(&film(1), 1)).await;
    let clear_key = world.one(clear(&film(1), 2)).await;
    // Noted: the other kind is refused, by documents and by whoever hands keys out.
    assert!(conflict(world.document(&[clear(&film(1), 1)]).await).contains("other kind"));
    assert!(conflict(world.document(&[wanted(&film(1), 2)]).await).contains("other kind"));
    let found = world.keys().of_hls(&world.grant, &film(1), &kid(2)).await.unwrap().unwrap();
    assert_eq!(found.key.expose(), clear_key.key.expose());
    assert!(world.keys().of_hls(&world.grant, &film(1), &kid(1)).await.unwrap().is_none());
    assert!(world.licensable(&film(1), &[kid(2)]).await.is_empty());
    // Not noted: each context has a key of its own.
    let period = world.one(WantedDocumentKey { has_periods: true, ..wanted(&film(1), 50) }).await;
    let handed_out = world.keys().of_hls(&world.grant, &film(1), &kid(50)).await.unwrap().unwrap();
    assert_ne!(handed_out.key.expose(), period.key.expose());
    assert_eq!(handed_out.place.track, TrackName::hls_aes_128());
    // A content without clear keys has none to hand out, and one without protected ones no license.
    world.one(wanted(&film(2), 3)).await;
    assert!(world.keys().of_hls(&world.grant, &film(2), &kid(99)).await.unwrap().is_none());
    world.one(clear(&film(3), 4)).await;
    assert!(world.licensable(&film(3), &[kid(99)]).await.is_empty());
    // Stored keys are of a kind as well.
    let track = TrackName::hls_aes_128();
    let stored = WantedTrack { track: &track, change: KeyChange::Create, supplied: Some(own_key(9)) };
    let content = film(4);
    let wanted_keys = Ingestion::of(&content, WantedKeys::Tracks(vec![stored]));
    world.keys().ingest(&world.grant, wanted_keys).await.unwrap();
    assert!(conflict(world.document(&[wanted(&film(4), 9)]).await).contains("other kind"));
    assert_eq!(world.one(clear(&film(4), 9)).await.source, DocumentKeySource::Stored);
    assert_eq!(protected.protection, keymoot_model::Protection::default());
}

#[tokio::test]
async fn what_is_new_about_a_content_is_noted_once() {
    let world = World::new();
    let of = |byte, names: &[&str]| WantedDocumentKey { tracks: tracks(names), ..wanted(&film(1), byte) };
    world.document(&[of(1, &["SD"]), of(2, &["HD"])]).await.unwrap();
    let length = world.here().log().len();
    world.one(of(3, &["SD", "HD"])).await;
    assert_eq!(world.here().log().len(), length, "tracks that are known");
    world.one(of(4, &["UHD1"])).await;
    world.one(of(5, &["UHD1"])).await;
    world.one(clear(&film(1), 6)).await;
    world.one(clear(&film(1), 7)).await;
    assert_eq!(world.here().log().len(), length + 2, "a track and a kind that were new");
}

#[tokio::test]
async fn licenses_announce_the_iv_that_the_document_gave() {
    let world = World::new();
    let with_iv = |byte, iv| WantedDocumentKey { announced_iv: Some(iv), ..wanted(&film(1), byte) };
    let noted = world.one(with_iv(1, [6; 16])).await;
    assert_eq!(noted.iv, [6; 16]);
    let length = world.here().log().len();
    // One IV for the content: later key ids with the same need no note.
    assert_eq!(world.one(with_iv(2, [6; 16])).await.iv, [6; 16]);
    assert_eq!(world.here().log().len(), length);
    assert_eq!(world.one(with_iv(3, [8; 16])).await.iv, [8; 16]);
    assert_eq!(world.here().log().len(), length + 1, "another IV is noted");
    let found = world.keys().of_content(&world.grant, &film(1), &[kid(1), kid(2), kid(3)]).await.unwrap();
    let ivs: Vec<_> = found.iter().map(|key| key.iv).collect();
    assert_eq!(ivs, [Some([6; 16]), Some([6; 16]), Some([8; 16])]);
    assert!(conflict(world.document(&[with_iv(3, [9; 16])]).await).contains("another IV"));
}

#[tokio::test]
async fn front_ends_that_know_tracks_alone_get_what_documents_made() {
    let world = World::new();
    // One key: the default track's, by GET and by POST (uDRM 2.3.3: what exists is returned).
    let only = world.one(wanted(&film(1), 1)).await;
    let read = world.keys().read(&world.grant, &film(1)).await.unwrap().unwrap();
    assert_eq!((read.kid, read.key.expose()), (kid(1), only.key.expose()));
    let length = world.here().log().len();
    let created = world.keys().create(&world.grant, &film(1), None).await.unwrap();
    assert_eq!((created.kid, created.key.expose()), (kid(1), only.key.expose()));
    assert_eq!(world.here().log().len(), length);
    let elsewhere = world.keys_elsewhere().create(&world.grant, &film(1), None).await.unwrap();
    assert_eq!((elsewhere.kid, elsewhere.key.expose()), (kid(1), only.key.expose()));
    // A key per track: each by its name, and none is the default track's.
    let of = |byte, names: &[&str]| WantedDocumentKey { tracks: tracks(names), ..wanted(&film(2), byte) };
    world.document(&[of(2, &["SD"]), of(3, &["HD", "UHD1"]), of(4, &["AUDIO"])]).await.unwrap();
    let content = film(2);
    for (name, byte) in [("SD", 2), ("HD", 3), ("UHD1", 3), ("AUDIO", 4)] {
        let track = TrackName::new(name).unwrap();
        let found = world.keys().read(&world.grant, ContentTrack::new(&content, &track)).await.unwrap();
        assert_eq!(found.map(|key| key.kid), Some(kid(byte)), "{name}");
        let ingested = Ingestion::of(&content, WantedKeys::created(&track));
        let created = world.keys().ingest(&world.grant, ingested).await.unwrap().into_key().unwrap();
        assert_eq!(created.kid, kid(byte), "{name}");
    }
    assert!(world.keys().read(&world.grant, &film(2)).await.unwrap().is_none());
    let made = world.keys().create(&world.grant, &film(2), None).await.unwrap();
    assert!(made.kid != kid(2) && made.version == 1, "a key of its own, as for any track without one");
    // By its key id each is found, too.
    let found = world.keys().look_up(&world.grant, &[kid(3), kid(99)]).await.unwrap();
    assert!(found[0].is_some() && found[1].is_none());
    assert!(world.keys().read_version(&world.grant, &film(2), &kid(3)).await.unwrap().is_some());
    assert!(world.keys().read_version(&world.grant, &film(1), &kid(3)).await.unwrap().is_none());
    // Replaced by uDRM, the track has another key; the document keeps its own.
    let replaced = world.keys().replace(&world.grant, &film(1), None).await.unwrap();
    assert_ne!(replaced.kid, kid(1));
    assert_eq!(world.keys().read(&world.grant, &film(1)).await.unwrap().unwrap().kid, replaced.kid);
    assert_eq!(world.one(wanted(&film(1), 1)).await.key.expose(), only.key.expose());
}

#[tokio::test]
async fn a_track_that_a_document_and_another_front_end_want_at_once_has_one_key() {
    let world = World::new();
    let key = keymoot_state::NewDocumentKey {
        kid: kid(1),
        kind: KeyKind::Protected,
        tracks: vec![TrackName::default_track()],
        key_of: vec![TrackName::default_track()],
        iv: None,
        replaced_in: None,
    };
    let account = world.grant.account().id.clone();
    let seed = Some(new_document_seed(&world.keyring, &account).unwrap());
    let new = keymoot_state::NewDocument { account, content: film(1), seed, keys: vec![key], answered: None };
    world.here().next_proposal_is(Fault::After(vec![Command::NoteDocument(Box::new(new))]));
    let created = world.keys().create(&world.grant, &film(1), None).await.unwrap();
    assert_eq!(created.kid, kid(1));
    assert_eq!(world.one(wanted(&film(1), 1)).await.key.expose(), created.key.expose());
}

#[tokio::test]
async fn what_is_signalled_is_what_is_licensed() {
    let world = World::new();
    let document =
        br#"{"name":"hd","tracks":{"HD":{"widevine":{"hdcp":"v1"}},"UHD1":{"widevine":{"hdcp":"v2.2"}}}}"#;
    let policy = keymoot_model::Policy::from_json(document, None).unwrap();
    world.policies().put(&world.grant, policy, PolicyCondition::Always).await.unwrap();
    let name = PolicyName::new("hd").unwrap();
    world.policies().set_default(&world.grant, &name).await.unwrap();
    let of = |byte, names: &[&str]| WantedDocumentKey { tracks: tracks(names), ..wanted(&film(1), byte) };
    let keys = world.document(&[of(1, &["SD"]), of(2, &["HD2"]), of(3, &["UHD"])]).await.unwrap();
    let hdcp: Vec<_> = keys.iter().map(|key| key.protection.widevine.hdcp).collect();
    assert_eq!(hdcp, [None, Some(WidevineHdcp::V1), Some(WidevineHdcp::V2_2)]);
    // A key id that is not noted may be of any track: it is told, and licensed, at the strictest.
    let period = world.one(WantedDocumentKey { has_periods: true, ..of(50, &["SD"]) }).await;
    assert_eq!(period.protection.widevine.hdcp, Some(WidevineHdcp::V2_2));
    let found = world.keys().of_content(&world.grant, &film(1), &[kid(1), kid(50)]).await.unwrap();
    let policy = world.policies().of_content(world.grant.account(), &film(1)).unwrap().unwrap();
    let licensed: Vec<_> = found.iter().map(|key| policy.protection_of(&key.place.track)).collect();
    assert_eq!(licensed, [keys[0].protection, period.protection]);
}

/// A world whose account reads locally and lets new contents be answered while a node is cut off, with one content.
async fn world_that_notes_later() -> World {
    let world = World::reading(Consistency::Local);
    let documents = DocumentSettings { note_later: true, ..DocumentSettings::default() };
    let world = World { grant: grant_with(account(Consistency::Local), documents), ..world };
    world.one(wanted(&film(9), 90)).await;
    world
}

fn node_audit() -> NodeAudit {
    NodeAudit { log: AuditLog::in_memory(), node: 1 }
}

#[tokio::test]
async fn a_new_content_is_answered_while_cut_off_where_the_account_lets_it_and_noted_later() {
    let world = world_that_notes_later().await;
    let keys = world.keys();
    world.here().lose_quorum();
    let ask = |byte| {
        let (keys, grant) = (&keys, &world.grant);
        async move { keys.of_document(grant, &[wanted(&film(1), byte)]).await.unwrap().remove(0) }
    };
    let first = ask(1).await;
    assert_eq!(held(&[ask(1).await]), held(std::slice::from_ref(&first)), "the same again");
    let other = ask(2).await;
    let (audit, mut begun) = (node_audit(), BTreeMap::new());
    for _ in 0..3 {
        keys.note_waiting(&audit, &mut begun).await;
    }
    world.here().regain_quorum();
    // Before it is noted, and after.
    assert_eq!(held(&[ask(1).await]), held(std::slice::from_ref(&first)));
    keys.note_waiting(&audit, &mut begun).await;
    let outcomes: Vec<_> = audit.log.remembered().iter().map(|event| event.outcome).collect();
    assert_eq!(outcomes, [Outcome::Intended, Outcome::Done], "one intent for all attempts");
    assert_eq!(world.here().kept_late_notes().unwrap(), b"", "nothing waits any more");
    let elsewhere = world.keys_elsewhere();
    world.nodes[1].read_barrier().await.unwrap();
    let there =
        elsewhere.of_document(&world.grant, &[wanted(&film(1), 1), wanted(&film(1), 2)]).await.unwrap();
    assert_eq!(held(&there), held(&[first, other]));
}

#[tokio::test]
async fn what_was_answered_while_cut_off_is_noted_after_a_crash() {
    let world = world_that_notes_later().await;
    world.here().lose_quorum();
    let answered = world.keys().of_document(&world.grant, &[wanted(&film(1), 1)]).await.unwrap();
    // The same node, started again: it remembers what its disk has.
    let restarted = world.keys();
    restarted.take_up_late_notes().unwrap();
    world.here().regain_quorum();
    restarted.note_waiting(&node_audit(), &mut BTreeMap::new()).await;
    world.nodes[1].read_barrier().await.unwrap();
    let there = world.keys_elsewhere().of_document(&world.grant, &[wanted(&film(1), 1)]).await.unwrap();
    assert_eq!(held(&there), held(&answered));
}

#[tokio::test]
async fn a_content_that_others_made_meanwhile_keeps_each_key_id_with_the_key_that_was_given() {
    let world = world_that_notes_later().await;
    let keys = world.keys();
    world.here().lose_quorum();
    let here = keys.of_document(&world.grant, &[wanted(&film(1), 1), wanted(&film(1), 2)]).await.unwrap();
    // On the other side the seed is rotated, and the content made by a document that names one of the key ids.
    let account = world.grant.account();
    let put = Command::PutAccount { account: account.clone(), if_absent: true };
    let NewDocumentSeed { id, seed } = new_document_seed(&world.keyring, &account.id).unwrap();
    let change = Box::new(AccountChange::RotateDocumentSeed { id, seed });
    let rotate = Command::ChangeAccount { id: account.id.clone(), change };
    world.nodes[1].propose(vec![put, rotate]).await.unwrap();
    let there =
        world.keys_elsewhere().of_document(&world.grant, &[wanted(&film(1), 2), wanted(&film(1), 3)]).await;
    let there = there.unwrap();
    assert_ne!(here[1].key.expose(), there[0].key.expose());
    world.here().regain_quorum();
    let audit = node_audit();
    keys.note_waiting(&audit, &mut BTreeMap::new()).await;
    assert_eq!(audit.log.remembered()[1].outcome, Outcome::Failed);
    world.nodes[1].read_barrier().await.unwrap();
    let kids = [kid(1), kid(2), kid(3)];
    let found = world.keys_elsewhere().of_content(&world.grant, &film(1), &kids).await.unwrap();
    let found: Vec<_> = found.iter().map(|key| *key.key.expose()).collect();
    assert_eq!(found, [*here[0].key.expose(), *there[0].key.expose(), *there[1].key.expose()]);
}

#[tokio::test]
async fn without_a_seed_or_the_setting_nothing_new_is_answered_while_cut_off() {
    let world = World::reading(Consistency::Local);
    let documents = DocumentSettings { note_later: true, ..DocumentSettings::default() };
    let willing = grant_with(account(Consistency::Local), documents);
    world.here().lose_quorum();
    assert!(is_no_quorum(&world.keys().of_document(&willing, &[wanted(&film(1), 1)]).await));
    assert!(is_no_quorum(&world.document(&[wanted(&film(1), 1)]).await));
}
