//! Operators: people with roles, and the credentials that prove them. Known from feature level 4 on.
//!
//! A name is given once: who is revoked stays on record. A certificate belongs to one operator for ever, and
//! what it says of its holder counts for nothing: name and roles stand here.

use serde::{Deserialize, Serialize};

use keymoot_model::{Fingerprint, NodeId, OperatorName, Role};

use super::acts::Act;
use super::approvals;
use super::layout::{META_OPERATOR, META_OPERATOR_CERTIFICATE, operator_certificate_key, operator_key};
use super::response::Response;
use super::second_person;
use super::sign_in;
use super::table::Table;
use super::tables::{StateError, Tables, read};
use super::transaction::Transaction;

/// How many operators a cluster has at most, revoked ones counted.
pub const OPERATORS_MAX: usize = 256;
/// How many credentials an operator has at most.
pub const OPERATOR_CREDENTIALS_MAX: usize = 16;
/// How long a credential stays on record after its end: 30 days.
const KEPT_S: u64 = 30 * 24 * 3600;

/// An operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorRecord {
    pub name: OperatorName,
    /// What the operator may do: sorted, each once.
    pub roles: Vec<Role>,
    pub credentials: Vec<OperatorCredential>,
    /// Milliseconds since 1970 UTC.
    pub added_at_ms: u64,
    /// Time of revocation, in milliseconds since 1970 UTC: nothing of the operator's opens anything from then.
    pub revoked_at_ms: Option<u64>,
    pub voucher: Voucher,
}

/// On whose word an operator was added. Variants are append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Voucher {
    /// An operator who may.
    Operator(OperatorName),
    /// Whoever made the cluster.
    Founder,
    /// Whoever proved a master key to this node. It stands in the status until an operator acknowledges it.
    Keyring {
        node: NodeId,
        /// Who acknowledged it.
        acknowledged_by: Option<OperatorName>,
    },
}

/// What proves an operator. Variants are append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorCredential {
    /// A client certificate of the cluster's authority.
    Certificate(OperatorCertificate),
}

/// A client certificate of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorCertificate {
    /// The digest that names it.
    pub fingerprint: Fingerprint,
    /// Its end: seconds since 1970 UTC.
    pub expires_at_s: u64,
    /// Milliseconds since 1970 UTC.
    pub issued_at_ms: u64,
    /// Time of revocation; milliseconds since 1970 UTC.
    pub revoked_at_ms: Option<u64>,
}

/// One change of the operators. Variants are append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OperatorChange {
    /// Adds an operator with a first certificate.
    Add {
        name: OperatorName,
        roles: Vec<Role>,
        fingerprint: Fingerprint,
        /// The certificate's end: seconds since 1970 UTC.
        expires_at_s: u64,
        voucher: Voucher,
    },
    /// Gives an operator these roles in place of all others.
    SetRoles { name: OperatorName, roles: Vec<Role> },
    /// Adds a certificate to an operator.
    AddCertificate {
        name: OperatorName,
        /// Who asked for it.
        by: OperatorName,
        fingerprint: Fingerprint,
        /// The certificate's end: seconds since 1970 UTC.
        expires_at_s: u64,
    },
    /// Revokes one certificate.
    RevokeCertificate { name: OperatorName, fingerprint: Fingerprint },
    /// Revokes an operator with every credential.
    Revoke { name: OperatorName },
    /// Notes that an operator knows of another one whom a keyring vouched for.
    Acknowledge { name: OperatorName, by: OperatorName },
}

impl OperatorChange {
    /// Whose record it changes.
    pub fn name(&self) -> &OperatorName {
        match self {
            Self::Add { name, .. }
            | Self::SetRoles { name, .. }
            | Self::AddCertificate { name, .. }
            | Self::RevokeCertificate { name, .. }
            | Self::Revoke { name }
            | Self::Acknowledge { name, .. } => name,
        }
    }

    /// What it does, in a word that is safe to log.
    pub const fn verb(&self) -> &'static str {
        match self {
            Self::Add { .. } => "add-operator",
            Self::SetRoles { .. } => "set-operator-roles",
            Self::AddCertificate { .. } => "add-operator-certificate",
            Self::RevokeCertificate { .. } => "revoke-operator-certificate",
            Self::Revoke { .. } => "revoke-operator",
            Self::Acknowledge { .. } => "acknowledge-operator",
        }
    }
}

/// Why a change was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum OperatorRefusal {
    /// The name was given before.
    #[error(
        "an operator of this name exists, or existed and was revoked; names are given once: take another"
    )]
    NameTaken,
    /// There is no such operator.
    #[error("there is no operator of this name; keymoot operator list shows those there are")]
    Unknown,
    /// The operator was revoked.
    #[error("the operator was revoked; add one of another name")]
    Revoked,
    /// There are as many as there can be.
    #[error("the cluster has {OPERATORS_MAX} operators, and has room for no more")]
    TooMany,
    /// There are as many credentials as there can be.
    #[error(
        "the operator has {OPERATOR_CREDENTIALS_MAX} certificates that ended less than 30 days ago or not yet, and \
         has room for no more"
    )]
    TooManyCertificates,
    /// The certificate is an operator's already.
    #[error("the certificate is registered already")]
    CertificateKnown,
    /// The operator has no such certificate.
    #[error("the operator has no certificate of this fingerprint; keymoot operator list shows them")]
    NoCertificate,
    /// Nobody set a password, or none with a secret for codes.
    #[error("the operator has no password yet; keymoot operator password sets one")]
    NoPassword,
    /// The password was changed since it was looked at.
    #[error("the password was changed meanwhile; sign in with the new one")]
    PasswordChanged,
    /// The code, or a later one, opened a session before.
    #[error("the one-time code was used already; wait for the next one")]
    CodeUsed,
}

/// Applies a change.
pub(super) fn change<T: Tables>(
    run: &mut Transaction<'_, T>,
    change: &OperatorChange,
    now_ms: u64,
) -> Result<Response, StateError> {
    let stored: Option<OperatorRecord> = run.get(Table::Meta, &operator_key(change.name()))?;
    if let Some((act, by)) = act_of(change, stored.as_ref())
        && let Some(held) = second_person::hold(run, &act, by, now_ms)?
    {
        return Ok(held);
    }
    match (change, stored) {
        (OperatorChange::Add { .. }, Some(_)) => refused(OperatorRefusal::NameTaken),
        (OperatorChange::Add { name, roles, fingerprint, expires_at_s, voucher }, None) => {
            let record = OperatorRecord {
                name: name.clone(),
                roles: sorted_roles(roles),
                credentials: Vec::new(),
                added_at_ms: now_ms,
                revoked_at_ms: None,
                voucher: voucher.clone(),
            };
            if run.page(Table::Meta, META_OPERATOR, &[], OPERATORS_MAX)?.len() >= OPERATORS_MAX {
                return refused(OperatorRefusal::TooMany);
            }
            add_certificate(run, record, *fingerprint, *expires_at_s, now_ms)
        }
        (_, None) => refused(OperatorRefusal::Unknown),
        (OperatorChange::Revoke { .. }, Some(record)) if record.revoked_at_ms.is_some() => {
            Ok(Response::Unchanged)
        }
        (_, Some(record)) if record.revoked_at_ms.is_some() => refused(OperatorRefusal::Revoked),
        (OperatorChange::SetRoles { roles, .. }, Some(record)) => {
            let roles = sorted_roles(roles);
            if roles == record.roles {
                return Ok(Response::Unchanged);
            }
            store(run, &OperatorRecord { roles, ..record })
        }
        (OperatorChange::AddCertificate { fingerprint, expires_at_s, .. }, Some(record)) => {
            add_certificate(run, record, *fingerprint, *expires_at_s, now_ms)
        }
        (OperatorChange::RevokeCertificate { fingerprint, .. }, Some(record)) => {
            revoke_certificate(run, record, fingerprint, now_ms)
        }
        (OperatorChange::Revoke { .. }, Some(record)) => {
            sign_in::forget_operator(run, &record.name)?;
            store(run, &OperatorRecord { revoked_at_ms: Some(now_ms), ..record })
        }
        (OperatorChange::Acknowledge { by, .. }, Some(record)) => match record.voucher {
            Voucher::Keyring { node, acknowledged_by: None } => {
                let voucher = Voucher::Keyring { node, acknowledged_by: Some(by.clone()) };
                store(run, &OperatorRecord { voucher, ..record })
            }
            _ => Ok(Response::Unchanged),
        },
    }
}

/// The act that a change is, where it could make one person two, with who does it. A keyring's word needs no second
/// person: it is nobody's second person itself for a while.
fn act_of<'a>(
    change: &'a OperatorChange,
    stored: Option<&OperatorRecord>,
) -> Option<(Act, Option<&'a OperatorName>)> {
    let is_active = stored.is_some_and(|record| record.revoked_at_ms.is_none());
    match change {
        OperatorChange::Add { name, roles, voucher: Voucher::Operator(by), .. } if stored.is_none() => {
            Some((Act::AddOperator { name: name.clone(), roles: sorted_roles(roles) }, Some(by)))
        }
        OperatorChange::SetRoles { name, roles } if is_active => {
            Some((Act::SetRoles { name: name.clone(), roles: sorted_roles(roles) }, None))
        }
        OperatorChange::AddCertificate { name, by, .. } if is_active && name != by => {
            Some((Act::AddCertificate { name: name.clone() }, Some(by)))
        }
        OperatorChange::Acknowledge { name, .. } if is_active => {
            Some((Act::Acknowledge { name: name.clone() }, None))
        }
        _ => None,
    }
}

fn refused(refusal: OperatorRefusal) -> Result<Response, StateError> {
    Ok(Response::OperatorRefused(refusal))
}

fn store<T: Tables>(run: &mut Transaction<'_, T>, record: &OperatorRecord) -> Result<Response, StateError> {
    run.put(Table::Meta, &operator_key(&record.name), record)?;
    Ok(Response::Done)
}

/// Roles as they are stored: sorted, each once.
pub fn sorted_roles(roles: &[Role]) -> Vec<Role> {
    let mut roles = roles.to_vec();
    roles.sort_unstable();
    roles.dedup();
    roles
}

fn add_certificate<T: Tables>(
    run: &mut Transaction<'_, T>,
    mut record: OperatorRecord,
    fingerprint: Fingerprint,
    expires_at_s: u64,
    now_ms: u64,
) -> Result<Response, StateError> {
    let key = operator_certificate_key(&fingerprint);
    if run.get::<OperatorName>(Table::Meta, &key)?.is_some() {
        return refused(OperatorRefusal::CertificateKnown);
    }
    let mut kept = Vec::with_capacity(record.credentials.len() + 1);
    for credential in record.credentials {
        let OperatorCredential::Certificate(own) = &credential;
        if own.expires_at_s.saturating_add(KEPT_S) < now_ms / 1000 {
            run.delete(Table::Meta, &operator_certificate_key(&own.fingerprint))?;
        } else {
            kept.push(credential);
        }
    }
    if kept.len() >= OPERATOR_CREDENTIALS_MAX {
        return refused(OperatorRefusal::TooManyCertificates);
    }
    let issued_at_ms = now_ms;
    kept.push(OperatorCredential::Certificate(OperatorCertificate {
        fingerprint,
        expires_at_s,
        issued_at_ms,
        revoked_at_ms: None,
    }));
    run.put(Table::Meta, &key, &record.name)?;
    record.credentials = kept;
    store(run, &record)
}

fn revoke_certificate<T: Tables>(
    run: &mut Transaction<'_, T>,
    mut record: OperatorRecord,
    fingerprint: &Fingerprint,
    now_ms: u64,
) -> Result<Response, StateError> {
    for credential in &mut record.credentials {
        let OperatorCredential::Certificate(own) = credential;
        if own.fingerprint == *fingerprint {
            if own.revoked_at_ms.is_some() {
                return Ok(Response::Unchanged);
            }
            own.revoked_at_ms = Some(now_ms);
            return store(run, &record);
        }
    }
    refused(OperatorRefusal::NoCertificate)
}

/// Every operator, by name.
///
/// # Errors
/// When the tables cannot be read.
pub fn operators<T: Tables>(tables: &T) -> Result<Vec<OperatorRecord>, StateError> {
    let pairs = tables.prefix(Table::Meta, META_OPERATOR)?;
    pairs.iter().map(|(_, value)| read(tables, Table::Meta, value)).collect()
}

/// The operator whose certificate this is, with it; revoked or not.
///
/// # Errors
/// When the tables cannot be read.
pub fn operator_of_certificate<T: Tables>(
    tables: &T,
    fingerprint: &Fingerprint,
) -> Result<Option<(OperatorRecord, OperatorCertificate)>, StateError> {
    let run = Transaction::new(tables);
    let Some(name) = run.get::<OperatorName>(Table::Meta, &operator_certificate_key(fingerprint))? else {
        return Ok(None);
    };
    let dangling = || StateError::Dangling { table: Table::Meta.name() };
    let record: OperatorRecord = run.get(Table::Meta, &operator_key(&name))?.ok_or_else(dangling)?;
    let own = record.credentials.iter().find_map(|credential| {
        let OperatorCredential::Certificate(own) = credential;
        (own.fingerprint == *fingerprint).then(|| own.clone())
    });
    Ok(own.map(|own| (record, own)))
}

/// Forgets every operator of a state that a backup brings back: some may have been revoked since. So are their passwords
/// and sessions, and what they asked for and approved.
///
/// # Errors
/// When the tables cannot be read.
pub fn forget_operators<T: Tables>(run: &mut Transaction<'_, T>) -> Result<(), StateError> {
    for prefix in [META_OPERATOR, META_OPERATOR_CERTIFICATE] {
        for (key, _) in run.prefix(Table::Meta, prefix)? {
            run.delete(Table::Meta, &key)?;
        }
    }
    sign_in::forget(run)?;
    approvals::forget(run)
}
