//! Keys under the key ids of encryptors, as SPEKE's and CPIX's documents name them.
//!
//! A document's keys are not stored. Each is derived from a seed of its account, its content and its key id, so that the
//! same document gets the same keys on every node, after a restart, and on a node that is cut off. One proposal notes a
//! content when it is new: its seed, and the key ids of its first document. What is stored for a key id wins.

mod answer;
mod delete;
mod late;
mod lookup;
mod note;
mod plan;
mod refusals;
mod seeds;

use keymoot_auth::Grant;
use keymoot_cluster::ClusterError;
use keymoot_crypto::ContentKey;
use keymoot_model::{ContentId, KeyKind, Kid, Protection, TrackName};

use super::error::ServiceError;
use super::keys::Keys;
use super::replicated_state::ReplicatedState;

pub(super) use late::LateNotes;
use late::notes_later;
pub(super) use lookup::derived_key;
pub(super) use seeds::new_document_seed;

/// A key that a document asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedDocumentKey {
    pub content: ContentId,
    /// The key id, which the encryptor made.
    pub kid: Kid,
    pub kind: KeyKind,
    /// The IV that the document gives, for a key whose licenses announce one (FairPlay's); `None` for all others, whose
    /// IV is in the samples.
    pub announced_iv: Option<[u8; 16]>,
    /// The tracks that it encrypts: the parts of its track types, such as `SD`, `HD1`, `AUDIO`, `ALL`. Empty when the
    /// document does not say it.
    pub tracks: Vec<TrackName>,
    /// Whether it holds in single crypto periods only.
    pub has_periods: bool,
}

/// A key for a document.
#[derive(Debug)]
pub struct DocumentKey {
    /// The key id that holds: the document's, or the one that the server put in its place.
    pub kid: Kid,
    pub key: ContentKey,
    /// The IV that licenses announce for it, where they announce one.
    pub iv: [u8; 16],
    pub source: DocumentKeySource,
    /// What the account's policy demands of devices that get a license of this key: what licenses are made by.
    pub protection: Protection,
}

/// Where a document's key is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKeySource {
    /// It was stored under this key id, made here or supplied.
    Stored,
    /// It is derived, under the key id that the document names.
    Derived,
    /// It is derived, under a key id that the server gave in place of the document's: the content was rotated.
    Replaced,
}

impl DocumentKeySource {
    /// The label under which it is counted.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Derived => "derived",
            Self::Replaced => "replaced",
        }
    }
}

impl<R: ReplicatedState> Keys<R> {
    /// The keys that a document asks for, each in its place. Whatever it asks for of contents that are known costs no
    /// proposal; what is new about contents is noted in one.
    ///
    /// # Errors
    /// [`ServiceError::Conflict`] says which key id cannot have the key that is asked for, and why: nothing was changed.
    /// When the cluster does not answer and a content is new here, or a key cannot be opened.
    pub async fn of_document(
        &self,
        grant: &Grant,
        wanted: &[WantedDocumentKey],
    ) -> Result<Vec<DocumentKey>, ServiceError> {
        self.make_fresh(grant).await?;
        let mut plan = self.plan_document(grant, wanted)?;
        if plan.is_behind() {
            self.cluster.read_barrier().await?;
            plan = self.plan_document(grant, wanted)?;
        }
        if plan.has_news() && !plan.is_answered_late() {
            match self.note(grant, &plan).await {
                Ok(()) => {
                    plan = self.plan_document(grant, wanted)?;
                    if plan.has_news() {
                        // Deleted again in between.
                        return Err(ServiceError::Contended { attempts: 1 });
                    }
                }
                Err(ServiceError::Cluster(ClusterError::NoQuorum { .. })) if notes_later(grant) => {
                    self.note_later(grant, &mut plan).await?;
                }
                Err(error) => return Err(error),
            }
        }
        self.answer_document(grant, plan)
    }
}
