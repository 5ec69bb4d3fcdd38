//! Which account a packager's partner id stands for.

use keymoot_model::AccountId;
use serde::{Deserialize, Serialize};

/// `PID=ACCOUNT`: the account that a packager's partner id stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackagerAccount {
    /// The partner id, as it stands in the packager's paths.
    pub pid: String,
    pub account: AccountId,
}

/// The text is no `PID=ACCOUNT`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an entry is PID=ACCOUNT, a partner id of letters and digits and the account it stands for")]
pub struct PackagerAccountError;

impl TryFrom<String> for PackagerAccount {
    type Error = PackagerAccountError;
    fn try_from(text: String) -> Result<Self, PackagerAccountError> {
        let (pid, account) = text.split_once('=').ok_or(PackagerAccountError)?;
        let pid_fits = (1..=64).contains(&pid.len()) && pid.chars().all(|c| c.is_ascii_alphanumeric());
        match AccountId::new(account) {
            Ok(account) if pid_fits => Ok(Self { pid: pid.to_owned(), account }),
            _ => Err(PackagerAccountError),
        }
    }
}

impl From<PackagerAccount> for String {
    fn from(entry: PackagerAccount) -> String {
        format!("{}={}", entry.pid, entry.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partner_and_its_account_stand_around_an_equals_sign() {
        let read = PackagerAccount::try_from("437=demo".to_owned()).unwrap();
        assert_eq!((read.pid.as_str(), read.account.as_str()), ("437", "demo"));
        assert_eq!(String::from(read), "437=demo");
        for bad in ["", "437", "=demo", "437=", "4/7=demo", "437=a b", "a=b=c"] {
            assert!(PackagerAccount::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
