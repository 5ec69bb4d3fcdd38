//! What accounts put up with because they are from before it was refused: named for those who can change it, and
//! nothing is changed for them.

use keymoot_model::{Account, AccountStatus, Credential, Scheme, Sha1Use};
use keymoot_state as state;
use keymoot_state::{StateError, Tables};

/// The accounts that a notice names; of more, it says how many there are.
const NAMED_MAX: usize = 5;

/// How much longer the ciphertext of a secret is than the secret: its tag.
const TAG_BYTES: usize = 16;

/// The shortest signing key that is taken nowadays.
const SIGNING_KEY_BYTES_MIN: usize = 16;

/// The notices, each as `problem; remedy`.
///
/// # Errors
/// When the tables cannot be read.
pub(crate) fn account_notices<T: Tables>(tables: &T) -> Result<Vec<String>, StateError> {
    // Before that level nobody could change it.
    let level = state::cluster_identity(tables)?.map_or(0, |identity| identity.feature_level);
    let (mut unbound, mut short) = (Vec::new(), Vec::new());
    for account in state::accounts(tables)? {
        let status = state::account_status(tables, &account.id)?;
        if level >= state::ACCOUNT_LIFE && is_unbound(&account, &status) {
            unbound.push(account.id.to_string());
        }
        let keys = account.credentials.iter().filter(|credential| is_short(credential));
        short.extend(keys.map(|credential| format!("{} of {}", credential.name, account.id)));
    }
    let unbound = named(&unbound).map(|accounts| {
        format!(
            "accounts {accounts}: a udrm-sha1 signature opens whatever its data could mean, by any method, as before \
             feature level 4; keymoot account set ID --sha1 bound, once the clients name the method in what they sign \
             (docs/authentication.md)"
        )
    });
    let short = named(&short).map(|keys| {
        format!(
            "accounts have signing keys of less than {SIGNING_KEY_BYTES_MIN} bytes, which can be guessed: {keys}; \
             keymoot account credential add ID NAME:SCOPE:SCHEME:FILE with a longer one, then keymoot account \
             credential revoke ID NAME"
        )
    });
    Ok(unbound.into_iter().chain(short).collect())
}

fn is_unbound(account: &Account, status: &AccountStatus) -> bool {
    status.sha1 == Sha1Use::Unbound
        && account.credentials.iter().any(|credential| credential.scheme == Scheme::UdrmSha1)
}

fn is_short(credential: &Credential) -> bool {
    credential.scheme == Scheme::UdrmSha1
        && credential.secret.ciphertext.len() < TAG_BYTES + SIGNING_KEY_BYTES_MIN
}

/// The first of them and how many more there are; none for none.
fn named(all: &[String]) -> Option<String> {
    let first: Vec<&str> = all.iter().take(NAMED_MAX).map(String::as_str).collect();
    let more = all.len().checked_sub(first.len()).filter(|more| *more > 0);
    let more = more.map_or_else(String::new, |more| format!(" and {more} more"));
    (!first.is_empty()).then(|| format!("{}{more}", first.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_are_named_and_the_others_counted() {
        let all: Vec<String> = (1..=7).map(|number| format!("a{number}")).collect();
        assert_eq!(named(&all).unwrap(), "a1, a2, a3, a4, a5 and 2 more");
        assert_eq!(named(&all[..2]).unwrap(), "a1, a2");
        assert_eq!(named(&[]), None);
    }
}
