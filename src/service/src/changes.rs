//! The ways by which a request of an account, or the node itself, changes the state: what is intended is written to
//! the audit before it is proposed, and what came of it is told after.

use keymoot_audit::{Action, Change, Event, KeyName, NodeAudit, Outcome, Verdict};
use keymoot_auth::Grant;
use keymoot_cluster::ClusterError;
use keymoot_model::{KeyPath, Kid, Period};
use keymoot_state::{Command, NewDocumentKey, Response};

use super::error::ServiceError;
use super::replicated_state::ReplicatedState;

/// Has commands of a request replicated in one proposal.
///
/// # Errors
/// [`ServiceError::Unaudited`] when the audit cannot be written; then nothing was proposed. Else as the cluster says.
pub(super) async fn change<R: ReplicatedState>(
    cluster: &R,
    grant: &Grant,
    commands: Vec<Command>,
) -> Result<Vec<Response>, ServiceError> {
    let mut intended = Intended::default();
    commands.iter().enumerate().for_each(|(place, command)| intended.add(place, command));
    let intents = grant.trail().intend(intended.changes).await?;
    match cluster.propose_indexed(commands).await {
        Ok(applied) => {
            let verdict = |places: &Vec<usize>| {
                let answers = places.iter().filter_map(|place| applied.responses.get(*place));
                answers.map(verdict).find(|verdict| *verdict != Verdict::DONE).unwrap_or(Verdict::DONE)
            };
            let verdicts: Vec<_> = intended.places.iter().map(verdict).collect();
            grant.trail().answered(&intents, applied.log_index, &verdicts);
            Ok(applied.responses)
        }
        Err(error) => {
            grant.trail().unanswered(&intents, outcome(&error), &error.to_string());
            Err(error.into())
        }
    }
}

/// The same for a single command.
///
/// # Errors
/// As for [`change`].
pub(super) async fn change_one<R: ReplicatedState>(
    cluster: &R,
    grant: &Grant,
    command: Command,
) -> Result<Response, ServiceError> {
    let response = change(cluster, grant, vec![command]).await?.pop();
    response.ok_or_else(|| ClusterError::Protocol("no answer to a command".into()).into())
}

/// The same for what this node does by itself: each command with the event that says what it is for.
///
/// # Errors
/// As for [`change`].
pub(super) async fn change_by_node<R: ReplicatedState>(
    cluster: &R,
    audit: &NodeAudit,
    commands: Vec<(Event, Command)>,
) -> Result<Vec<Response>, ServiceError> {
    let (events, commands): (Vec<_>, Vec<_>) = commands.into_iter().unzip();
    let begun = audit.begin_all(events).await?;
    match cluster.propose_indexed(commands).await {
        Ok(applied) => {
            for (pending, response) in begun.into_iter().zip(&applied.responses) {
                let Verdict { outcome, reason } = verdict(response);
                // The intent stands without an outcome where it cannot be written, which says as much.
                drop(pending.end(outcome, reason, applied.log_index));
            }
            Ok(applied.responses)
        }
        Err(error) => {
            for pending in begun {
                drop(pending.end(outcome(&error), Some(error.to_string()), None));
            }
            Err(error.into())
        }
    }
}

/// A proposal without an answer may be applied yet; what was not proposed will not be.
const fn outcome(error: &ClusterError) -> Outcome {
    match error {
        ClusterError::NoQuorum { .. } | ClusterError::Stopped | ClusterError::Protocol(_) => Outcome::Unknown,
        ClusterError::Behind { .. }
        | ClusterError::Busy { .. }
        | ClusterError::DiskFull
        | ClusterError::Refused(_)
        | ClusterError::Diverged(_)
        | ClusterError::CutOff { .. }
        | ClusterError::State(_) => Outcome::Failed,
    }
}

/// What the commands of a proposal are for, those of one kind together.
#[derive(Default)]
struct Intended {
    changes: Vec<Change>,
    /// Where the commands of each change are.
    places: Vec<Vec<usize>>,
}

impl Intended {
    fn add(&mut self, place: usize, command: &Command) {
        let Some(change) = change_of(command) else { return };
        // What names a key is told with others of its kind, and all else by itself.
        match self.changes.iter().position(|other| other.action == change.action && !change.keys.is_empty()) {
            Some(with) => {
                if let (Some(other), Some(places)) = (self.changes.get_mut(with), self.places.get_mut(with)) {
                    other.keys.extend(change.keys);
                    places.push(place);
                }
            }
            None => {
                self.changes.push(change);
                self.places.push(vec![place]);
            }
        }
    }
}

/// What a command is for; `None` for what changes no key and nothing that decides about keys.
fn change_of(command: &Command) -> Option<Change> {
    let of_keys = |action, key| Some(Change { action, keys: vec![key], policy: None, object: None });
    let of_policy = |action, policy, object| Some(Change { action, keys: Vec::new(), policy, object });
    match command {
        Command::CreateKey(key) => {
            of_keys(Action::KEY_CREATE, name(&key.place, Some(key.kid), Some(key.version), None))
        }
        Command::ReplaceKey(key) => {
            of_keys(Action::KEY_REPLACE, name(&key.place, Some(key.kid), Some(key.version), None))
        }
        Command::SupplyPeriodKey { key, period } => {
            of_keys(Action::KEY_CREATE, name(&key.place, Some(key.kid), Some(key.version), Some(*period)))
        }
        // Without a key id it is every version up to this one.
        Command::DeleteKey { place, through, kid } => {
            of_keys(Action::KEY_DELETE, name(place, *kid, Some(*through), None))
        }
        Command::CreateSeed(seed) => {
            of_keys(Action::PERIODS_BEGIN, name(&seed.place, None, Some(seed.version), None))
        }
        Command::ReplaceSeed(seed) => {
            of_keys(Action::PERIODS_RESEED, name(&seed.place, None, Some(seed.version), None))
        }
        Command::PutAuxiliary { content, auxiliary, .. } => Some(Change {
            action: Action::AUXILIARY_PUT,
            keys: vec![KeyName { content: Some(content.clone()), ..KeyName::default() }],
            policy: None,
            object: auxiliary.is_none().then(|| "deleted".to_owned()),
        }),
        Command::PutPolicy { policy, .. } => of_policy(Action::POLICY_PUT, Some(policy.name.clone()), None),
        Command::DeletePolicy { name, .. } => of_policy(Action::POLICY_DELETE, Some(name.clone()), None),
        Command::AttachPolicy { content, policy, .. } => Some(Change {
            action: Action::POLICY_ATTACH,
            keys: vec![KeyName { content: Some(content.clone()), ..KeyName::default() }],
            policy: policy.clone(),
            object: policy.is_none().then(|| "detached".to_owned()),
        }),
        Command::SetDefaultPolicy { policy, .. } => {
            of_policy(Action::POLICY_DEFAULT, policy.clone(), policy.is_none().then(|| "none".to_owned()))
        }
        Command::ClaimLease { .. } => of_policy(Action::LEASE_CLAIM, None, None),
        Command::BeginRental { .. } => of_policy(Action::RENTAL_BEGIN, None, None),
        Command::FoundKidKey { .. } => {
            of_policy(Action::SECRETS_MAKE, None, Some("secret=key-ids".to_owned()))
        }
        Command::NoteDocument(new) => {
            let name = |key: &NewDocumentKey| KeyName {
                content: Some(new.content.clone()),
                track: key.key_of.first().or(key.tracks.first()).cloned(),
                kid: Some(key.kid),
                version: new.answered.map(|answered| answered.version),
                period: None,
            };
            let keys = new.keys.iter().map(name).collect();
            Some(Change { action: Action::DOCUMENT_NOTE, keys, policy: None, object: None })
        }
        Command::DeleteDocuments { content, through, .. } => of_keys(
            Action::DOCUMENT_DELETE,
            KeyName { content: Some(content.clone()), version: Some(*through), ..KeyName::default() },
        ),
        Command::DeleteDocumentKid { content, kid, .. } => of_keys(
            Action::DOCUMENT_DELETE,
            KeyName { content: Some(content.clone()), kid: Some(*kid), ..KeyName::default() },
        ),
        // Spent to let a request in once, which decides nothing by itself.
        Command::SpendNonce { .. } => None,
        // What requests of accounts do not ask for, or only whoever makes the cluster's first.
        Command::AdmitNode(_)
        | Command::AdmitWitness(_)
        | Command::AdoptAuthority
        | Command::BeginAuthorityChange(_)
        | Command::CancelAuthorityChange
        | Command::ChangeAccount { .. }
        | Command::ChangeApprovals(_)
        | Command::ChangeAuditLogs(_)
        | Command::ChangeOperators(_)
        | Command::ChangeSignIn(_)
        | Command::ClaimBackup { .. }
        | Command::DeclareAccount { .. }
        | Command::DeclareAccounts { .. }
        | Command::DeleteAccount { .. }
        | Command::DescribeNode { .. }
        | Command::EndRental { .. }
        | Command::EnrollDirectory { .. }
        | Command::Found(_)
        | Command::NoteBackup { .. }
        | Command::NoteGoodBackup(_)
        | Command::NoteTrust(_)
        | Command::PutAccount { .. }
        | Command::PutAuthority(_)
        | Command::PutJoinToken(_)
        | Command::PutServerSecret { .. }
        | Command::PutWitnessToken(_)
        | Command::RaiseFeatureLevel { .. }
        | Command::RegisterNodeKey { .. }
        | Command::ReleaseLease { .. }
        | Command::RemoveNode { .. }
        | Command::ReserveWraps { .. }
        | Command::RetireAuthority
        | Command::RevokeCertificate { .. }
        | Command::RevokeJoinToken { .. }
        | Command::RotateDocuments { .. }
        | Command::Rewrap { .. }
        | Command::ScheduleBackups(_)
        | Command::SetLearner { .. }
        | Command::SetVerifiers(_) => None,
    }
}

fn name(place: &KeyPath, kid: Option<Kid>, version: Option<u32>, period: Option<Period>) -> KeyName {
    let (content, track) = (Some(place.content.clone()), Some(place.track.clone()));
    KeyName { content, track, kid, version, period }
}

/// Whether a command did what it was for.
fn verdict(response: &Response) -> Verdict {
    match response {
        Response::Stored
        | Response::Done
        | Response::Deleted { .. }
        | Response::Seed(_)
        | Response::Policy(_)
        | Response::Leased { .. }
        | Response::KidKey(_)
        | Response::Rental { .. } => Verdict::DONE,
        Response::AnsweredBefore => {
            Verdict { outcome: Outcome::Done, reason: Some("it had been applied before".to_owned()) }
        }
        Response::Unchanged => Verdict::failed("it was so already, or may not be changed"),
        Response::Existing(_) => Verdict::failed("there was a key already"),
        Response::KidTaken(_) => Verdict::failed("the key id names a key already"),
        Response::VersionMoved { .. } => Verdict::failed("another request came first"),
        Response::DocumentKey(_) => Verdict::failed("a document gave it a key already"),
        Response::DocumentRefused(refusal) => Verdict::failed(refusal.to_string()),
        Response::NoPolicy => Verdict::failed("there is no such policy"),
        Response::PolicyMoved { .. } => Verdict::failed("the policy is not as the request demands"),
        Response::PolicyInUse { .. } => Verdict::failed("the policy is in use"),
        Response::LeasesTaken { .. } => Verdict::failed("other devices hold all slots"),
        _ => Verdict::failed("the state refused it"),
    }
}

/// A key that leaves, for the trail of its request.
pub(super) fn key_name(place: &KeyPath, kid: Kid, version: u32, period: Option<Period>) -> KeyName {
    name(place, Some(kid), Some(version), period)
}
