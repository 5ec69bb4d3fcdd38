//! What a document's keys are by what this node has applied, and what must be noted before they can be given.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use keymoot_auth::Grant;
use keymoot_drm::fairplay::constant_iv;
use keymoot_model::{AccountId, ContentId, KeyKind, Kid, TrackName};
use keymoot_state as state;
use keymoot_state::{DocumentContent, DocumentVersion, NewDocumentKey, TRACKS_OF_KEY_MAX, Tables};

use super::refusals::{must_be_of, stored_key};
use super::seeds::OpenSeeds;
use super::{DocumentKeySource, WantedDocumentKey};
use crate::error::ServiceError;
use crate::keys::Keys;
use crate::lookup::LocatedKey;
use crate::replicated_state::ReplicatedState;

/// What a document gets.
pub(super) struct DocumentPlan {
    pub keys: Vec<PlannedKey>,
    /// Whether what is new was answered before, and waits to be noted.
    is_answered_late: bool,
}

/// A key of a document.
pub(super) struct PlannedKey {
    pub content: ContentId,
    /// The key id that holds.
    pub kid: Kid,
    pub kind: KeyKind,
    pub origin: KeyOriginOf,
    pub source: DocumentKeySource,
    /// The track whose terms hold for it.
    pub track: TrackName,
    pub iv: [u8; 16],
    /// What must be noted first.
    pub news: Option<NewDocumentKey>,
}

/// What a key comes from.
pub(super) enum KeyOriginOf {
    Stored(Box<LocatedKey>),
    /// `None`: of the version that the content gets when it is noted.
    Derived(Option<DocumentVersion>),
    /// It is of a version that this node has not applied yet.
    Later,
}

impl DocumentPlan {
    pub(super) fn has_news(&self) -> bool {
        self.keys.iter().any(|key| key.news.is_some())
    }

    /// Whether this node lacks something that the document rests on.
    pub(super) fn is_behind(&self) -> bool {
        self.keys.iter().any(|key| matches!(key.origin, KeyOriginOf::Later))
    }

    pub(super) fn is_answered_late(&self) -> bool {
        self.is_answered_late
    }

    /// What is to be noted, content by content.
    pub(super) fn news(&self) -> BTreeMap<&ContentId, Vec<NewDocumentKey>> {
        let mut news: BTreeMap<&ContentId, Vec<NewDocumentKey>> = BTreeMap::new();
        for key in &self.keys {
            if let Some(new) = &key.news {
                news.entry(&key.content).or_default().push(new.clone());
            }
        }
        news
    }
}

/// The tracks of a wanted key as they are noted.
fn tracks_of(wanted: &WantedDocumentKey) -> Vec<TrackName> {
    match wanted.kind {
        KeyKind::Clear => vec![TrackName::hls_aes_128()],
        KeyKind::Protected if wanted.tracks.is_empty() => vec![TrackName::default_track()],
        KeyKind::Protected if wanted.tracks.len() > TRACKS_OF_KEY_MAX => vec![TrackName::all()],
        KeyKind::Protected => wanted.tracks.clone(),
    }
}

/// The tracks whose key it is, for front ends that know tracks alone. The default track's is the one key for all
/// tracks, or the only one of a content that is new.
fn key_of(wanted: &WantedDocumentKey, of_content: &[&WantedDocumentKey], is_new: bool) -> Vec<TrackName> {
    if wanted.has_periods {
        return Vec::new();
    }
    let alike = of_content.iter().filter(|other| other.kind == wanted.kind && !other.has_periods).count();
    let tracks = tracks_of(wanted);
    if wanted.kind == KeyKind::Clear {
        return if alike == 1 { tracks } else { Vec::new() };
    }
    let is_for_all = tracks.iter().any(TrackName::is_all);
    let mut key_of: Vec<TrackName> = tracks.into_iter().filter(|track| !track.is_all()).collect();
    let default = TrackName::default_track();
    if (is_for_all || (is_new && alike == 1)) && !key_of.contains(&default) {
        key_of.push(default);
    }
    key_of.truncate(TRACKS_OF_KEY_MAX);
    key_of
}

impl<R: ReplicatedState> Keys<R> {
    /// Plans a document by what this node has applied.
    pub(super) fn plan_document(
        &self,
        grant: &Grant,
        wanted: &[WantedDocumentKey],
    ) -> Result<DocumentPlan, ServiceError> {
        let account = &grant.account().id;
        let tables = self.cluster.state();
        let mut contents: HashMap<&ContentId, (Option<DocumentContent>, Vec<&WantedDocumentKey>)> =
            HashMap::new();
        for key in wanted {
            match contents.entry(&key.content) {
                Entry::Occupied(mut of_content) => of_content.get_mut().1.push(key),
                Entry::Vacant(unseen) => {
                    unseen.insert((state::document_content(tables, account, &key.content)?, vec![key]));
                }
            }
        }
        let mut seeds = OpenSeeds::new(tables, &self.keyring, account);
        let mut keys = Vec::with_capacity(wanted.len());
        for key in wanted {
            let Some((known, of_content)) = contents.get(&key.content) else { continue };
            let key_of = key_of(key, of_content, known.is_none());
            keys.push(self.plan_key(account, key, known.as_ref(), key_of, &mut seeds)?);
        }
        let mut plan = DocumentPlan { keys, is_answered_late: false };
        plan.is_answered_late = self.late_notes.complete(account, &mut plan.keys);
        Ok(plan)
    }

    fn plan_key(
        &self,
        account: &AccountId,
        wanted: &WantedDocumentKey,
        content: Option<&DocumentContent>,
        key_of: Vec<TrackName>,
        seeds: &mut OpenSeeds<'_, R::Tables>,
    ) -> Result<PlannedKey, ServiceError> {
        if let Some(stored) = self.stored_by_kid(account, &wanted.kid)? {
            return stored_key(wanted, stored);
        }
        let (mut kid, mut source) = (wanted.kid, DocumentKeySource::Derived);
        let mut noted = state::noted_kid(self.cluster.state(), account, &kid)?;
        if let Some(noted) = &noted {
            must_be_of(wanted, &kid, noted)?;
        }
        let Some((content, (first, last))) =
            content.and_then(|content| Some((content, content.first().zip(content.last())?)))
        else {
            return Ok(PlannedKey::new_content(wanted, key_of));
        };
        // Which version the key id is of: as it is noted, or as it was made.
        let mut version = match &noted {
            Some(noted) => noted.version,
            None => match version_of(&kid, &wanted.content, content, seeds)? {
                VersionOf::Known(version) => version,
                VersionOf::Later => return Ok(PlannedKey::later(wanted)),
            },
        };
        if version.version < last.version {
            let protocol = ServiceError::Protocol { command: "rotate-documents" };
            let number = u16::try_from(last.version).map_err(|_| protocol)?;
            kid = seeds.kids(&wanted.content, first)?.replaced(&kid, number);
            (version, source) = (last, DocumentKeySource::Replaced);
            noted = state::noted_kid(self.cluster.state(), account, &kid)?;
            if let Some(noted) = &noted {
                must_be_of(wanted, &kid, noted)?;
            }
        }
        let tracks = tracks_of(wanted);
        let iv = match &noted {
            Some(noted) => noted.iv,
            None => content.iv,
        };
        let iv = iv.unwrap_or_else(|| constant_iv(&kid));
        let is_covered = noted.is_some()
            || (content.kinds.contains(&wanted.kind)
                && tracks.iter().all(|track| content.tracks.binary_search(track).is_ok())
                && wanted.announced_iv.is_none_or(|announced| announced == iv));
        let track = match (&noted, is_covered) {
            (Some(noted), _) => TrackName::sum(&noted.tracks),
            // Nobody knows later which of the content's tracks it is.
            (None, true) => protected_track(wanted.kind, content),
            (None, false) => TrackName::sum(&tracks),
        };
        let news = (!is_covered).then(|| NewDocumentKey {
            kid,
            kind: wanted.kind,
            tracks,
            key_of: if source == DocumentKeySource::Replaced { Vec::new() } else { key_of },
            iv: wanted.announced_iv.filter(|iv| *iv != constant_iv(&kid)),
            replaced_in: (version != first).then_some(version.version),
        });
        let iv = match &news {
            Some(new) => new.iv.unwrap_or_else(|| constant_iv(&kid)),
            None => iv,
        };
        let origin = KeyOriginOf::Derived(Some(version));
        let (content, kind) = (wanted.content.clone(), wanted.kind);
        Ok(PlannedKey { content, kid, kind, origin, source, track, iv, news })
    }
}

/// The version of a content that a key id is of which is not noted.
pub(super) enum VersionOf {
    Known(DocumentVersion),
    /// A rotation that this node has not applied yet.
    Later,
}

/// Which version a key id is of that is not noted: the one that made it, or the first for an encryptor's own.
pub(super) fn version_of<T: Tables>(
    kid: &Kid,
    id: &ContentId,
    content: &DocumentContent,
    seeds: &mut OpenSeeds<'_, T>,
) -> Result<VersionOf, ServiceError> {
    let protocol = ServiceError::Protocol { command: "note-document" };
    let Some((first, last)) = content.first().zip(content.last()) else { return Err(protocol) };
    let Some(made_by) = seeds.kids(id, first)?.version_of(kid).map(u32::from) else {
        return Ok(VersionOf::Known(first));
    };
    Ok(match content.versions.iter().find(|version| version.version == made_by) {
        Some(version) => VersionOf::Known(*version),
        None if made_by > last.version => VersionOf::Later,
        None => VersionOf::Known(first),
    })
}

/// The track whose terms hold for a key id that is not noted: all that the content has, at their strictest.
pub(super) fn protected_track(kind: KeyKind, content: &DocumentContent) -> TrackName {
    match kind {
        KeyKind::Clear => TrackName::hls_aes_128(),
        KeyKind::Protected => {
            let clear = TrackName::hls_aes_128();
            TrackName::sum(content.tracks.iter().filter(|track| **track != clear))
        }
    }
}

impl PlannedKey {
    /// A key of a content that is new.
    fn new_content(wanted: &WantedDocumentKey, key_of: Vec<TrackName>) -> Self {
        let (content, kid, kind) = (wanted.content.clone(), wanted.kid, wanted.kind);
        let (tracks, iv) = (tracks_of(wanted), wanted.announced_iv.filter(|iv| *iv != constant_iv(&kid)));
        let track = TrackName::sum(&tracks);
        let news = NewDocumentKey { kid, kind, tracks, key_of, iv, replaced_in: None };
        let (origin, source) = (KeyOriginOf::Derived(None), DocumentKeySource::Derived);
        let iv = iv.unwrap_or_else(|| constant_iv(&kid));
        Self { content, kid, kind, origin, source, track, iv, news: Some(news) }
    }

    /// A key of a version that is not applied here.
    fn later(wanted: &WantedDocumentKey) -> Self {
        Self { origin: KeyOriginOf::Later, news: None, ..Self::new_content(wanted, Vec::new()) }
    }
}
