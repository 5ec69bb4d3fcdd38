//! The names of records, for people who compare two states. Never a secret, not even a wrapped one.

use std::fmt;

use serde::Serialize;

use super::approvals::ApprovalRecord;
use super::documents::{DocumentSeedRecord, NotedKid};
use super::layout::{
    META_APPROVAL, META_AUTHORITY, META_DECLARATION, META_IDENTITY, META_KID_KEY, META_OPERATOR,
    META_SERVER_SECRET, META_SIGN_IN, META_TWO_PERSONS, account_of_status, content_of, kid_of, pop_text,
};
use super::operators::OperatorRecord;
use super::record::{JoinTokenRecord, KidRecord, NodeRecord, PolicyEntry};
use super::table::Table;
use super::tables::StateError;
use super::transaction::decode;

/// What a record is of. Empty fields do not apply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordName {
    /// The kind: `key`, `account`, `policy` and so on.
    pub kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The name of a policy, the id of a node or token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl RecordName {
    fn of_account(kind: &'static str, account: &str) -> Self {
        Self { kind, account: Some(account.to_owned()), ..Self::default() }
    }

    fn of_cluster(kind: &'static str) -> Self {
        Self { kind, ..Self::default() }
    }

    /// The name of a record whose key begins with an account and a content.
    fn of_content(kind: &'static str, table: Table, key: &[u8]) -> Result<Self, StateError> {
        let (account, content) = content_of(key).ok_or(StateError::Key { table: table.name() })?;
        Ok(Self { content: Some(content.to_owned()), ..Self::of_account(kind, account) })
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        let fields = [
            ("account", &self.account),
            ("content", &self.content),
            ("track", &self.track),
            ("version", &self.version.map(|version| version.to_string())),
            ("KID", &self.kid),
            ("", &self.name),
        ];
        for (label, value) in fields {
            match (label, value) {
                (_, None) => {}
                ("", Some(value)) => write!(f, " {value}")?,
                (label, Some(value)) => write!(f, " {label} {value}")?,
            }
        }
        Ok(())
    }
}

/// The name of a record; `None` for one that follows from others, or that only the cluster's own work needs.
///
/// # Errors
/// When the record does not decode.
pub fn record_name(table: Table, key: &[u8], value: &[u8]) -> Result<Option<RecordName>, StateError> {
    let unreadable = || StateError::Key { table: table.name() };
    let text = || std::str::from_utf8(key).map_err(|_| unreadable());
    let name = match table {
        Table::Kids => {
            let KidRecord { place, version } = decode(table, value)?;
            let kid = kid_of(key).ok_or_else(unreadable)?;
            RecordName {
                kind: "key",
                account: Some(place.account.as_str().to_owned()),
                content: Some(place.content.as_str().to_owned()),
                track: Some(place.track.as_str().to_owned()),
                version: Some(version.into()),
                kid: Some(kid.to_string()),
                name: None,
            }
        }
        Table::Seeds => {
            let seed: keymoot_model::SeedRecord = decode(table, value)?;
            RecordName {
                kind: "seed of a rotating track",
                account: Some(seed.place.account.as_str().to_owned()),
                content: Some(seed.place.content.as_str().to_owned()),
                track: Some(seed.place.track.as_str().to_owned()),
                version: Some(seed.id.version.into()),
                ..RecordName::default()
            }
        }
        Table::Accounts => RecordName::of_account("account", text()?),
        Table::Policies => {
            let PolicyEntry { current, .. } = decode(table, value)?;
            let (account, name) = policy_of(key).ok_or_else(unreadable)?;
            let version = current.map(|record| record.version);
            RecordName { version, name: Some(name), ..RecordName::of_account("policy", &account) }
        }
        Table::DefaultPolicies => RecordName::of_account("default policy", text()?),
        Table::ContentPolicies => RecordName::of_content("attached policy", table, key)?,
        Table::Auxiliary => RecordName::of_content("auxiliary data", table, key)?,
        Table::Rentals => RecordName::of_content("start of a rental", table, key)?,
        Table::Nodes => {
            let node: NodeRecord = decode(table, value)?;
            RecordName { name: Some(node.id.to_string()), ..RecordName::of_cluster("node") }
        }
        Table::Documents => RecordName::of_content("content of documents", table, key)?,
        Table::DocumentKids => {
            let NotedKid { content, version, .. } = decode(table, value)?;
            let (account, _) = pop_text(key).ok_or_else(unreadable)?;
            let kid = kid_of(key).ok_or_else(unreadable)?;
            RecordName {
                content: Some(content.as_str().to_owned()),
                version: Some(version.version.into()),
                kid: Some(kid.to_string()),
                ..RecordName::of_account("key id of documents", account)
            }
        }
        Table::DocumentSeeds => {
            let DocumentSeedRecord { account, number, .. } = decode(table, value)?;
            let version = Some(number.into());
            RecordName { version, ..RecordName::of_account("seed of documents", account.as_str()) }
        }
        Table::JoinTokens => {
            let token: JoinTokenRecord = decode(table, value)?;
            let id = token.id.iter().map(|byte| format!("{byte:02x}")).collect();
            RecordName { name: Some(id), ..RecordName::of_cluster("join token") }
        }
        Table::Meta if key == META_IDENTITY => RecordName::of_cluster("identity of the cluster"),
        Table::Meta if key == META_AUTHORITY => RecordName::of_cluster("certificate authority"),
        Table::Meta if key == META_SERVER_SECRET => RecordName::of_cluster("secret of the servers"),
        Table::Meta if key == META_KID_KEY => RecordName::of_cluster("key of derived key ids"),
        Table::Meta if key == META_DECLARATION => RecordName::of_cluster("declaration of accounts"),
        Table::Meta if account_of_status(key).is_some() => {
            RecordName::of_account("status of an account", account_of_status(key).unwrap_or_default())
        }
        Table::Meta if key.starts_with(META_OPERATOR) => {
            let operator: OperatorRecord = decode(table, value)?;
            RecordName { name: Some(operator.name.to_string()), ..RecordName::of_cluster("operator") }
        }
        Table::Meta if key.starts_with(META_SIGN_IN) => {
            let name = key.strip_prefix(META_SIGN_IN).and_then(|name| std::str::from_utf8(name).ok());
            RecordName { name: name.map(str::to_owned), ..RecordName::of_cluster("password of an operator") }
        }
        Table::Meta if key.starts_with(META_APPROVAL) => {
            let approval: ApprovalRecord = decode(table, value)?;
            RecordName { name: Some(approval.id.to_string()), ..RecordName::of_cluster("approval") }
        }
        Table::Meta if key == META_TWO_PERSONS => RecordName::of_cluster("what takes two persons"),
        Table::Meta
        | Table::Tracks
        | Table::OldKeys
        | Table::Sessions
        | Table::Nonces
        | Table::Contents
        | Table::Schedules
        | Table::Periods
        | Table::PolicyUses
        | Table::Leases
        | Table::DocumentKeys => return Ok(None),
    };
    Ok(Some(name))
}

fn policy_of(key: &[u8]) -> Option<(String, String)> {
    let (account, name) = pop_text(key)?;
    Some((account.to_owned(), std::str::from_utf8(name).ok()?.to_owned()))
}
