//! Whether the accounts file is what the cluster has, which no node applies to a cluster with accounts; and what
//! accounts from before put up with.

use super::finding::Finding;
use crate::cli::operator::{Operator, block_on};
use crate::config::Config;
use keymoot_cluster::{AdminRequest, AdminResponse};
use keymoot_command::Failure;
use keymoot_crypto::Keyring;
use keymoot_service::Declaration;

const CHECK: &str = "accounts.file";

/// What accounts put up with that new ones do not; nothing where the node does not run and so cannot be asked.
pub(super) fn notices(config: &Config) -> Vec<Finding> {
    let asked = Operator::of(config.clone())
        .ok()
        .and_then(|operator| block_on(operator.ask(AdminRequest::Notices)).ok());
    let Some(AdminResponse::Notices(notices)) = asked else { return Vec::new() };
    let of_accounts = notices.iter().filter(|notice| notice.starts_with("accounts "));
    let told = of_accounts.filter_map(|notice| notice.split_once("; "));
    told.map(|(saw, fix)| Finding::warn("accounts.signatures", saw, fix)).collect()
}

/// Nothing where no file is configured, or the node does not run and so cannot be asked.
pub(super) fn check(config: &Config) -> Option<Finding> {
    let path = config.accounts.file.as_ref()?;
    let keyring = Keyring::load(&config.keys.keyring_file).ok()?;
    let declaration = match Declaration::load(path, &keyring) {
        Ok(declaration) => declaration,
        Err(error) => {
            let saw = Failure::usage(error).message().to_owned();
            return Some(Finding::warn(CHECK, saw, "correct what it names, or take the setting away"));
        }
    };
    let operator = Operator::of(config.clone()).ok()?;
    let asked = block_on(operator.ask(AdminRequest::AccountDetails(None))).ok()?;
    let AdminResponse::AccountDetails(details) = asked else { return None };
    let (differences, _) = declaration.compare(&details, &keyring);
    if differences.is_empty() {
        return Some(Finding::ok(CHECK, "the cluster has the accounts of the file"));
    }
    let saw = format!("not applied: the cluster differs from it in {} points", differences.len());
    let fix = format!("if the file is the newer one: keymoot account apply {}", path.display());
    Some(Finding::warn(CHECK, saw, fix))
}
