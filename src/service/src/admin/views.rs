//! Records as the admin API shows them: without secrets, digests in hexadecimal digits, marks as text.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use keymoot_audit::Event;
use keymoot_cluster::{AuditGap, AuditPage, CredentialUses, FoundEvent, audit_mark, audit_positions};
use keymoot_model::{AccountId, AccountStatus, Fingerprint, MasterKeyId, MasterKeyVerifier, NodeId};
use keymoot_state::{
    AppliedDeclaration, AuditLogId, AuditLogName, ContentVersion, ContentsPage, JoinTokenRecord,
    NodeKeyRecord, TokenSpent,
};

use super::query::{mark_of, mark_text};
use super::token;

/// Some of what a search of the audit found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct AuditPageView {
    events: Vec<FoundEventView>,
    /// What `after` is of the next page.
    next: String,
    /// Whether there is more than was found until now.
    more: bool,
    /// What could not be searched.
    missing: Vec<AuditGap>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct FoundEventView {
    node: NodeId,
    log: AuditLogId,
    number: u64,
    /// The event, or the text of a damaged one.
    event: Value,
}

impl From<AuditPage> for AuditPageView {
    fn from(page: AuditPage) -> Self {
        let events = page.events.into_iter().map(|FoundEvent { name, number, event }| {
            let event = serde_json::from_str(&event).unwrap_or(Value::String(event));
            FoundEventView { node: name.node, log: name.log, number, event }
        });
        Self {
            events: events.collect(),
            next: audit_mark(&page.positions),
            more: page.more,
            missing: page.missing,
        }
    }
}

impl AuditPageView {
    /// `None` when it is no page.
    pub(super) fn into_page(self) -> Option<AuditPage> {
        let events = self.events.into_iter().map(|view| {
            let event = match view.event {
                Value::String(damaged) => damaged,
                // Written again it has the bytes that it had.
                event => {
                    String::from_utf8(serde_json::from_value::<Event>(event).ok()?.encode().ok()?).ok()?
                }
            };
            let name = AuditLogName { node: view.node, log: view.log };
            Some(FoundEvent { name, number: view.number, event })
        });
        Some(AuditPage {
            events: events.collect::<Option<_>>()?,
            positions: audit_positions(&self.next).ok()?,
            more: self.more,
            missing: self.missing,
            sizes: Vec::new(),
        })
    }
}

/// A join token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    #[serde(with = "token::id")]
    pub id: [u8; 8],
    pub expires_at_ms: u64,
    pub learner: bool,
    pub zone: Option<String>,
    pub revoked: bool,
    /// The node that it let in.
    pub used_by: Option<NodeId>,
}

impl From<JoinTokenRecord> for TokenView {
    fn from(record: JoinTokenRecord) -> Self {
        Self {
            id: record.id,
            expires_at_ms: record.expires_at_ms,
            learner: record.learner,
            zone: record.zone,
            revoked: record.revoked,
            used_by: record.spent.map(|spent| spent.node),
        }
    }
}

impl From<TokenView> for JoinTokenRecord {
    /// Digests are not told, and so are zero.
    fn from(view: TokenView) -> Self {
        Self {
            id: view.id,
            secret_digest: [0; 32],
            expires_at_ms: view.expires_at_ms,
            learner: view.learner,
            zone: view.zone,
            revoked: view.revoked,
            spent: view.used_by.map(|node| TokenSpent { node, key_digest: [0; 32] }),
        }
    }
}

/// The key of a node's certificates.
#[derive(Serialize, Deserialize)]
pub(super) struct NodeKeyView {
    node: NodeId,
    /// SHA-256 of the public key.
    digest: Fingerprint,
    registered_at_ms: u64,
    revoked_at_ms: Option<u64>,
    /// Whether the node is a witness, which holds no master key.
    witness: bool,
}

impl From<NodeKeyRecord> for NodeKeyView {
    fn from(record: NodeKeyRecord) -> Self {
        let NodeKeyRecord { node, digest, registered_at_ms, revoked_at_ms, witness } = record;
        Self { node, digest: Fingerprint::from_bytes(digest), registered_at_ms, revoked_at_ms, witness }
    }
}

impl From<NodeKeyView> for NodeKeyRecord {
    fn from(view: NodeKeyView) -> Self {
        let NodeKeyView { node, digest, registered_at_ms, revoked_at_ms, witness } = view;
        Self { node, digest: *digest.as_bytes(), registered_at_ms, revoked_at_ms, witness }
    }
}

/// What tells who holds a master key.
#[derive(Serialize, Deserialize)]
pub(super) struct VerifierView {
    master_key: MasterKeyId,
    /// An Ed25519 public key.
    public_key: Fingerprint,
}

impl From<MasterKeyVerifier> for VerifierView {
    fn from(verifier: MasterKeyVerifier) -> Self {
        let MasterKeyVerifier { master_key, public_key } = verifier;
        Self { master_key, public_key: Fingerprint::from_bytes(public_key) }
    }
}

impl From<VerifierView> for MasterKeyVerifier {
    fn from(view: VerifierView) -> Self {
        Self { master_key: view.master_key, public_key: *view.public_key.as_bytes() }
    }
}

/// Accounts with their statuses.
#[derive(Serialize, Deserialize)]
pub(super) struct DetailsView {
    pub accounts: Vec<StatusOf>,
    pub declaration: Option<DeclarationView>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StatusOf {
    /// Without secrets.
    pub account: Value,
    pub status: AccountStatus,
}

/// The declaration that was applied last.
#[derive(Serialize, Deserialize)]
pub(super) struct DeclarationView {
    revision: u64,
    /// SHA-256 of its file.
    digest: Fingerprint,
}

impl From<AppliedDeclaration> for DeclarationView {
    fn from(applied: AppliedDeclaration) -> Self {
        let AppliedDeclaration { revision, digest } = applied;
        Self { revision, digest: Fingerprint::from_bytes(digest) }
    }
}

impl From<DeclarationView> for AppliedDeclaration {
    fn from(view: DeclarationView) -> Self {
        Self { revision: view.revision, digest: *view.digest.as_bytes() }
    }
}

/// A page of what an account has.
#[derive(Serialize, Deserialize)]
pub(super) struct ContentsView {
    versions: Vec<ContentVersion>,
    /// What to pass as `after` for the next page.
    next: Option<String>,
}

impl From<ContentsPage> for ContentsView {
    fn from(page: ContentsPage) -> Self {
        Self { versions: page.versions, next: page.next.as_deref().map(mark_text) }
    }
}

impl ContentsView {
    /// `None` when its mark is none.
    pub(super) fn into_page(self) -> Option<ContentsPage> {
        let next = match self.next {
            Some(text) => Some(mark_of(&text)?),
            None => None,
        };
        Some(ContentsPage { versions: self.versions, next })
    }
}

/// When a node last granted requests.
#[derive(Serialize, Deserialize)]
pub(super) struct UsesView {
    /// When it began to count.
    since_ms: u64,
    uses: Vec<UseView>,
}

#[derive(Serialize, Deserialize)]
struct UseView {
    account: AccountId,
    credential: String,
    last_ms: u64,
}

impl From<CredentialUses> for UsesView {
    fn from(uses: CredentialUses) -> Self {
        let view = |(account, credential, last_ms)| UseView { account, credential, last_ms };
        Self { since_ms: uses.since_ms, uses: uses.uses.into_iter().map(view).collect() }
    }
}

impl From<UsesView> for CredentialUses {
    fn from(view: UsesView) -> Self {
        let uses = view.uses.into_iter().map(|own| (own.account, own.credential, own.last_ms));
        Self { since_ms: view.since_ms, uses: uses.collect() }
    }
}
