//! What one request did, gathered until it is answered.
//!
//! A trail is made where a request comes in, and goes with its grant to wherever keys leave and changes are
//! proposed. A change calls [`Trail::intend`] and waits before it is proposed; a key that leaves is named with
//! [`Trail::hand_out`]. Whoever answers calls [`Trail::settle`] and waits before the answer leaves. Nothing is
//! counted twice: an event that names a key which this request made is the outcome of the intent to make it.

mod intent;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keymoot_model::{AccountId, ContentId, NodeId, PolicyName};

use crate::clock::now_ms;
use crate::{Action, Actor, ActorKind, AuditLog, DrmUse, Event, KeyName, Outcome, Unwritable};
use intent::Intent;
pub use intent::{Change, Intents, Verdict};

/// The longest text of a reason, in bytes.
const REASON_BYTES_MAX: usize = 500;
/// The longest text of what something is about, in bytes.
const OBJECT_BYTES_MAX: usize = 2000;

/// Where events of a node go: its log, and which node it is. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeAudit {
    pub log: AuditLog,
    pub node: NodeId,
}

impl NodeAudit {
    /// An event of now.
    pub fn event(&self, action: Action, outcome: Outcome, actor: Actor) -> Event {
        Event::new(self.node, now_ms(), action, outcome, actor)
    }

    /// An event of this node itself.
    pub fn own(&self, action: Action, outcome: Outcome, object: impl Into<String>) -> Event {
        Event { object: Some(object.into()), ..self.event(action, outcome, Actor::SYSTEM) }
    }

    /// Appends an event that nothing waits for; one that cannot be written is seen where grants are refused.
    pub fn note(&self, event: Event) {
        // Why it cannot be written is the log's state, which is reported as long as it lasts.
        drop(self.append(event));
    }

    /// Appends an event, and gives its number. What others may have made long is cut.
    ///
    /// # Errors
    /// [`Unwritable`] when nothing can be written now.
    pub fn append(&self, mut event: Event) -> Result<u64, Unwritable> {
        event.object = event.object.map(|object| bounded(object, OBJECT_BYTES_MAX));
        event.reason = event.reason.map(|reason| bounded(reason, REASON_BYTES_MAX));
        self.log.append(event)
    }

    /// Appends an event and waits until it is written. Where that fails, the event is corrected: whoever waits does not
    /// do, or does not answer, what it says.
    ///
    /// # Errors
    /// [`Unwritable`] when that cannot be.
    pub async fn write(&self, event: Event) -> Result<u64, Unwritable> {
        let number = self.append(event.clone())?;
        match self.log.written(number).await {
            Ok(()) => Ok(number),
            Err(why) => {
                self.correct(event, number, &why);
                Err(why)
            }
        }
    }

    /// Says of an event that it was not done, or not answered, because it could not be written in time.
    pub(crate) fn correct(&self, event: Event, number: u64, why: &Unwritable) {
        let is_intent = event.outcome == Outcome::Intended;
        let what = if is_intent { "it was not done" } else { "its answer was held back" };
        self.log.correct(Event {
            time_ms: now_ms(),
            outcome: Outcome::Failed,
            intent: is_intent.then_some(number).or(event.intent),
            reason: Some(bounded(format!("{what}: {why}"), REASON_BYTES_MAX)),
            ..event
        });
    }
}

/// What a request comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    pub outcome: Outcome,
    pub status: Option<u16>,
    pub reason: Option<String>,
    pub reference: Option<String>,
    /// How many refusals like this one were left out before it.
    pub repeated: Option<u64>,
}

impl Settled {
    /// It was done.
    pub const DONE: Self =
        Self { outcome: Outcome::Done, status: None, reason: None, reference: None, repeated: None };

    /// It was not.
    pub fn refused(outcome: Outcome, status: u16, reason: impl Into<String>, reference: u64) -> Self {
        Self {
            outcome,
            status: Some(status),
            reason: Some(reason.into()),
            reference: Some(reference.to_string()),
            repeated: None,
        }
    }
}

/// What one request did.
#[derive(Debug)]
pub struct Trail {
    to: NodeAudit,
    address: Option<IpAddr>,
    gathered: Mutex<Gathered>,
}

#[derive(Debug)]
struct Gathered {
    action: Action,
    actor: Actor,
    scheme: Option<&'static str>,
    account: Option<AccountId>,
    content: Option<ContentId>,
    drm: Option<DrmUse>,
    recipient: Option<String>,
    policy: Option<PolicyName>,
    object: Option<String>,
    handed_out: Vec<HandedOut>,
    intents: Vec<Intent>,
    /// A refusal in a protocol whose answer does not look like one.
    refusal: Option<Settled>,
    /// Whether an event says already that the request was answered.
    is_told: bool,
    /// Whether the answer goes on after the request's handler has ended, which settles it.
    goes_on: bool,
    last: Option<u64>,
}

#[derive(Debug)]
struct HandedOut {
    action: Action,
    key: KeyName,
    /// The intent that it is the outcome of, and where that was applied.
    intent: Option<(u64, Option<u64>)>,
}

/// Who was let in, and by what.
#[derive(Clone, Debug)]
pub struct Admitted {
    pub account: AccountId,
    pub credential: String,
    pub scheme: Option<&'static str>,
    pub content: Option<ContentId>,
}

impl Trail {
    /// Of a request that came from there.
    pub fn new(to: NodeAudit, action: Action, address: Option<IpAddr>) -> Arc<Self> {
        let gathered = Mutex::new(Gathered {
            action,
            actor: Actor::STRANGER,
            scheme: None,
            account: None,
            content: None,
            drm: None,
            recipient: None,
            policy: None,
            object: None,
            handed_out: Vec::new(),
            intents: Vec::new(),
            refusal: None,
            is_told: false,
            goes_on: false,
            last: None,
        });
        Arc::new(Self { to, address, gathered })
    }

    /// One whose events nobody reads, for tests of what takes a grant.
    pub fn detached() -> Arc<Self> {
        let to = NodeAudit { log: AuditLog::in_memory(), node: NodeId::default() };
        Self::new(to, Action::REQUEST, None)
    }

    /// The log that it goes to.
    pub const fn audit(&self) -> &NodeAudit {
        &self.to
    }

    /// It is known what is asked for.
    pub fn asks_for(&self, action: Action) {
        self.lock().action = action;
    }

    /// Whose request it claims to be, which nothing has proved.
    pub fn claims(&self, account: &AccountId, content: Option<&ContentId>) {
        let mut gathered = self.lock();
        if gathered.actor.kind == ActorKind::Stranger {
            gathered.actor.id = Some(account.as_str().to_owned());
            gathered.account = Some(account.clone());
            gathered.content = content.cloned();
        }
    }

    /// The request is let in.
    pub fn admit(&self, admitted: Admitted) {
        let Admitted { account, credential, scheme, content } = admitted;
        let mut gathered = self.lock();
        gathered.actor = Actor {
            kind: ActorKind::Account,
            id: Some(account.as_str().to_owned()),
            credential: Some(credential).filter(|name| !name.is_empty()),
            role: None,
        };
        gathered.scheme = scheme;
        gathered.account = Some(account);
        gathered.content = content.or(gathered.content.take());
    }

    /// Whether the answer is a refusal that does not look like one.
    pub fn is_refused(&self) -> bool {
        self.lock().refusal.is_some()
    }

    /// Whether nothing proved whose request it is.
    pub fn is_strangers(&self) -> bool {
        self.lock().actor.kind == ActorKind::Stranger
    }

    /// For whom an export is wrapped.
    pub fn recipient(&self, recipient: String) {
        self.lock().recipient = Some(recipient);
    }

    /// The policy that is applied, stored or attached.
    pub fn policy(&self, policy: &PolicyName) {
        self.lock().policy = Some(policy.clone());
    }

    /// The system whose license is asked for, and whose player it is.
    pub fn drm(&self, drm: DrmUse) {
        self.lock().drm = Some(drm);
    }

    /// What else it is about, as `name=value` parts.
    pub fn object(&self, object: String) {
        self.lock().object = Some(object);
    }

    /// The answer is made while it is sent, and whoever makes it settles the trail.
    pub fn goes_on(&self) {
        self.lock().goes_on = true;
    }

    /// The answer is a refusal, whatever its status says.
    pub fn refuse(&self, refusal: Settled) {
        self.lock().refusal = Some(refusal);
    }

    /// A key is about to leave. A key that this request made is named as such, and not as one that was there.
    pub fn hand_out(&self, action: Action, key: KeyName) {
        let mut gathered = self.lock();
        let is_of = |intent: &Intent| action == Action::KEY_READ || action == intent.action;
        let made = key
            .kid
            .and_then(|kid| gathered.intents.iter_mut().find(|intent| is_of(intent) && intent.made(&kid)));
        let handed_out = match made {
            Some(intent) => {
                intent.is_cited = true;
                HandedOut {
                    action: intent.action.clone(),
                    key,
                    intent: Some((intent.number, intent.log_index)),
                }
            }
            None => HandedOut { action, key, intent: None },
        };
        gathered.handed_out.push(handed_out);
    }

    /// Writes what is about to be proposed, and waits until it is written.
    ///
    /// # Errors
    /// [`Unwritable`]; then it must not be proposed.
    pub async fn intend(&self, changes: Vec<Change>) -> Result<Intents, Unwritable> {
        let intents = self.begin(changes)?;
        let Some(last) = intents.0.last() else { return Ok(intents) };
        match self.to.log.written(*last).await {
            Ok(()) => Ok(intents),
            Err(why) => {
                self.not_proposed(&intents, &why);
                Err(why)
            }
        }
    }

    /// Says of intents that nothing came of them, because they could not be written in time.
    fn not_proposed(&self, intents: &Intents, why: &Unwritable) {
        let mut gathered = self.lock();
        let all = std::mem::take(&mut gathered.intents);
        let (ended, kept) = all.into_iter().partition(|intent| intents.0.contains(&intent.number));
        gathered.intents = kept;
        let ended: Vec<Intent> = ended;
        for intent in ended {
            let mut event = self.event(&gathered, intent.action, Outcome::Intended);
            event.keys = intent.keys;
            self.to.correct(event, intent.number, why);
        }
    }

    fn begin(&self, changes: Vec<Change>) -> Result<Intents, Unwritable> {
        let mut gathered = self.lock();
        let mut numbers = Vec::with_capacity(changes.len());
        for change in changes {
            let mut event = self.event(&gathered, change.action.clone(), Outcome::Intended);
            (event.keys, event.object) = (change.keys.clone(), change.object);
            event.policy = change.policy.or(event.policy);
            let number = self.append(&mut gathered, event)?;
            numbers.push(number);
            gathered.intents.push(Intent::new(number, change.action, change.keys));
        }
        Ok(Intents(numbers))
    }

    /// What came of the proposal: of each intent, in their order, whether it did what it was for.
    pub fn answered(&self, intents: &Intents, log_index: Option<u64>, verdicts: &[Verdict]) {
        let mut gathered = self.lock();
        for (number, verdict) in intents.0.iter().zip(verdicts) {
            let found = gathered.intents.iter_mut().find(|intent| intent.number == *number);
            if let Some(intent) = found {
                (intent.log_index, intent.verdict) = (log_index, Some(verdict.clone()));
            }
        }
    }

    /// No answer came to the proposal: for all that is known it may be applied later, or was refused.
    pub fn unanswered(&self, intents: &Intents, outcome: Outcome, reason: &str) {
        let verdict = Verdict { outcome, reason: Some(reason.to_owned()) };
        self.answered(intents, None, &vec![verdict; intents.0.len()]);
    }

    /// The answer is ready: appends what it came to. Gives the number of the last event, to be waited for before
    /// a key leaves; none when the trail goes on.
    ///
    /// # Errors
    /// [`Unwritable`]; then no key may leave.
    pub fn settle(&self, settled: Settled) -> Result<Option<u64>, Unwritable> {
        if self.lock().goes_on && settled.outcome == Outcome::Done {
            return Ok(None);
        }
        self.conclude(settled)
    }

    /// The same for an answer that was made while it was sent.
    ///
    /// # Errors
    /// As for [`Self::settle`].
    pub fn conclude(&self, settled: Settled) -> Result<Option<u64>, Unwritable> {
        let settled = match self.lock().refusal.take() {
            Some(refusal) => {
                let status = settled.status.or(refusal.status);
                Settled { status, repeated: settled.repeated, ..refusal }
            }
            None => settled,
        };
        if settled.outcome == Outcome::Done {
            self.flush()?;
        } else {
            // What was found, and is not in the answer.
            self.lock().handed_out.clear();
            self.close_intents(&mut self.lock())?;
        }
        let mut gathered = self.lock();
        if settled.outcome != Outcome::Done || !gathered.is_told {
            let event = self.event(&gathered, gathered.action.clone(), settled.outcome);
            self.append(&mut gathered, told(event, settled))?;
        }
        gathered.is_told = true;
        Ok(gathered.last)
    }

    /// Appends what was handed out by now, before it is sent.
    ///
    /// # Errors
    /// As for [`Self::settle`].
    pub fn flush(&self) -> Result<Option<u64>, Unwritable> {
        let mut gathered = self.lock();
        let mut handed_out = std::mem::take(&mut gathered.handed_out).into_iter().peekable();
        while let Some(HandedOut { action, key, intent }) = handed_out.next() {
            let mut event = self.event(&gathered, action, Outcome::Done);
            event.keys.push(key);
            while let Some(next) = handed_out.peek()
                && next.action == event.action
                && next.intent == intent
            {
                event.keys.extend(handed_out.next().map(|next| next.key));
            }
            (event.intent, event.log_index) = intent.map_or((None, None), |(number, at)| (Some(number), at));
            self.append(&mut gathered, event)?;
            gathered.is_told = true;
        }
        self.close_intents(&mut gathered)?;
        Ok(gathered.last)
    }

    /// Something of a request about many was not done.
    ///
    /// # Errors
    /// As for [`Self::settle`].
    pub fn fail_part(&self, action: Action, key: KeyName, settled: Settled) -> Result<(), Unwritable> {
        let mut gathered = self.lock();
        let mut event = self.event(&gathered, action, settled.outcome);
        event.keys.push(key);
        self.append(&mut gathered, told(event, settled))?;
        gathered.is_told = true;
        Ok(())
    }

    /// The answer is held back, because what was appended of it could not be written in time: says so, as soon as anything
    /// can be written.
    pub fn withhold(&self, refused: Settled) {
        let gathered = self.lock();
        if gathered.last.is_some() {
            let event = self.event(&gathered, gathered.action.clone(), refused.outcome);
            self.to.log.correct(told(event, refused));
        }
    }

    /// Waits until an event is written.
    ///
    /// # Errors
    /// [`Unwritable`] when that cannot be.
    pub async fn written(&self, number: Option<u64>) -> Result<(), Unwritable> {
        match number {
            Some(number) => self.to.log.written(number).await,
            None => Ok(()),
        }
    }

    /// Says what came of each intent that no other event tells it of.
    fn close_intents(&self, gathered: &mut Gathered) -> Result<(), Unwritable> {
        for intent in std::mem::take(&mut gathered.intents) {
            if intent.is_cited {
                continue;
            }
            let verdict = intent.verdict.unwrap_or(Verdict::UNKNOWN);
            let mut event = self.event(gathered, intent.action, verdict.outcome);
            (event.keys, event.reason) = (intent.keys, verdict.reason);
            (event.intent, event.log_index) = (Some(intent.number), intent.log_index);
            self.append(gathered, event)?;
            gathered.is_told = true;
        }
        Ok(())
    }

    fn event(&self, gathered: &Gathered, action: Action, outcome: Outcome) -> Event {
        let mut event = self.to.event(action, outcome, gathered.actor.clone());
        event.scheme = gathered.scheme.map(str::to_owned);
        event.address = self.address;
        event.account.clone_from(&gathered.account);
        event.content.clone_from(&gathered.content);
        event.drm.clone_from(&gathered.drm);
        event.recipient.clone_from(&gathered.recipient);
        event.policy.clone_from(&gathered.policy);
        event.object.clone_from(&gathered.object);
        event
    }

    /// A key of the content that the event is about does not name it again.
    fn append(&self, gathered: &mut Gathered, mut event: Event) -> Result<u64, Unwritable> {
        if event.content.is_none()
            && let Some(first) = event.keys.first().and_then(|key| key.content.clone())
            && event.keys.iter().all(|key| key.content.as_ref() == Some(&first))
        {
            event.content = Some(first);
        }
        for key in &mut event.keys {
            if key.content == event.content {
                key.content = None;
            }
        }
        let number = self.to.append(event)?;
        gathered.last = Some(number);
        Ok(number)
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        // No code panics while it holds the lock, so a poisoned trail is intact.
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Trail {
    /// A caller that hung up is answered nothing, but what was proposed may be applied.
    fn drop(&mut self) {
        let mut gathered = self.lock();
        // Where it cannot be written, the intent stays without an outcome, which says as much.
        drop(self.close_intents(&mut gathered));
    }
}

fn told(mut event: Event, settled: Settled) -> Event {
    event.status = settled.status;
    event.reason = settled.reason;
    event.reference = settled.reference;
    event.repeated = settled.repeated;
    event
}

fn bounded(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
