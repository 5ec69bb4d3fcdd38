//! The right to have a command replicated: decided here for every command, and nowhere else.
//!
//! A node proposes for the accounts' requests that it serves, for operators' tools that asked it, and for
//! itself. While it follows, its proposals come to the leader over a peer connection. A connection whose
//! other end proved a master key may forward all that nodes propose. One that did not, as that of
//! an earlier version, may forward what accounts' requests make and no more: nothing that decides who may ask
//! for keys or who belongs to the cluster.

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{Keyring, ProofRefusal, UnwrapError};
use keymoot_model::{Auxiliary, NodeId, Period, Role, SeedId, SeedRecord};
use keymoot_state::{
    Act, ActKind, ApprovalChange, AuditLogChange, BackupProgress, BackupSchedule, Command, GoodBackup,
    NewKey, NewSeed, OperatorChange, Proposal, SignInChange, TwoPersonRule, VERIFIERS_MAX, WRAPS_AT_ONCE_MAX,
};

use crate::settings::RaftSection;

/// The longest zone or version of a node, in bytes.
pub(crate) const FACT_BYTES_MAX: usize = 1024;

/// On whose behalf a command is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behalf {
    /// An account's request, or what serving the first of a kind needs.
    Accounts,
    /// The same, and operators by their tools.
    AccountsAndOperators,
    /// Operators: by a tool, or by the accounts file that a node applies to a cluster without accounts.
    Operators,
    /// The node of this id, which says what it is.
    Node(NodeId),
    /// The same, if it proved a master key.
    Holder(NodeId),
    /// The cluster: nodes carry out what operators began.
    Cluster,
    /// Nobody: no program makes it.
    Nobody,
}

const fn behalf(command: &Command) -> Behalf {
    match command {
        Command::CreateKey(_)
        | Command::ReplaceKey(_)
        | Command::DeleteKey { .. }
        | Command::CreateSeed(_)
        | Command::ReplaceSeed(_)
        | Command::SupplyPeriodKey { .. }
        | Command::PutAuxiliary { .. }
        | Command::SpendNonce { .. }
        | Command::ClaimLease { .. }
        | Command::BeginRental { .. }
        | Command::PutServerSecret { .. }
        | Command::FoundKidKey { .. }
        | Command::NoteDocument(_)
        | Command::DeleteDocuments { .. }
        | Command::DeleteDocumentKid { .. } => Behalf::Accounts,
        Command::PutPolicy { .. }
        | Command::DeletePolicy { .. }
        | Command::AttachPolicy { .. }
        | Command::SetDefaultPolicy { .. } => Behalf::AccountsAndOperators,
        Command::PutAccount { if_absent: true, .. }
        | Command::DeleteAccount { .. }
        | Command::ChangeAccount { .. }
        | Command::DeclareAccounts { .. }
        | Command::DeclareAccount { .. }
        | Command::ReleaseLease { .. }
        | Command::EndRental { .. }
        | Command::PutJoinToken(_)
        | Command::PutWitnessToken(_)
        | Command::RevokeJoinToken { .. }
        | Command::RaiseFeatureLevel { .. }
        | Command::ScheduleBackups(_)
        | Command::NoteGoodBackup(_)
        | Command::RotateDocuments { .. }
        | Command::RevokeCertificate { .. } => Behalf::Operators,
        Command::DescribeNode { id, .. } => Behalf::Node(*id),
        Command::EnrollDirectory { id, .. } | Command::RegisterNodeKey { id, .. } => Behalf::Holder(*id),
        Command::NoteTrust(trust) => Behalf::Holder(trust.node),
        Command::ClaimBackup { node, .. }
        | Command::NoteBackup { node, .. }
        | Command::ReserveWraps { node, .. } => Behalf::Holder(*node),
        Command::ChangeAuditLogs(change) => Behalf::Holder(change.node()),
        Command::Found(_)
        | Command::PutAuthority(_)
        | Command::BeginAuthorityChange(_)
        | Command::AdoptAuthority
        | Command::RetireAuthority
        | Command::CancelAuthorityChange
        | Command::AdmitNode(_)
        | Command::AdmitWitness(_)
        | Command::SetVerifiers(_)
        | Command::SetLearner { .. }
        | Command::RemoveNode { .. }
        | Command::Rewrap { .. }
        | Command::ChangeOperators(_)
        | Command::ChangeApprovals(_)
        | Command::ChangeSignIn(_) => Behalf::Cluster,
        // Nodes of earlier versions made it of their accounts files, which may be older than the accounts.
        Command::PutAccount { if_absent: false, .. } => Behalf::Nobody,
    }
}

/// Why a command or proposal is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RightsError {
    /// The bytes are no proposal.
    #[error("the bytes are no proposal: {0}")]
    Form(codec::CodecError),
    /// It has no commands, or too many.
    #[error("a proposal of {0} commands")]
    Count(usize),
    /// It is for others to ask for, or for nobody.
    #[error("`{command}` is no command that {asker} may ask for")]
    Right { command: String, asker: &'static str },
    /// Holders of the master key may ask for it, and this one did not prove to be one.
    #[error("`{command}` is for holders of the cluster's master key: {refusal}")]
    Proof {
        command: String,
        /// What is wrong with the proof.
        refusal: ProofRefusal,
    },
    /// What it holds no request could have made.
    #[error("`{command}` holds what no request makes: {fault}")]
    Content { command: String, fault: String },
}

/// Whether an operator's tool, which proved a master key, may ask for the command.
pub(crate) fn check_tool(command: &Command) -> Result<(), RightsError> {
    match behalf(command) {
        Behalf::AccountsAndOperators | Behalf::Operators => check_content(command, None),
        Behalf::Accounts | Behalf::Node(_) | Behalf::Holder(_) | Behalf::Cluster | Behalf::Nobody => {
            Err(RightsError::Right { command: command.to_string(), asker: "a tool" })
        }
    }
}

/// Whether what this node made for an operator holds to the bounds.
pub(crate) fn check_own(command: &Command) -> Result<(), RightsError> {
    check_content(command, None)
}

/// Whether node `from` may forward the proposal in these bytes. `proof` says whether it proved a master
/// key; `keyring` is this node's own.
pub(crate) fn check_forwarded(
    encoded: &[u8],
    from: NodeId,
    proof: Result<(), ProofRefusal>,
    keyring: &Keyring,
) -> Result<(), RightsError> {
    // A proposal that cannot be decoded would stop every node that applies it.
    let proposal: Proposal = codec::decode(Kind::Entry, encoded).map_err(RightsError::Form)?;
    if !(1..=RaftSection::BATCH_COMMANDS_MAX).contains(&proposal.commands.len()) {
        return Err(RightsError::Count(proposal.commands.len()));
    }
    proposal.commands.iter().try_for_each(|command| {
        match behalf(command) {
            Behalf::Accounts | Behalf::AccountsAndOperators => {}
            Behalf::Node(id) if id == from => {}
            Behalf::Holder(id) if id != from => {
                return Err(RightsError::Right { command: command.to_string(), asker: "that node" });
            }
            Behalf::Operators | Behalf::Cluster | Behalf::Holder(_) => {
                proof.map_err(|refusal| RightsError::Proof { command: command.to_string(), refusal })?
            }
            Behalf::Node(_) | Behalf::Nobody => {
                return Err(RightsError::Right { command: command.to_string(), asker: "that node" });
            }
        }
        check_content(command, proof.is_err().then_some(keyring))
    })
}

/// Whether witness `from` may forward the proposal in these bytes: it says what it is itself, how far its own audit log
/// has grown and which other ones it has checked, and nothing else. Its key is registered by its admission, and no
/// proposal of its own changes that.
pub(crate) fn check_witness(encoded: &[u8], from: NodeId) -> Result<(), RightsError> {
    let proposal: Proposal = codec::decode(Kind::Entry, encoded).map_err(RightsError::Form)?;
    if !(1..=RaftSection::BATCH_COMMANDS_MAX).contains(&proposal.commands.len()) {
        return Err(RightsError::Count(proposal.commands.len()));
    }
    proposal.commands.iter().try_for_each(|command| {
        let of = match command {
            Command::DescribeNode { id, .. } | Command::EnrollDirectory { id, .. } => Some(*id),
            Command::NoteTrust(trust) => Some(trust.node),
            Command::ChangeAuditLogs(change) => Some(change.node()),
            _ => None,
        };
        match of == Some(from) {
            true => check_content(command, None),
            false => Err(RightsError::Right { command: command.to_string(), asker: "a witness" }),
        }
    })
}

/// Checks what the command's own types do not: bounds that requests are held to where they are read and,
/// when a `keyring` is given, that a secret opens in the place it is meant for. Whoever did not prove a
/// master key can so store no secret but one that a holder wrapped.
fn check_content(command: &Command, keyring: Option<&Keyring>) -> Result<(), RightsError> {
    let opened = |check: &dyn Fn(&Keyring) -> Result<(), UnwrapError>| match keyring {
        Some(keyring) => check(keyring).map_err(|error| error.to_string()),
        None => Ok(()),
    };
    let bounded = |within| if within { Ok(()) } else { Err("it is too long".to_owned()) };
    let checked = match command {
        Command::CreateKey(key) | Command::ReplaceKey(key) => opened(&|keyring| opens(keyring, key, None)),
        Command::SupplyPeriodKey { key, period } => opened(&|keyring| opens(keyring, key, Some(*period))),
        Command::CreateSeed(seed) | Command::ReplaceSeed(seed) => {
            opened(&|keyring| opens_seed(keyring, seed))
        }
        Command::NoteDocument(new) if !new.is_within_bounds() => bounded(false),
        Command::NoteDocument(new) => opened(&|keyring| match &new.seed {
            Some(seed) => keyring.unwrap_document_seed(&new.account, seed.id, &seed.seed).map(drop),
            None => Ok(()),
        }),
        Command::PutServerSecret { secret } => {
            opened(&|keyring| keyring.unwrap_server_secret(secret).map(drop))
        }
        Command::FoundKidKey { key } => opened(&|keyring| keyring.unwrap_kid_key(key).map(drop)),
        Command::PutPolicy { policy, .. } => policy.check().map_err(|error| error.to_string()),
        Command::PutAuxiliary { auxiliary, .. } => {
            bounded(auxiliary.as_ref().is_none_or(Auxiliary::is_within_bounds))
        }
        Command::DescribeNode { facts, .. } => {
            bounded(facts.zone.len() <= FACT_BYTES_MAX && facts.version.len() <= FACT_BYTES_MAX)
        }
        Command::ScheduleBackups(Some(schedule)) => {
            bounded(schedule.directory.len() <= BackupSchedule::PATH_BYTES_MAX)
        }
        Command::ReserveWraps { master_key, count, .. } => {
            bounded(master_key.0.len() <= FACT_BYTES_MAX && *count <= WRAPS_AT_ONCE_MAX)
        }
        Command::NoteGoodBackup(good) => bounded(is_within_bounds(good)),
        Command::NoteBackup { progress, .. } => bounded(match &**progress {
            BackupProgress::UnderWay(_) => true,
            BackupProgress::Good(good) => is_within_bounds(good),
            BackupProgress::Failed(reason) => reason.len() <= FACT_BYTES_MAX,
        }),
        Command::ChangeOperators(change) => bounded(match &**change {
            OperatorChange::Add { roles, .. } | OperatorChange::SetRoles { roles, .. } => {
                roles.len() <= Role::ALL.len()
            }
            OperatorChange::AddCertificate { .. }
            | OperatorChange::RevokeCertificate { .. }
            | OperatorChange::Revoke { .. }
            | OperatorChange::Acknowledge { .. } => true,
        }),
        Command::ChangeApprovals(change) => bounded(match &**change {
            ApprovalChange::Ask { act, .. } => is_act_within_bounds(act),
            ApprovalChange::SetRule { rule, .. } => is_rule_within_bounds(rule),
            ApprovalChange::PermitKeyRemoval { id } => id.len() <= FACT_BYTES_MAX,
            ApprovalChange::Approve { .. }
            | ApprovalChange::Withdraw { .. }
            | ApprovalChange::OpenExport { .. } => true,
        }),
        Command::ChangeSignIn(change) => bounded(match &**change {
            SignInChange::Begin { from, .. } => from.len() <= FACT_BYTES_MAX,
            SignInChange::Set { .. } | SignInChange::See { .. } | SignInChange::End { .. } => true,
        }),
        Command::ChangeAuditLogs(change) => {
            bounded(change.signature().len() <= AuditLogChange::SIGNATURE_BYTES_MAX)
        }
        Command::SetVerifiers(verifiers) => bounded(
            verifiers.len() <= VERIFIERS_MAX
                && verifiers.iter().all(|verifier| verifier.master_key.0.len() <= FACT_BYTES_MAX),
        ),
        Command::PutWitnessToken(_)
        | Command::AdmitWitness(_)
        | Command::RotateDocuments { .. }
        | Command::DeleteDocuments { .. }
        | Command::DeleteDocumentKid { .. }
        | Command::DeleteKey { .. }
        | Command::SpendNonce { .. }
        | Command::ClaimLease { .. }
        | Command::ReleaseLease { .. }
        | Command::BeginRental { .. }
        | Command::EndRental { .. }
        | Command::DeletePolicy { .. }
        | Command::AttachPolicy { .. }
        | Command::SetDefaultPolicy { .. }
        | Command::PutAccount { .. }
        | Command::DeleteAccount { .. }
        | Command::ChangeAccount { .. }
        | Command::DeclareAccounts { .. }
        | Command::DeclareAccount { .. }
        | Command::PutJoinToken(_)
        | Command::RevokeJoinToken { .. }
        | Command::RaiseFeatureLevel { .. }
        | Command::EnrollDirectory { .. }
        | Command::RegisterNodeKey { .. }
        | Command::RevokeCertificate { .. }
        | Command::BeginAuthorityChange(_)
        | Command::AdoptAuthority
        | Command::RetireAuthority
        | Command::CancelAuthorityChange
        | Command::NoteTrust(_)
        | Command::ScheduleBackups(None)
        | Command::ClaimBackup { .. }
        | Command::Found(_)
        | Command::PutAuthority(_)
        | Command::AdmitNode(_)
        | Command::SetLearner { .. }
        | Command::RemoveNode { .. }
        | Command::Rewrap { .. } => Ok(()),
    };
    checked.map_err(|fault| RightsError::Content { command: command.to_string(), fault })
}

fn is_act_within_bounds(act: &Act) -> bool {
    match act {
        Act::RemoveMasterKey { id } => id.len() <= FACT_BYTES_MAX,
        Act::SetRule(rule) => is_rule_within_bounds(rule),
        Act::AddOperator { roles, .. } | Act::SetRoles { roles, .. } => roles.len() <= Role::ALL.len(),
        _ => true,
    }
}

fn is_rule_within_bounds(rule: &TwoPersonRule) -> bool {
    rule.acts.len() <= ActKind::ALL.len() && TwoPersonRule::WITHIN_S_RANGE.contains(&rule.within_s)
}

fn is_within_bounds(good: &GoodBackup) -> bool {
    good.file.len() <= BackupSchedule::PATH_BYTES_MAX && good.digest.len() <= FACT_BYTES_MAX
}

fn opens(keyring: &Keyring, key: &NewKey, period: Option<Period>) -> Result<(), UnwrapError> {
    keyring.unwrap_content_key(&key.record(0, period)).map(drop)
}

fn opens_seed(keyring: &Keyring, new: &NewSeed) -> Result<(), UnwrapError> {
    let NewSeed { place, version, length_s, seed } = new.clone();
    // Versions beyond are refused when they are applied; as another version it does not open here.
    let version = u16::try_from(version).unwrap_or(0);
    let id = SeedId { content: 0, version, track: 0 };
    keyring.unwrap_period_seed(&SeedRecord { place, id, length_s, seed, created_at_ms: 0 }).map(drop)
}

#[cfg(test)]
mod tests;
