//! The one proposal of an ingestion: policy first, then keys, auxiliary data last.
//!
//! The policy comes before the keys, so that no license is ever made without it. Where it or a key is
//! refused, which what was looked at before makes rare, the batch knows what to take back of the rest.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use keymoot_auth::Grant;
use keymoot_crypto::Keyring;
use keymoot_model::{Auxiliary, ContentId};
use keymoot_state as state;
use keymoot_state::{Command, Response, Tables};

use super::part::{Outcome, Part, Stored, out_of_protocol};
use super::plan::Planned;
use super::turns::Contested;
use crate::attachment::Attachment;
use crate::changes::change;
use crate::error::ServiceError;
use crate::keys::Keys;
use crate::replicated_state::ReplicatedState;

/// The longest pause between two attempts, in milliseconds.
const PAUSE_MAX_MS: u64 = 128;

/// What is proposed beside the keys.
pub(super) struct Batch<'g> {
    grant: &'g Grant,
    content: &'g ContentId,
    attach: Option<Attachment>,
    auxiliary: Option<Command>,
    /// What puts the auxiliary data back as it was.
    auxiliary_before: Option<Command>,
}

impl<'g> Batch<'g> {
    pub(super) fn new(grant: &'g Grant, content: &'g ContentId) -> Self {
        Self { grant, content, attach: None, auxiliary: None, auxiliary_before: None }
    }

    /// The same with a policy to attach.
    pub(super) fn attaching(self, attach: Option<Attachment>) -> Self {
        Self { attach, ..self }
    }

    /// The same with auxiliary data to keep with a content; with `if_absent`, only if it has none.
    pub(super) fn keeping(self, content: &ContentId, auxiliary: Auxiliary, if_absent: bool) -> Self {
        Self { auxiliary: Some(self.put_auxiliary(content, Some(auxiliary), if_absent)), ..self }
    }

    fn contested(&self) -> Contested {
        (self.grant.account().id.clone(), self.content.clone())
    }

    /// Remembers how the auxiliary data is before it is changed.
    fn look_before(&mut self, tables: &impl Tables) -> Result<(), ServiceError> {
        if let Some(Command::PutAuxiliary { account, content, .. }) = &self.auxiliary {
            let before = state::auxiliary(tables, account, content)?;
            self.auxiliary_before = Some(self.put_auxiliary(content, before, false));
        }
        Ok(())
    }

    fn put_auxiliary(&self, content: &ContentId, auxiliary: Option<Auxiliary>, if_absent: bool) -> Command {
        let (account, content) = (self.grant.account().id.clone(), content.clone());
        Command::PutAuxiliary { account, content, auxiliary, if_absent }
    }
}

/// What is proposed until all of it is stored.
struct Storing<'g> {
    batch: Batch<'g>,
    /// With the numbers of the parts, as these have.
    stored: Vec<(usize, Stored)>,
    pending: Vec<(usize, Part)>,
    /// What deletes the created keys again.
    uncreate: Vec<Command>,
    /// What a refused ingestion takes back.
    undo: Vec<Command>,
}

impl<'g> Storing<'g> {
    fn new(batch: Batch<'g>, planned: Vec<Planned>) -> Self {
        let (mut stored, mut pending) = (Vec::new(), Vec::new());
        for (number, planned) in planned.into_iter().enumerate() {
            match planned {
                Planned::There(there) => stored.push((number, there)),
                Planned::Propose(part) => pending.push((number, part)),
            }
        }
        Self { batch, stored, pending, uncreate: Vec::new(), undo: Vec::new() }
    }

    fn commands(&self, keyring: &Keyring) -> Result<Vec<Command>, ServiceError> {
        let mut commands = Vec::with_capacity(self.pending.len() + 2);
        commands.extend(self.batch.attach.as_ref().map(Attachment::command));
        for (_, part) in &self.pending {
            commands.push(part.command(keyring)?);
        }
        commands.extend(self.batch.auxiliary.clone());
        Ok(commands)
    }

    /// Takes the answers to [`Self::commands`]; the error is why one was refused.
    fn answered(&mut self, responses: Vec<Response>, keyring: &Keyring) -> Result<(), ServiceError> {
        let mut responses = responses.into_iter();
        let mut next = || responses.next().ok_or_else(|| out_of_protocol("an ingestion"));
        let unattached = match self.batch.attach.take() {
            Some(attach) => attach.outcome(next()?),
            None => Ok(()),
        };
        let mut outcome = Ok(());
        for (number, part) in std::mem::take(&mut self.pending) {
            match part.outcome(next()?, keyring) {
                Ok(Outcome::There(there)) => self.stored.push((number, there)),
                Ok(Outcome::Created(served, place)) => {
                    let (through, kid) = (served.version, Some(served.kid));
                    self.uncreate.push(Command::DeleteKey { place, through, kid });
                    self.stored.push((number, Stored::Key(served)));
                }
                Ok(Outcome::Again(part)) => self.pending.push((number, part)),
                Err(refusal) => outcome = Err(refusal),
            }
        }
        if self.batch.auxiliary.take().is_some() && next()? == Response::Done {
            self.undo.extend(self.batch.auxiliary_before.take());
        }
        if unattached.is_err() {
            self.undo.append(&mut self.uncreate);
        }
        unattached.and(outcome)
    }

    fn into_stored(mut self) -> Vec<Stored> {
        self.stored.sort_by_key(|(number, _)| *number);
        self.stored.into_iter().map(|(_, stored)| stored).collect()
    }
}

/// The pause before another attempt of whoever has the turn on this node: those who have it on other
/// nodes come first. At random, so that they do not meet again.
fn pause_after(attempts: u32) -> Duration {
    let span_ms = PAUSE_MAX_MS.min(1 << attempts.min(16));
    Duration::from_millis(RandomState::new().hash_one(attempts) % span_ms)
}

impl<R: ReplicatedState> Keys<R> {
    /// Proposes what is not there yet, the keys wrapped again while others come first: those on this
    /// node wait for their turn, and those on others a moment, longer each time.
    pub(super) async fn store(
        &self,
        mut batch: Batch<'_>,
        planned: Vec<Planned>,
    ) -> Result<Vec<Stored>, ServiceError> {
        if let Some(limits) = &self.limits {
            let new = planned.iter().filter(|planned| matches!(planned, Planned::Propose(_))).count();
            limits.new_keys(&batch.grant.account().id, u32::try_from(new).unwrap_or(u32::MAX)).await?;
        }
        batch.look_before(self.cluster.state())?;
        let mut storing = Storing::new(batch, planned);
        let contested = storing.batch.contested();
        let deadline = Instant::now() + self.cluster.request_deadline();
        let (mut attempts, mut turn) = (0, None);
        loop {
            let commands = storing.commands(&self.keyring)?;
            if commands.is_empty() {
                return Ok(storing.into_stored());
            }
            if attempts > 0 && Instant::now() >= deadline {
                self.take_back(storing.batch.grant, storing.undo).await?;
                return Err(ServiceError::Contended { attempts });
            }
            if turn.is_none() && (attempts > 0 || self.turns.is_contested(&contested)) {
                turn = self.turns.take(contested.clone(), deadline).await;
                if turn.is_none() {
                    self.take_back(storing.batch.grant, storing.undo).await?;
                    return Err(ServiceError::Contended { attempts });
                }
            } else if attempts > 0 {
                tokio::time::sleep(pause_after(attempts)).await;
            }
            attempts += 1;
            let responses = change(&self.cluster, storing.batch.grant, commands).await?;
            if let Err(refusal) = storing.answered(responses, &self.keyring) {
                self.take_back(storing.batch.grant, storing.undo).await?;
                return Err(refusal);
            }
        }
    }

    async fn take_back(&self, grant: &Grant, undo: Vec<Command>) -> Result<(), ServiceError> {
        if !undo.is_empty() {
            tracing::warn!(?undo, "an ingestion was refused as it was applied; its changes are taken back");
            change(&self.cluster, grant, undo).await?;
        }
        Ok(())
    }
}
