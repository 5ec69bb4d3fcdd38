//! The only mutator of the replicated state.

use serde::Serialize;
use serde::de::DeserializeOwned;

use keymoot_model::{Auxiliary, KeyPath};

use super::accounts;
use super::approvals;
use super::audit_logs;
use super::authorities;
use super::backups;
use super::command::{Command, NewKey, Proposal};
use super::deletion;
use super::directories;
use super::documents;
use super::features;
use super::join_tokens::{self, TokenKind};
use super::kids;
use super::layout::{META_AUTHORITY, META_IDENTITY, META_SERVER_SECRET, content_key, place_key, version_key};
use super::leases;
use super::node_keys;
use super::nodes;
use super::nonces;
use super::operators;
use super::policies;
use super::query::key_at;
use super::record::{KidRecord, Track};
use super::rentals;
use super::response::Response;
use super::rewrap;
use super::rotation;
use super::sessions::{self, Seen};
use super::sign_in;
use super::table::Table;
use super::tables::{StateError, Tables};
use super::transaction::Transaction;
use super::wraps;

/// Applies one proposal in the run. Returns one response per command, in order.
///
/// A proposal that was applied before changes nothing and gets its old answers.
///
/// # Errors
/// Only when the tables cannot be read, which is fatal to the node. A command never fails: its response
/// states why it changed nothing.
pub fn apply<T: Tables>(
    run: &mut Transaction<'_, T>,
    proposal: &Proposal,
) -> Result<Vec<Response>, StateError> {
    match sessions::look_up(run, proposal)? {
        Seen::Answered(responses) => return Ok(responses),
        Seen::Forgotten => return Ok(vec![Response::AnsweredBefore; proposal.commands.len()]),
        Seen::Never => {}
    }
    let mut responses = Vec::with_capacity(proposal.commands.len());
    for command in &proposal.commands {
        responses.push(apply_one(run, command, proposal.now_ms)?);
    }
    sessions::remember(run, proposal, &responses)?;
    Ok(responses)
}

fn apply_one<T: Tables>(
    run: &mut Transaction<'_, T>,
    command: &Command,
    now_ms: u64,
) -> Result<Response, StateError> {
    match command {
        Command::CreateKey(key) => create_key(run, key, now_ms),
        Command::ReplaceKey(key) => replace_key(run, key, now_ms),
        Command::DeleteKey { place, through, kid } => {
            deletion::delete_key(run, place, *through, kid.as_ref())
        }
        Command::PutAccount { account, if_absent } => accounts::put(run, account, *if_absent),
        Command::DeleteAccount { id } => accounts::delete(run, id, now_ms),
        Command::Found(identity) => put_once(run, META_IDENTITY, identity),
        Command::SpendNonce { digest, created_s } => nonces::spend(run, digest, *created_s, now_ms),
        Command::PutServerSecret { secret } => put_once(run, META_SERVER_SECRET, secret),
        Command::CreateSeed(seed) => rotation::store_seed(run, seed, false, now_ms),
        Command::ReplaceSeed(seed) => rotation::store_seed(run, seed, true, now_ms),
        Command::SupplyPeriodKey { key, period } => rotation::supply_period_key(run, key, *period, now_ms),
        Command::FoundKidKey { key } => rotation::found_kid_key(run, key),
        Command::PutAuxiliary { account, content, auxiliary, if_absent } => {
            put_auxiliary(run, &content_key(account, content), auxiliary.as_ref(), *if_absent)
        }
        Command::PutPolicy { account, policy, condition } => {
            policies::put(run, account, policy, *condition, now_ms)
        }
        Command::DeletePolicy { account, name, condition } => {
            policies::delete(run, account, name, *condition)
        }
        Command::AttachPolicy { account, content, policy, if_absent } => {
            policies::attach(run, account, content, policy.as_ref(), *if_absent)
        }
        Command::SetDefaultPolicy { account, policy } => policies::set_default(run, account, policy.as_ref()),
        Command::ClaimLease { place, device, duration_s, slots } => {
            leases::claim(run, place, device, (*duration_s, *slots), now_ms)
        }
        Command::ReleaseLease { place, device } => leases::release(run, place, device),
        Command::BeginRental { place } => rentals::begin(run, place, now_ms),
        Command::EndRental { place } => rentals::end(run, place),
        Command::Rewrap { place, old, new } => rewrap::rewrap(run, place, old, new),
        Command::DescribeNode { id, facts } => nodes::describe(run, *id, facts, now_ms),
        Command::AdmitNode(admission) => nodes::admit(run, TokenKind::Node, admission, now_ms),
        Command::SetLearner { id, learner } => nodes::set_learner(run, *id, *learner),
        Command::RemoveNode { id } => nodes::remove(run, *id, now_ms),
        Command::PutJoinToken(token) => join_tokens::put(run, TokenKind::Node, token, now_ms),
        Command::RevokeJoinToken { id } => join_tokens::revoke(run, id),
        Command::PutAuthority(authority) => put_once(run, META_AUTHORITY, &**authority),
        Command::RaiseFeatureLevel { to } => features::raise(run, *to),
        Command::EnrollDirectory { id, directory } => directories::enroll(run, *id, directory),
        Command::ScheduleBackups(schedule) => backups::schedule(run, schedule.as_deref()),
        Command::ClaimBackup { node, after } => backups::claim(run, *node, *after),
        Command::NoteBackup { turn, node, progress } => backups::note(run, *turn, *node, progress, now_ms),
        Command::NoteGoodBackup(good) => backups::store_good(run, good),
        Command::ChangeAccount { id, change } => accounts::change(run, id, change, now_ms),
        Command::DeclareAccounts { revision, digest } => accounts::declare(run, *revision, *digest),
        Command::DeclareAccount { revision, account, expires_at_ms, sha1, documents } => {
            let declared = accounts::Declared {
                account,
                ends: expires_at_ms,
                sha1: *sha1,
                documents: documents.as_deref(),
            };
            accounts::declare_account(run, *revision, declared, now_ms)
        }
        Command::RegisterNodeKey { id, digest } => node_keys::register(run, *id, digest, now_ms),
        Command::RevokeCertificate { id } => node_keys::revoke(run, *id, now_ms),
        Command::BeginAuthorityChange(next) => authorities::begin(run, next, now_ms),
        Command::AdoptAuthority => authorities::adopt(run, now_ms),
        Command::CancelAuthorityChange => authorities::cancel(run),
        Command::RetireAuthority => authorities::retire(run),
        Command::NoteTrust(trust) => authorities::note_trust(run, trust),
        Command::ChangeOperators(change) => operators::change(run, change, now_ms),
        Command::ChangeApprovals(change) => approvals::change(run, change, now_ms),
        Command::ChangeSignIn(change) => sign_in::change(run, change, now_ms),
        Command::PutWitnessToken(token) => join_tokens::put(run, TokenKind::Witness, token, now_ms),
        Command::AdmitWitness(admission) => nodes::admit(run, TokenKind::Witness, admission, now_ms),
        Command::SetVerifiers(verifiers) => node_keys::set_verifiers(run, verifiers),
        Command::ReserveWraps { master_key, count, .. } => wraps::reserve(run, master_key, *count),
        Command::ChangeAuditLogs(change) => audit_logs::change(run, change, now_ms),
        Command::NoteDocument(new) => documents::note(run, new, now_ms),
        Command::RotateDocuments { account, content } => documents::rotate(run, account, content),
        Command::DeleteDocuments { account, content, through } => {
            documents::delete(run, account, content, *through)
        }
        Command::DeleteDocumentKid { account, content, kid } => {
            documents::retire(run, account, content, kid, now_ms)
        }
    }
}

/// The stored track, or a new one.
pub(super) fn track<T: Tables>(run: &Transaction<'_, T>, place: &KeyPath) -> Result<Track, StateError> {
    let track = run.get(Table::Tracks, &place_key(place))?;
    Ok(track.unwrap_or(Track { next_version: 1, current: None, number: None }))
}

fn create_key<T: Tables>(
    run: &mut Transaction<'_, T>,
    key: &NewKey,
    now_ms: u64,
) -> Result<Response, StateError> {
    let track = track(run, &key.place)?;
    if let Some(current) = track.current {
        return Ok(Response::Existing(Box::new(current)));
    }
    match documents::key_of_track(run, &key.place)? {
        Some(record) => Ok(Response::DocumentKey(Box::new(record))),
        None => store_key(run, track, key, now_ms),
    }
}

fn replace_key<T: Tables>(
    run: &mut Transaction<'_, T>,
    key: &NewKey,
    now_ms: u64,
) -> Result<Response, StateError> {
    let mut track = track(run, &key.place)?;
    if let Some(refusal) = refuse(run, &track, key)? {
        return Ok(refusal);
    }
    if let Some(old) = track.current.take() {
        run.put(Table::OldKeys, &version_key(&old.place, old.version), &old)?;
    }
    store_key(run, track, key, now_ms)
}

/// The response to a key that cannot become the track's next version; `None` if it can.
pub(super) fn refuse<T: Tables>(
    run: &Transaction<'_, T>,
    track: &Track,
    key: &NewKey,
) -> Result<Option<Response>, StateError> {
    if let Some(taken) = kids::taken(run, &key.place.account, &key.kid)? {
        let record = key_at(run, &taken)?;
        return Ok(Some(Response::KidTaken(Box::new(record))));
    }
    if let Some(record) = documents::key_of_noted(run, &key.place.account, &key.kid)? {
        return Ok(Some(Response::DocumentKey(Box::new(record))));
    }
    if key.version != track.next_version {
        return Ok(Some(Response::VersionMoved { next: track.next_version }));
    }
    Ok(None)
}

fn store_key<T: Tables>(
    run: &mut Transaction<'_, T>,
    track: Track,
    key: &NewKey,
    now_ms: u64,
) -> Result<Response, StateError> {
    if let Some(refusal) = refuse(run, &track, key)? {
        return Ok(refusal);
    }
    let record = key.record(now_ms, None);
    let at = KidRecord { place: key.place.clone(), version: key.version };
    kids::put(run, &key.kid, &at)?;
    // No track is overridden 2^32 times; saturating keeps apply total.
    let next_version = key.version.saturating_add(1);
    let track = Track { next_version, current: Some(record), ..track };
    run.put(Table::Tracks, &place_key(&key.place), &track)?;
    Ok(Response::Stored)
}

fn put_auxiliary<T: Tables>(
    run: &mut Transaction<'_, T>,
    key: &[u8],
    auxiliary: Option<&Auxiliary>,
    if_absent: bool,
) -> Result<Response, StateError> {
    let existing = run.get::<Auxiliary>(Table::Auxiliary, key)?;
    if existing.as_ref() == auxiliary || (if_absent && existing.is_some()) {
        return Ok(Response::Unchanged);
    }
    match auxiliary {
        Some(auxiliary) => run.put(Table::Auxiliary, key, auxiliary)?,
        None => run.delete(Table::Auxiliary, key)?,
    }
    Ok(Response::Done)
}

/// Stores a record that the cluster gets only once.
fn put_once<V: Serialize + DeserializeOwned, T: Tables>(
    run: &mut Transaction<'_, T>,
    key: &[u8],
    value: &V,
) -> Result<Response, StateError> {
    if run.get::<V>(Table::Meta, key)?.is_some() {
        return Ok(Response::Unchanged);
    }
    run.put(Table::Meta, key, value)?;
    Ok(Response::Done)
}
