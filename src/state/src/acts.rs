//! What can take two persons: the kinds that an operator names, and the acts with all that matters of them.

use serde::{Deserialize, Serialize};

use keymoot_model::{AccountId, OperatorName, Role};

/// A kind of act that the cluster can demand two persons for. Variants are append-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActKind {
    /// Export of an account's keys.
    ExportKeys,
    /// Removal of an account that has keys.
    RemoveAccount,
    /// Removal of a master key from the nodes' files.
    RemoveMasterKey,
    /// Replacement of the cluster's certificate authority.
    ReplaceAuthority,
}

/// The text names no kind of act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no act that can take two persons; there are export-keys, remove-account, remove-master-key and \
     replace-authority"
)]
pub struct ActKindError(String);

impl ActKind {
    /// Every kind.
    pub const ALL: [Self; 4] =
        [Self::ExportKeys, Self::RemoveAccount, Self::RemoveMasterKey, Self::ReplaceAuthority];

    /// Its name, as people write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExportKeys => "export-keys",
            Self::RemoveAccount => "remove-account",
            Self::RemoveMasterKey => "remove-master-key",
            Self::ReplaceAuthority => "replace-authority",
        }
    }
}

impl std::str::FromStr for ActKind {
    type Err = ActKindError;

    fn from_str(text: &str) -> Result<Self, ActKindError> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| ActKindError(text.to_owned()))
    }
}

/// What takes two persons. While it is anything, so does what could make one person two: see [`Act`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwoPersonRule {
    /// Sorted, each once. None: one person may do everything.
    pub acts: Vec<ActKind>,
    /// For how long an approval can be given and used after it was asked for.
    pub within_s: u64,
}

impl TwoPersonRule {
    /// How long an approval is waited for where nobody says: a day.
    pub const WITHIN_S: u64 = 24 * 3600;
    /// The shortest and the longest time.
    pub const WITHIN_S_RANGE: std::ops::RangeInclusive<u64> = 60..=7 * 24 * 3600;

    /// The same rule as it is stored.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.acts.sort_unstable();
        self.acts.dedup();
        self
    }

    /// Whether one person could do more, or for longer, than before.
    pub(super) fn is_weaker_than(&self, before: &Self) -> bool {
        !before.acts.is_empty()
            && (before.acts.iter().any(|act| !self.acts.contains(act)) || self.within_s > before.within_s)
    }
}

impl Default for TwoPersonRule {
    fn default() -> Self {
        Self { acts: Vec::new(), within_s: Self::WITHIN_S }
    }
}

/// What two persons agree on, with all that matters of it. Variants are append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    OpenExport {
        account: AccountId,
        for_s: u32,
    },
    RemoveAccount {
        id: AccountId,
    },
    RemoveMasterKey {
        id: String,
    },
    ReplaceAuthority,
    /// Makes less take two persons.
    SetRule(TwoPersonRule),
    AddOperator {
        name: OperatorName,
        roles: Vec<Role>,
    },
    SetRoles {
        name: OperatorName,
        roles: Vec<Role>,
    },
    /// Gives somebody else another certificate, whose key is of whoever asks.
    AddCertificate {
        name: OperatorName,
    },
    /// Gives somebody else another password.
    SetPassword {
        name: OperatorName,
    },
    /// Vouches for an operator in place of a keyring.
    Acknowledge {
        name: OperatorName,
    },
}

impl Act {
    /// The roles by which an operator may approve it: any of them is enough.
    pub const fn approvers(&self) -> &'static [Role] {
        match self {
            Self::RemoveAccount { .. } => &[Role::KeyAdmin, Role::Security],
            _ => &[Role::Security],
        }
    }

    /// Who alone may use the approval: what it leaves open is for the one who asked to say.
    pub(super) const fn is_personal(&self) -> bool {
        matches!(self, Self::AddOperator { .. } | Self::AddCertificate { .. } | Self::SetPassword { .. })
    }
}

impl std::fmt::Display for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let listed = |roles: &[Role]| roles.iter().map(|role| role.name()).collect::<Vec<_>>().join(",");
        match self {
            Self::OpenExport { account, for_s } => {
                write!(f, "export keys of account {account} for {for_s} s")
            }
            Self::RemoveAccount { id } => write!(f, "remove account {id}"),
            Self::RemoveMasterKey { id } => write!(f, "remove master key {id}"),
            Self::ReplaceAuthority => f.write_str("replace the certificate authority"),
            Self::SetRule(rule) if rule.acts.is_empty() => f.write_str("let one person do everything"),
            Self::SetRule(rule) => {
                let acts: Vec<&str> = rule.acts.iter().map(|act| act.name()).collect();
                write!(f, "take two persons only for {}, within {} s", acts.join(","), rule.within_s)
            }
            Self::AddOperator { name, roles } => write!(f, "add operator {name} as {}", listed(roles)),
            Self::SetRoles { name, roles } => write!(f, "make operator {name} {}", listed(roles)),
            Self::AddCertificate { name } => write!(f, "give operator {name} a certificate"),
            Self::SetPassword { name } => write!(f, "give operator {name} a password"),
            Self::Acknowledge { name } => write!(f, "acknowledge operator {name}"),
        }
    }
}
