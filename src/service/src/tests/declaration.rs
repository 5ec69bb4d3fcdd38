//! The accounts file: applied by itself to a cluster that never had an account, and to no other.

use std::path::PathBuf;

use keymoot_audit::Outcome;
use keymoot_crypto::secret_file;
use keymoot_state as state;
use keymoot_state::Command;

use super::*;
use crate::{Declaration, Differs, FirstAccounts, begin_accounts};
use keymoot_cluster::account_details;

/// A directory with an accounts file that declares account `a` with these credentials, whose keys are told by their names.
fn file(dir: &tempfile::TempDir, revision: u64, credentials: &[&str]) -> PathBuf {
    let mut text = format!("revision = {revision}\n[[account]]\nid = \"a\"\n");
    for name in credentials {
        let key = dir.path().join(name);
        let _ = std::fs::remove_file(&key);
        secret_file::create(&key, format!("{name} is a signing key").as_bytes()).unwrap();
        text += &format!(
            "[[account.credential]]\nname = \"{name}\"\nscope = \"encryption\"\nkey_file = \"{name}\"\n"
        );
    }
    let path = dir.path().join(format!("accounts-{revision}.toml"));
    std::fs::write(&path, text).unwrap();
    path
}

impl World {
    fn credentials(&self) -> Option<Vec<String>> {
        let account = state::account(self.here().state(), &AccountId::new("a").unwrap()).unwrap()?;
        Some(account.credentials.into_iter().map(|credential| credential.name).collect())
    }

    async fn apply(&self, file: &std::path::Path) -> Vec<Differs> {
        let declaration = Declaration::load(file, &self.keyring).unwrap();
        let details = account_details(self.here().state(), None).unwrap();
        let (differences, changed) = declaration.compare(&details, &self.keyring);
        let revision = declaration.revision.unwrap();
        let propose = async |command| self.here().propose_one(command).await.unwrap();
        propose(Command::DeclareAccounts { revision, digest: declaration.digest }).await;
        for declared in changed {
            propose(declared.into_command(revision)).await;
        }
        differences.into_iter().map(|difference| difference.what).collect()
    }
}

#[tokio::test]
async fn a_node_that_starts_with_an_older_file_revives_nothing() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let (old, new) = (file(&dir, 1, &["leaked", "kept"]), file(&dir, 2, &["kept", "fresh"]));
    let audit = world.audit();
    let begin = async |file| begin_accounts(world.here(), &world.keyring, &audit, file).await.unwrap();
    assert_eq!(begin(&old).await, FirstAccounts::Applied);
    assert_eq!(begin(&old).await, FirstAccounts::Equal);
    // What was applied was intended first, the account by its name.
    let told: Vec<_> =
        audit.log.remembered().into_iter().map(|event| (event.outcome, event.intent)).collect();
    let declared = [(Outcome::Intended, None), (Outcome::Done, Some(0))];
    let added = [(Outcome::Intended, None), (Outcome::Done, Some(2))];
    assert_eq!(told, [declared, added].concat());
    assert_eq!(audit.log.remembered()[2].account, Some(AccountId::new("a").unwrap()));
    assert_eq!(begin(&new).await, FirstAccounts::Differs(2), "later files are applied by command");
    let differences = world.apply(&new).await;
    let expected = [Differs::CredentialAdded("fresh".into()), Differs::CredentialRevoked("leaked".into())];
    assert_eq!(differences, expected);
    assert_eq!(world.credentials().unwrap(), ["kept", "fresh"]);
    // The old file, at a start and by command: neither brings the leaked key back.
    assert!(matches!(begin(&old).await, FirstAccounts::Differs(_)));
    world.apply(&old).await;
    assert_eq!(world.credentials().unwrap(), ["kept", "fresh"]);
    let newest = file(&dir, 3, &["kept", "fresh", "leaked"]);
    assert_eq!(world.apply(&newest).await, [Differs::StaysRevoked("leaked".into())]);
    assert_eq!(world.credentials().unwrap(), ["kept", "fresh"]);
    // Nor does a start bring back an account that was the last one.
    world.here().propose_one(Command::DeleteAccount { id: AccountId::new("a").unwrap() }).await.unwrap();
    assert!(matches!(begin(&old).await, FirstAccounts::Differs(_)));
    assert_eq!(world.credentials(), None);
}

#[tokio::test]
async fn a_cluster_with_accounts_keeps_them_whatever_the_file_of_a_node_says() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let put = Command::PutAccount { account: account(Consistency::Local), if_absent: true };
    world.here().propose_one(put).await.unwrap();
    let file = file(&dir, 1, &["key"]);
    let outcome = begin_accounts(world.here(), &world.keyring, &world.audit(), &file).await.unwrap();
    assert_eq!(
        outcome,
        FirstAccounts::Differs(3),
        "an account and a credential are not there, and one is left out"
    );
    assert_eq!(world.credentials(), None);
}

#[tokio::test]
async fn a_key_file_that_was_changed_needs_another_revision_and_never_takes_an_end_away() {
    let (world, dir) = (World::new(), tempfile::tempdir().unwrap());
    let path = file(&dir, 1, &["key"]);
    let with_end = |end: &str| {
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.lines().filter(|line| !line.starts_with("expires_at")).collect::<Vec<_>>().join("\n");
        std::fs::write(&path, format!("{text}\nexpires_at = \"{end}\"\n")).unwrap();
    };
    with_end("2100-01-01T00:00:00Z");
    begin_accounts(world.here(), &world.keyring, &world.audit(), &path).await.unwrap();
    let known = || account_details(world.here().state(), None).unwrap().accounts.remove(0);
    assert_eq!(known().1.expires_at_ms["key"], 4_102_444_800_000);
    // The text is the same, and another secret is in the key file.
    let key = dir.path().join("key");
    std::fs::remove_file(&key).unwrap();
    secret_file::create(&key, b"another signing key").unwrap();
    let before = known();
    let differences = world.apply(&path).await;
    assert_eq!(differences, [Differs::CredentialChanged("key".into())]);
    assert_eq!(known(), before, "it is not stored");
    let refused = |revision| {
        let (account, status) = known();
        crate::refuse_changed_secrets(revision, &account.id, Some(&status), &differences)
    };
    let said = refused(1).unwrap_err();
    assert!(said.contains("key") && said.contains("raise the revision"), "{said}");
    assert_eq!(refused(2), Ok(()));
    let text = std::fs::read_to_string(&path).unwrap().replace("revision = 1", "revision = 2");
    std::fs::write(&path, text).unwrap();
    with_end("never");
    let differences = world.apply(&path).await;
    let changed = Differs::CredentialChanged("key".into());
    assert_eq!(differences, [changed, Differs::CredentialNeverExpires("key".into())]);
    assert!(known().1.expires_at_ms.is_empty() && known() != before);
}
