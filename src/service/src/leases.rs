//! Who may still begin to play: rentals that have not expired, and devices that hold a slot
//! (uDRM 2.4.3).
//!
//! Both are counted by the replicated state, so that asking another node wins nothing. Users and
//! devices are known there by digests only.

use std::num::NonZeroU32;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use keymoot_auth::Grant;
use keymoot_cluster::Cluster;
use keymoot_model::{AccountId, ContentId, Lease, Policy, ViewerPlace};
use keymoot_state as state;
use keymoot_state::{Command, Response};
use keymoot_telemetry::Metrics;

use super::changes::change_one;
use super::clock::now_ms;
use super::error::ServiceError;
use super::replicated_state::ReplicatedState;

/// Who wants to play what, and on which device. All of it must come from signed custom data.
#[derive(Clone, Copy)]
pub struct Viewing<'v> {
    /// What the viewer's request was granted.
    pub grant: &'v Grant,
    pub content: &'v ContentId,
    /// Who the viewer is, the same on each of the viewer's devices: `user_id`, else `user_token`.
    pub user: Option<&'v str>,
    pub udid: Option<&'v str>,
}

/// Why a viewer may not play now.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The policy counts, and nobody says whom.
    #[error("policy {policy} counts rentals or devices; Missing custom data {member}")]
    Unnamed { policy: String, member: &'static str },
    /// The rental is over.
    #[error("the rental of this content has expired")]
    RentalExpired,
    /// As many of the viewer's devices play as may.
    #[error("{slots} devices play this content already; one is free in {frees_in_s} s at the latest")]
    SlotsTaken {
        slots: u16,
        /// When the first slot ends.
        frees_in_s: u64,
    },
    /// The cluster did not answer, or not in time.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl LeaseError {
    /// The label under which the decision is counted.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unnamed { .. } => "unnamed",
            Self::RentalExpired => "rental_expired",
            Self::SlotsTaken { .. } => "slots_taken",
            Self::Service(_) => "failed",
        }
    }
}

/// The use cases around leases and rentals.
#[derive(Clone)]
pub struct Leases<R = Cluster> {
    cluster: R,
    metrics: Arc<Metrics>,
}

impl<R: ReplicatedState> Leases<R> {
    pub fn new(cluster: R, metrics: Arc<Metrics>) -> Self {
        Self { cluster, metrics }
    }

    /// Admits a viewer to play under a policy: takes or renews the device's slot, and begins the
    /// rental if it has not begun. Gives the policy back with no more time than is left of the
    /// rental. A policy without rental and lease admits everybody and asks nobody.
    ///
    /// # Errors
    /// [`LeaseError`]; then no license may be given.
    pub async fn admit(&self, viewing: Viewing<'_>, policy: Policy) -> Result<Policy, LeaseError> {
        if policy.lease.is_none() && policy.rental_duration_s.is_none() {
            return Ok(policy);
        }
        let admitted = self.decide(viewing, policy).await;
        let outcome = admitted.as_ref().map_or_else(LeaseError::reason, |_| "admitted");
        self.metrics.lease_decisions_total.with_label_values(&[outcome]).inc();
        admitted
    }

    async fn decide(&self, viewing: Viewing<'_>, policy: Policy) -> Result<Policy, LeaseError> {
        let rental = match policy.rental_duration_s {
            Some(rental_s) => Some((renter(viewing, &policy)?, rental_s)),
            None => None,
        };
        // A rental that is known to be over is refused before a slot is taken for it.
        if let Some((place, rental_s)) = &rental
            && let Some(began_at_ms) = self.known_rental(place)?
        {
            left_s(began_at_ms, *rental_s, now_ms())?;
        }
        if let Some(lease) = policy.lease {
            self.claim(viewing, &policy, lease).await?;
        }
        let Some((place, rental_s)) = rental else { return Ok(policy) };
        let began_at_ms = match self.known_rental(&place)? {
            Some(began_at_ms) => began_at_ms,
            None => self.begin(viewing.grant, place).await?,
        };
        let left_s = left_s(began_at_ms, rental_s, now_ms())?;
        Ok(policy.limited_to(None, Some(left_s), None))
    }

    async fn claim(&self, viewing: Viewing<'_>, policy: &Policy, lease: Lease) -> Result<(), LeaseError> {
        let user = viewing.user.ok_or_else(|| unnamed(policy, "user_id"))?;
        let udid = viewing.udid.ok_or_else(|| unnamed(policy, "udid"))?;
        let command = Command::ClaimLease {
            place: user_place(&viewing.grant.account().id, viewing.content, user),
            device: device_digest(udid),
            duration_s: lease.duration_s.get(),
            slots: lease.slots.get(),
        };
        match change_one(&self.cluster, viewing.grant, command).await? {
            Response::Leased { .. } => Ok(()),
            Response::LeasesTaken { frees_at_ms } => Err(LeaseError::SlotsTaken {
                slots: lease.slots.get(),
                frees_in_s: frees_at_ms.saturating_sub(now_ms()).div_ceil(1000),
            }),
            _ => Err(ServiceError::Protocol { command: "claim-lease" }.into()),
        }
    }

    async fn begin(&self, grant: &Grant, place: ViewerPlace) -> Result<u64, LeaseError> {
        match change_one(&self.cluster, grant, Command::BeginRental { place }).await? {
            Response::Rental { began_at_ms } => Ok(began_at_ms),
            _ => Err(ServiceError::Protocol { command: "begin-rental" }.into()),
        }
    }

    /// When the rental began, as far as this node knows. What began once never changes by itself,
    /// so an old answer is as good as a new one; only "not yet" is asked of the cluster.
    fn known_rental(&self, place: &ViewerPlace) -> Result<Option<u64>, ServiceError> {
        Ok(state::rental_began_at_ms(self.cluster.state(), place)?)
    }
}

/// Where the rentals and slots of a user of a content are counted.
pub(crate) fn user_place(account: &AccountId, content: &ContentId, user: &str) -> ViewerPlace {
    place(account, content, b"user", user)
}

/// Where the rentals of a device without a user are counted.
pub(crate) fn device_place(account: &AccountId, content: &ContentId, udid: &str) -> ViewerPlace {
    place(account, content, b"udid", udid)
}

/// How a device is known.
pub(crate) fn device_digest(udid: &str) -> [u8; 16] {
    digest(b"device", udid)
}

fn place(account: &AccountId, content: &ContentId, kind: &[u8], name: &str) -> ViewerPlace {
    ViewerPlace { account: account.clone(), content: content.clone(), viewer: digest(kind, name) }
}

fn digest(kind: &[u8], name: &str) -> [u8; 16] {
    let digest = Sha256::new().chain_update(kind).chain_update([0]).chain_update(name).finalize();
    let mut half = [0; 16];
    for (own, byte) in half.iter_mut().zip(digest) {
        *own = byte;
    }
    half
}

/// Whose rental it is: the user's, on all devices, or the device's when no user is named.
fn renter(viewing: Viewing<'_>, policy: &Policy) -> Result<ViewerPlace, LeaseError> {
    let Viewing { grant, content, user, udid } = viewing;
    let account = grant.account();
    match (user, udid) {
        (Some(user), _) => Ok(user_place(&account.id, content, user)),
        (None, Some(udid)) => Ok(device_place(&account.id, content, udid)),
        (None, None) => Err(unnamed(policy, "user_id or udid")),
    }
}

fn unnamed(policy: &Policy, member: &'static str) -> LeaseError {
    LeaseError::Unnamed { policy: policy.name.to_string(), member }
}

/// Whole seconds that are left of a rental, of which there must be one.
fn left_s(began_at_ms: u64, rental_s: NonZeroU32, now_ms: u64) -> Result<NonZeroU32, LeaseError> {
    let ends_at_ms = began_at_ms.saturating_add(u64::from(rental_s.get()) * 1000);
    let left_s = ends_at_ms.saturating_sub(now_ms) / 1000;
    // A clock behind that of the node where the rental began makes it no longer than it is.
    let left_s = u32::try_from(left_s).unwrap_or(u32::MAX).min(rental_s.get());
    NonZeroU32::new(left_s).ok_or(LeaseError::RentalExpired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rental_has_what_is_left_of_it_and_no_more_than_all() {
        let rental_s = NonZeroU32::new(60).unwrap();
        let left = |now_ms| left_s(1_000_000, rental_s, now_ms).ok().map(NonZeroU32::get);
        assert_eq!(left(1_000_000), Some(60));
        assert_eq!(left(990_000), Some(60), "a clock that is behind");
        assert_eq!(left(1_030_500), Some(29));
        assert_eq!(left(1_059_000), Some(1));
        assert_eq!(left(1_059_001), None);
        assert_eq!(left(2_000_000), None);
    }

    #[test]
    fn a_user_is_no_device_of_the_same_name() {
        let (account, content) = (AccountId::new("a").unwrap(), ContentId::new("c").unwrap());
        assert_ne!(user_place(&account, &content, "x"), device_place(&account, &content, "x"));
        assert_ne!(device_digest("x"), device_digest("y"));
    }
}
