//! What the use cases promise, over a cluster in memory: no processes, no disk, no network.

mod accounts;
mod admin;
mod audit;
mod audit_table;
mod contact;
mod contention;
mod declaration;
mod documents;
mod ingest;
mod leases;
mod memory;
mod periods;
mod policies;
mod reads;

use std::sync::Arc;

use keymoot_audit::{AuditLog, NodeAudit, Trail};
use keymoot_auth::{AccountDirectory, Authenticator, Grant, OpenAccount, Request, Unproved, Unreadable};
use keymoot_cluster::ClusterError;
use keymoot_crypto::{ContentKey, Keyring};
use keymoot_model::{
    Account, AccountId, Consistency, ContentId, DocumentSettings, KeyOrigin, Kid, Period, ResponseShape,
    Sha1Use, TrackName,
};
use keymoot_state::NewKey;

use crate::{
    ContentTrack, Ingested, Ingestion, KeyChange, Keys, PeriodRange, Policies, ReplicatedState, ServedKey,
    ServedPeriod, ServiceError, WantedKeys, WantedTrack,
};
use memory::{Fault, MemoryNode};

/// Two nodes of one cluster, and an account that asks them.
struct World {
    nodes: [MemoryNode; 2],
    keyring: Arc<Keyring>,
    grant: Grant,
}

impl World {
    fn new() -> Self {
        Self::reading(Consistency::Linearizable)
    }

    fn reading(consistency: Consistency) -> Self {
        let keyring = Arc::new(Keyring::generate().unwrap());
        Self { nodes: MemoryNode::cluster(), keyring, grant: grant(account(consistency)) }
    }

    /// The first node, through which the tests ask.
    fn here(&self) -> &MemoryNode {
        &self.nodes[0]
    }

    fn keys(&self) -> Keys<MemoryNode> {
        Keys::new(self.here().clone(), self.keyring.clone())
    }

    /// The same use cases through the other node.
    fn keys_elsewhere(&self) -> Keys<MemoryNode> {
        Keys::new(self.nodes[1].clone(), self.keyring.clone())
    }

    /// A key as somebody else proposes it, of the content's default track.
    fn new_key(&self, content: &ContentId, version: u32, kid: Kid) -> NewKey {
        let place = ContentTrack::from(content).place(&self.grant.account().id);
        let key = ContentKey::generate().unwrap();
        let key = self.keyring.wrap_content_key(&key, &place, version, &kid).unwrap();
        NewKey { place, version, kid, key, origin: KeyOrigin::Generated }
    }

    /// An audit of the first node, to be read by the test.
    fn audit(&self) -> NodeAudit {
        NodeAudit { log: AuditLog::in_memory(), node: 1 }
    }

    fn policies(&self) -> Policies<MemoryNode> {
        Policies::new(self.here().clone())
    }

    fn policies_elsewhere(&self) -> Policies<MemoryNode> {
        Policies::new(self.nodes[1].clone())
    }
}

/// Ingestions of the default track alone.
impl<R: ReplicatedState> Keys<R> {
    async fn create(
        &self,
        grant: &Grant,
        content: &ContentId,
        supplied: Option<(Kid, ContentKey)>,
    ) -> Result<ServedKey, ServiceError> {
        self.change(grant, content, KeyChange::Create, supplied).await
    }

    async fn replace(
        &self,
        grant: &Grant,
        content: &ContentId,
        supplied: Option<(Kid, ContentKey)>,
    ) -> Result<ServedKey, ServiceError> {
        self.change(grant, content, KeyChange::Replace, supplied).await
    }

    async fn change(
        &self,
        grant: &Grant,
        content: &ContentId,
        change: KeyChange,
        supplied: Option<(Kid, ContentKey)>,
    ) -> Result<ServedKey, ServiceError> {
        let track = TrackName::default_track();
        let wanted = vec![WantedTrack { track: &track, change, supplied }];
        self.ingest(grant, Ingestion::of(content, WantedKeys::Tracks(wanted))).await?.into_key()
    }

    async fn periods(
        &self,
        grant: &Grant,
        content: &ContentId,
        range: PeriodRange,
    ) -> Result<Vec<ServedPeriod>, ServiceError> {
        let track = TrackName::default_track();
        let wanted = Ingestion::of(content, WantedKeys::periods(&track, range));
        self.ingest(grant, wanted).await.and_then(Ingested::into_periods)
    }

    async fn supply_period(
        &self,
        grant: &Grant,
        content: &ContentId,
        period: Period,
        own: (Kid, ContentKey),
    ) -> Result<ServedPeriod, ServiceError> {
        let track = TrackName::default_track();
        let wanted = Ingestion::of(content, WantedKeys::PeriodKey { track: &track, period, own });
        let mut served = self.ingest(grant, wanted).await.and_then(Ingested::into_periods)?;
        assert_eq!(served.len(), 1);
        Ok(served.remove(0))
    }
}

fn account(consistency: Consistency) -> Account {
    Account {
        id: AccountId::new("167").unwrap(),
        ca_systems: Vec::new(),
        credentials: Vec::new(),
        allow_list: vec!["192.0.2.0/24".parse().unwrap()],
        consistency,
        response_shape: ResponseShape::default(),
        license_url: None,
        playready_la_url: None,
        created_at_ms: 0,
        minimum_scheme: None,
        allow_unsigned_packagers: false,
    }
}

/// A grant as only authentication makes it.
fn grant(account: Account) -> Grant {
    grant_on(account, Trail::detached())
}

/// The same of an account that has these settings of documents.
fn grant_with(account: Account, documents: DocumentSettings) -> Grant {
    granted(account, documents, Trail::detached())
}

/// The same on this trail.
fn grant_on(account: Account, trail: Arc<Trail>) -> Grant {
    granted(account, DocumentSettings::default(), trail)
}

fn granted(account: Account, documents: DocumentSettings, trail: Arc<Trail>) -> Grant {
    struct One(Arc<OpenAccount>);
    impl AccountDirectory for One {
        fn account(&self, _: &AccountId) -> Result<Option<Arc<OpenAccount>>, Unreadable> {
            Ok(Some(self.0.clone()))
        }
    }
    let caller = "192.0.2.7".parse().unwrap();
    let request = Request::unsigned(account.id.clone(), caller, Unproved::ByListener).on_trail(trail);
    let open = OpenAccount {
        account,
        is_suspended: false,
        sha1: Sha1Use::Bound,
        documents,
        keys: Vec::new(),
        unopened: Vec::new(),
    };
    let verified = Authenticator::new(Arc::new(One(Arc::new(open)))).verify(&request).unwrap();
    verified.grant_repeatable().unwrap()
}

fn film(number: u8) -> ContentId {
    ContentId::new(format!("film-{number}")).unwrap()
}

/// A key of a scrambler's own.
fn own_key(byte: u8) -> (Kid, ContentKey) {
    (Kid::from_bytes([byte; 16]), ContentKey::from_bytes(&[byte; 16]))
}

fn is_no_quorum<T>(outcome: &Result<T, ServiceError>) -> bool {
    matches!(outcome, Err(ServiceError::Cluster(ClusterError::NoQuorum { .. })))
}

fn conflict<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> String {
    match outcome {
        Err(ServiceError::Conflict(text)) => text,
        other => panic!("no conflict: {other:?}"),
    }
}
