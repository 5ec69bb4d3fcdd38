//! What a signature of uDRM opens, which covers custom data alone: neither method nor path.
//!
//! By itself such a signature means whatever the data could mean at any endpoint of its scope, for ever.
//! Accounts say how much of that they put up with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What `udrm-sha1` signatures open for an account. Variants are append-only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sha1Use {
    /// All that their scope opens, by any method: what accounts had before feature level 4.
    #[default]
    Unbound,
    /// Policies, bulk requests and exports only where the signed data name the method, and of a policy the
    /// version that is replaced; keys as uDRM has it. What new accounts have.
    Bound,
    /// The same, and no PUT and no DELETE of anything.
    NoChanges,
}

/// The text names none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` says nothing of udrm-sha1; it is unbound, bound or no-changes")]
pub struct Sha1UseError(String);

impl Sha1Use {
    /// All of them, the laxest first.
    pub const ALL: [Self; 3] = [Self::Unbound, Self::Bound, Self::NoChanges];

    /// Its name in files, on the command line and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unbound => "unbound",
            Self::Bound => "bound",
            Self::NoChanges => "no-changes",
        }
    }
}

impl fmt::Display for Sha1Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Sha1Use {
    type Err = Sha1UseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Self::ALL.into_iter().find(|known| known.name() == text);
        named.ok_or_else(|| Sha1UseError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_name_in_files_and_on_the_command_line() {
        for known in Sha1Use::ALL {
            assert_eq!(known.name().parse(), Ok(known));
            assert_eq!(serde_json::to_value(known).unwrap(), known.name());
        }
        assert!("lax".parse::<Sha1Use>().unwrap_err().to_string().contains("no-changes"));
    }
}
