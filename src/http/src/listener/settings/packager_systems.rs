//! Which DRM systems a packager is told of.
//!
//! Some packagers fail on the data of a system that they do not expect: in HLS by Common Encryption, on the version 1
//! box of the Common system.

use keymoot_drm::System;
use keymoot_model::AccountId;
use serde::{Deserialize, Serialize};

/// `WHOSE=SYSTEM+SYSTEM`: whose answers name which systems.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackagerSystems {
    whose: SystemsOf,
    systems: Vec<System>,
}

/// Whose answers an entry is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemsOf {
    /// Of all that no other entry is about.
    All,
    /// Of requests with this word in their path.
    Word(String),
    /// Of an account.
    Account(AccountId),
}

/// The text is no such entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no entry: write all=SYSTEMS, word:WORD=SYSTEMS or account:ACCOUNT=SYSTEMS, SYSTEMS being none or some of \
     widevine, playready and common with + between"
)]
pub struct PackagerSystemsError(String);

/// The systems of a packager's answer, by their names here.
const SYSTEMS: [(&str, System); 3] =
    [("widevine", System::Widevine), ("playready", System::PlayReady), ("common", System::Common)];

impl PackagerSystems {
    /// What packagers of HLS by Common Encryption can read.
    pub(super) fn of_cenchls() -> Self {
        let systems = vec![System::Widevine, System::PlayReady];
        Self { whose: SystemsOf::Word("cenchls".to_owned()), systems }
    }

    /// The systems of an answer by these entries: an account's own go before a word's, and these before all; the last
    /// of several counts. `None` when no entry is about it.
    pub fn choose<'e>(entries: &'e [Self], word: &str, account: &AccountId) -> Option<&'e [System]> {
        let rank = |entry: &Self| match &entry.whose {
            SystemsOf::Account(own) if own == account => Some(2),
            SystemsOf::Word(own) if own.eq_ignore_ascii_case(word) => Some(1),
            SystemsOf::All => Some(0),
            _ => None,
        };
        let ranked = entries.iter().filter_map(|entry| Some((rank(entry)?, entry)));
        ranked.max_by_key(|(rank, _)| *rank).map(|(_, entry)| entry.systems.as_slice())
    }
}

impl TryFrom<String> for PackagerSystems {
    type Error = PackagerSystemsError;

    fn try_from(text: String) -> Result<Self, PackagerSystemsError> {
        let read = || {
            let (whose, names) = text.split_once('=')?;
            let whose = match whose.split_once(':') {
                None if whose == "all" => SystemsOf::All,
                Some(("word", word)) if is_word(word) => SystemsOf::Word(word.to_owned()),
                Some(("account", account)) => SystemsOf::Account(AccountId::new(account).ok()?),
                _ => return None,
            };
            if names == "none" {
                return Some(Self { whose, systems: Vec::new() });
            }
            let known = |name: &str| SYSTEMS.iter().find(|(own, _)| *own == name).map(|(_, system)| *system);
            Some(Self { whose, systems: names.split('+').map(known).collect::<Option<_>>()? })
        };
        read().ok_or_else(|| PackagerSystemsError(text.clone()))
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

impl From<PackagerSystems> for String {
    fn from(entry: PackagerSystems) -> String {
        let whose = match &entry.whose {
            SystemsOf::All => "all".to_owned(),
            SystemsOf::Word(word) => format!("word:{word}"),
            SystemsOf::Account(account) => format!("account:{account}"),
        };
        let name =
            |system: &System| SYSTEMS.iter().find(|(_, own)| own == system).map_or("none", |(name, _)| *name);
        let names: Vec<&str> = entry.systems.iter().map(name).collect();
        format!("{whose}={}", if names.is_empty() { "none".to_owned() } else { names.join("+") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> PackagerSystems {
        PackagerSystems::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn an_entry_says_whose_answers_name_which_systems() {
        for text in ["all=widevine+playready+common", "word:cenchls=widevine+playready", "account:demo=none"]
        {
            assert_eq!(String::from(read(text)), text);
        }
        assert_eq!(read("word:cenchls=widevine+playready"), PackagerSystems::of_cenchls());
        for bad in [
            "",
            "all",
            "all=",
            "all=widevine+",
            "word:=none",
            "word:a/b=none",
            "edash=none",
            "account:a b=none",
        ] {
            let said = PackagerSystems::try_from(bad.to_owned()).unwrap_err().to_string();
            assert!(said.contains("word:WORD=SYSTEMS"), "{bad}");
        }
    }

    #[test]
    fn an_account_goes_before_a_word_and_a_word_before_all() {
        let demo = AccountId::new("demo").unwrap();
        let entries = [
            read("account:demo=common"),
            read("all=none"),
            read("word:cenchls=widevine"),
            read("all=playready"),
        ];
        let chosen = |word: &str, account: &str| {
            PackagerSystems::choose(&entries, word, &AccountId::new(account).unwrap()).unwrap().to_vec()
        };
        assert_eq!(chosen("cenchls", "demo"), [System::Common]);
        assert_eq!(chosen("CENCHLS", "other"), [System::Widevine]);
        assert_eq!(chosen("edash", "other"), [System::PlayReady], "the last of several counts");
        assert_eq!(PackagerSystems::choose(&[], "edash", &demo), None);
    }
}
