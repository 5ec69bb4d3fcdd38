//! The accounts file as a declaration: how the cluster differs from it, and what makes the cluster equal to it.
//!
//! Differences name accounts and credentials, never a secret. A credential whose secret is the same is taken over as the
//! cluster has it, so a declaration that changes nothing proposes nothing.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use keymoot_audit::{Action, Actor, Event, NodeAudit, Outcome};
use keymoot_cluster::{AccountDetails, account_details};
use keymoot_crypto::{CredentialPlace, Keyring};
use keymoot_model::{Account, AccountId, AccountStatus, Credential, DocumentSettings, Sha1Use};
use keymoot_state as state;
use keymoot_state::{AppliedDeclaration, Command, Response};
use serde::{Deserialize, Serialize};

use crate::accounts_file::{MakeAccountError, make_account};
use crate::changes::change_by_node;
use crate::clock::moment;
use crate::error::ServiceError;
use crate::load_accounts;
use crate::replicated_state::ReplicatedState;

/// How long to wait before a cluster that did not answer is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The most commands in one proposal.
const COMMANDS_MAX: usize = 500;

/// An account of a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeclaredAccount {
    /// The account, its signing keys wrapped.
    pub account: Account,
    /// The ends of credentials by their names: milliseconds since 1970 UTC, or none.
    pub expires_at_ms: Vec<(String, Option<u64>)>,
    /// What `udrm-sha1` signatures open; `None` leaves that as it is.
    pub sha1: Option<Sha1Use>,
    /// What holds of its SPEKE and CPIX documents; `None` leaves that as it is.
    pub documents: Option<DocumentSettings>,
}

/// A declaration that was read, with its secrets.
#[derive(Clone, Debug)]
pub struct Declaration {
    /// Which version it is; later ones have higher numbers.
    pub revision: Option<u64>,
    /// SHA-256 of its file.
    pub digest: [u8; 32],
    pub accounts: Vec<DeclaredAccount>,
}

/// One way in which the cluster differs from a declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub account: AccountId,
    pub what: Differs,
}

/// What is different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Differs {
    /// The account is added.
    Added,
    /// These settings change.
    Settings(Vec<String>),
    /// The credential is added.
    CredentialAdded(String),
    /// The credential gets another secret, scope or scheme.
    CredentialChanged(String),
    /// The credential gets another end.
    CredentialExpires(String, u64),
    /// The credential is not in the declaration: it is revoked.
    CredentialRevoked(String),
    /// The credential was revoked, and stays so.
    StaysRevoked(String),
    /// The account is not in the declaration: it is left alone.
    LeftOut,
    /// The credential has an end no more.
    CredentialNeverExpires(String),
}

/// What became of the accounts file of a node that started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstAccounts {
    /// The cluster never had an account, and now has those of the file.
    Applied,
    /// The cluster has its accounts, and they are those of the file.
    Equal,
    /// The cluster has its accounts, and they differ from the file: nothing was changed.
    Differs(usize),
}

/// Why a node could not look at its accounts file.
#[derive(Debug, thiserror::Error)]
pub enum DeclarationError {
    /// The file cannot be used.
    #[error(transparent)]
    Make(#[from] MakeAccountError),
}

impl Declaration {
    /// What the cluster remembers of it once it is applied.
    fn applied(&self) -> AppliedDeclaration {
        AppliedDeclaration { revision: self.revision.unwrap_or_default(), digest: self.digest }
    }

    /// Reads a file, with the key files that it names.
    ///
    /// # Errors
    /// [`MakeAccountError`], naming account and credential.
    pub fn load(path: &Path, keyring: &Keyring) -> Result<Self, MakeAccountError> {
        let file = load_accounts(path)?;
        let mut accounts = Vec::with_capacity(file.accounts.len());
        for entry in &file.accounts {
            let account = make_account(entry, keyring)?;
            accounts.push(DeclaredAccount {
                account,
                expires_at_ms: entry.ends().collect(),
                sha1: entry.sha1,
                documents: entry.documents.clone(),
            });
        }
        Ok(Self { revision: file.revision, digest: file.digest, accounts })
    }

    /// How the cluster differs from it, and the accounts to be stored so that it does not.
    pub fn compare(
        &self,
        details: &AccountDetails,
        keyring: &Keyring,
    ) -> (Vec<Difference>, Vec<DeclaredAccount>) {
        let (mut differences, mut changed) = (Vec::new(), Vec::new());
        for declared in &self.accounts {
            let known = details.accounts.iter().find(|(account, _)| account.id == declared.account.id);
            let mut wanted = declared.clone();
            let found = wanted.compare(known, keyring);
            if found.iter().any(Differs::is_change) {
                changed.push(wanted);
            }
            let account = &declared.account.id;
            differences.extend(found.into_iter().map(|what| Difference { account: account.clone(), what }));
        }
        let ids: Vec<&AccountId> = self.accounts.iter().map(|declared| &declared.account.id).collect();
        differences.extend(left_out(&ids, details));
        (differences, changed)
    }
}

/// Why a declaration of this revision does not apply to an account, though its file's text is the one that was
/// applied: a key file has changed.
///
/// # Errors
/// The text names the credentials, and says what to do.
pub fn refuse_changed_secrets(
    revision: u64,
    id: &AccountId,
    known: Option<&AccountStatus>,
    differs: &[Differs],
) -> Result<(), String> {
    let is_applied = known.is_some_and(|status| status.declared_revision == Some(revision));
    let changed = differs.iter().filter_map(|differs| match differs {
        Differs::CredentialChanged(name) if is_applied => Some(name.as_str()),
        _ => None,
    });
    let changed: Vec<&str> = changed.collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(format!(
        "revision {revision} of account {id} is applied with another secret of {}: raise the revision of the file with \
         every change of a key file, too",
        changed.join(", ")
    ))
}

/// The accounts of the cluster that a declaration of these does not name.
pub fn left_out(declared: &[&AccountId], details: &AccountDetails) -> Vec<Difference> {
    let ids = details.accounts.iter().map(|(account, _)| &account.id);
    let ids = ids.filter(|id| !declared.contains(id));
    ids.map(|id| Difference { account: id.clone(), what: Differs::LeftOut }).collect()
}

impl DeclaredAccount {
    /// The command that stores it as the declaration of this revision has it.
    pub(crate) fn into_command(self, revision: u64) -> Command {
        let end = |(name, end): (String, Option<u64>)| (name, end.unwrap_or(state::NEVER_ENDS_MS));
        let expires_at_ms = self.expires_at_ms.into_iter().map(end).collect();
        Command::DeclareAccount {
            revision,
            account: Box::new(self.account),
            expires_at_ms,
            sha1: self.sha1,
            documents: self.documents.map(Box::new),
        }
    }

    /// How the account that is there differs. Credentials that are the same become those that are there.
    pub(crate) fn compare(
        &mut self,
        known: Option<&(Account, AccountStatus)>,
        keyring: &Keyring,
    ) -> Vec<Differs> {
        match known {
            None => added(self),
            Some(known) => differs(known, self, keyring),
        }
    }
}

fn added(wanted: &DeclaredAccount) -> Vec<Differs> {
    let credentials = wanted.account.credentials.iter();
    let credentials = credentials.map(|credential| Differs::CredentialAdded(credential.name.clone()));
    std::iter::once(Differs::Added).chain(credentials).collect()
}

/// How an account differs. In `wanted`, credentials that are the same become those that are there.
fn differs(
    (account, status): &(Account, AccountStatus),
    wanted: &mut DeclaredAccount,
    keyring: &Keyring,
) -> Vec<Differs> {
    let mut found = Vec::new();
    let mut settings = settings_that_differ(account, &wanted.account);
    if wanted.sha1.is_some_and(|sha1| sha1 != status.sha1) {
        settings.push("sha1".to_owned());
    }
    if wanted.documents.as_ref().is_some_and(|documents| *documents != status.documents) {
        settings.push("documents".to_owned());
    }
    if !settings.is_empty() {
        found.push(Differs::Settings(settings));
    }
    for credential in &mut wanted.account.credentials {
        let name = credential.name.clone();
        match account.credentials.iter().find(|known| known.name == name) {
            Some(known) if is_same(known, credential, &account.id, keyring) => known.clone_into(credential),
            Some(_) => found.push(Differs::CredentialChanged(name)),
            None if status.has_revoked(&name) => found.push(Differs::StaysRevoked(name)),
            None => found.push(Differs::CredentialAdded(name)),
        }
    }
    for (name, end) in &wanted.expires_at_ms {
        if status.has_revoked(name) || status.expires_at_ms.get(name) == end.as_ref() {
            continue;
        }
        found.push(match *end {
            Some(end) => Differs::CredentialExpires(name.clone(), end),
            None => Differs::CredentialNeverExpires(name.clone()),
        });
    }
    let names = |name: &str| wanted.account.credentials.iter().any(|credential| credential.name == *name);
    let gone = account.credentials.iter().filter(|known| !names(&known.name));
    found.extend(gone.map(|known| Differs::CredentialRevoked(known.name.clone())));
    found
}

fn settings_that_differ(is: &Account, wanted: &Account) -> Vec<String> {
    [
        ("ca_systems", is.ca_systems != wanted.ca_systems),
        ("allow_list", is.allow_list != wanted.allow_list),
        ("consistency", is.consistency != wanted.consistency),
        ("response_shape", is.response_shape != wanted.response_shape),
        ("license_url", is.license_url != wanted.license_url),
        ("playready_la_url", is.playready_la_url != wanted.playready_la_url),
        ("minimum_scheme", is.minimum_scheme != wanted.minimum_scheme),
        ("allow_unsigned_packagers", is.allow_unsigned_packagers != wanted.allow_unsigned_packagers),
    ]
    .into_iter()
    .filter(|(_, differs)| *differs)
    .map(|(name, _)| name.to_owned())
    .collect()
}

/// Whether two credentials are the same, however their secrets are wrapped.
fn is_same(a: &Credential, b: &Credential, account: &AccountId, keyring: &Keyring) -> bool {
    let open = |credential: &Credential| {
        let place = CredentialPlace { account, name: &credential.name, scope: credential.scope };
        keyring.unwrap_credential(&credential.secret, place).ok()
    };
    (&a.name, a.scope, a.scheme) == (&b.name, b.scope, b.scheme)
        && open(a).zip(open(b)).is_some_and(|(a, b)| a.expose() == b.expose())
}

impl Differs {
    /// Whether applying the declaration changes it.
    pub const fn is_change(&self) -> bool {
        !matches!(self, Self::StaysRevoked(_) | Self::LeftOut)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, what } = self;
        match what {
            Differs::Added => write!(f, "+ account {account}"),
            Differs::Settings(names) => write!(f, "~ account {account}: {}", names.join(", ")),
            Differs::CredentialAdded(name) => write!(f, "+ account {account}, credential {name}"),
            Differs::CredentialChanged(name) => {
                write!(f, "~ account {account}, credential {name}: another secret, scope or scheme")
            }
            Differs::CredentialExpires(name, at_ms) => {
                write!(f, "~ account {account}, credential {name}: ends at {}", moment(*at_ms))
            }
            Differs::CredentialNeverExpires(name) => {
                write!(f, "~ account {account}, credential {name}: ends no more")
            }
            Differs::CredentialRevoked(name) => {
                write!(f, "- account {account}, credential {name}: is revoked, for it is not in the file")
            }
            Differs::StaysRevoked(name) => {
                write!(
                    f,
                    "! account {account}, credential {name}: was revoked and stays so; take it out of the file"
                )
            }
            Differs::LeftOut => write!(f, "  account {account}: is not in the file, and is left alone"),
        }
    }
}

/// Applies the accounts file of a node to a cluster that never had an account, and waits for a quorum as long as it
/// takes. What a cluster with accounts has is changed by an operator's command alone: the file of a node that starts may
/// be older. What is added is told to the audit first.
///
/// # Errors
/// [`DeclarationError`] when the file or a key file cannot be used; nothing was changed then.
pub async fn begin_accounts(
    cluster: &impl ReplicatedState,
    keyring: &Keyring,
    audit: &NodeAudit,
    file: &Path,
) -> Result<FirstAccounts, DeclarationError> {
    let first = FirstStart { cluster, audit, file, declaration: &Declaration::load(file, keyring)? };
    loop {
        match first.look(keyring).await {
            Ok(outcome) => return Ok(outcome),
            Err(error) => {
                tracing::info!(%error, "the accounts file waits for the cluster");
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

/// A node that starts with an accounts file.
struct FirstStart<'f, R> {
    cluster: &'f R,
    audit: &'f NodeAudit,
    file: &'f Path,
    declaration: &'f Declaration,
}

impl<R: ReplicatedState> FirstStart<'_, R> {
    async fn look(&self, keyring: &Keyring) -> Result<FirstAccounts, ServiceError> {
        self.cluster.read_barrier().await?;
        let details = account_details(self.cluster.state(), None)?;
        let is_own = |applied: AppliedDeclaration| applied == self.declaration.applied();
        let is_first = details.accounts.is_empty() && details.declaration.is_none_or(is_own);
        if is_first && !self.declaration.accounts.is_empty() {
            return self.begin().await;
        }
        let (differences, _) = self.declaration.compare(&details, keyring);
        Ok(match differences.len() {
            0 => FirstAccounts::Equal,
            count => FirstAccounts::Differs(count),
        })
    }

    async fn begin(&self) -> Result<FirstAccounts, ServiceError> {
        let AppliedDeclaration { revision, digest } = self.declaration.applied();
        let accounts = self.declaration.accounts.iter().cloned();
        // While the cluster is being founded there is no level yet: the proposal is refused, and tried again.
        if let Some(identity) = state::cluster_identity(self.cluster.state())?
            && identity.feature_level < state::ACCOUNT_LIFE
        {
            // A cluster from before knows no declarations and no ends of credentials.
            let put = |DeclaredAccount { account, .. }| Command::PutAccount { account, if_absent: true };
            self.add(accounts.map(|declared| (declared.account.id.clone(), put(declared)))).await?;
            return Ok(FirstAccounts::Applied);
        }
        // By itself, because of two nodes with different files the second one shall change nothing.
        let object = format!("file={} revision={revision}", self.file.display());
        let declare = (self.event(None, object), Command::DeclareAccounts { revision, digest });
        let declared = change_by_node(self.cluster, self.audit, vec![declare]).await?;
        if declared.iter().any(|response| matches!(response, Response::AccountRefused(_))) {
            return Ok(FirstAccounts::Differs(self.declaration.accounts.len()));
        }
        self.add(accounts.map(|declared| (declared.account.id.clone(), declared.into_command(revision))))
            .await?;
        Ok(FirstAccounts::Applied)
    }

    /// Adds accounts, each with an event of its own.
    async fn add(&self, accounts: impl Iterator<Item = (AccountId, Command)>) -> Result<(), ServiceError> {
        let object = format!("file={}", self.file.display());
        let mut told: Vec<(Event, Command)> =
            accounts.map(|(id, command)| (self.event(Some(id), object.clone()), command)).collect();
        while !told.is_empty() {
            let rest = told.split_off(told.len().min(COMMANDS_MAX));
            change_by_node(self.cluster, self.audit, std::mem::replace(&mut told, rest)).await?;
        }
        Ok(())
    }

    fn event(&self, account: Option<AccountId>, object: String) -> Event {
        let event = self.audit.event(Action::ACCOUNTS_DECLARE, Outcome::Done, Actor::SYSTEM);
        Event { account, object: Some(object), ..event }
    }
}
