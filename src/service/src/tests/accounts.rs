//! Accounts with their signing keys opened, as authentication asks for them.

use keymoot_auth::AccountDirectory as _;
use keymoot_crypto::{CredentialPlace, SecretBytes};
use keymoot_model::{AccountChange, Credential, MasterKeyId, Scheme, Scope, Wrapped};
use keymoot_state::Command;

use super::*;
use crate::{Accounts, ReplicatedState as _};

impl World {
    fn accounts(&self) -> Accounts<MemoryNode> {
        Accounts::new(self.here().clone(), self.keyring.clone(), keymoot_cluster::UseRegistry::default())
    }

    /// An account with this signing key.
    fn with_key(&self, id: &str, key: &[u8]) -> Account {
        let id = AccountId::new(id).unwrap();
        let (name, scope) = ("key".to_owned(), Scope::Encryption);
        let place = CredentialPlace { account: &id, name: &name, scope };
        let secret = self.keyring.wrap_credential(&SecretBytes::new(key.to_vec()), place).unwrap();
        let credentials =
            vec![Credential { name, scope, scheme: Scheme::UdrmSha1, secret, created_at_ms: 0 }];
        Account { id, credentials, ..account(Consistency::Linearizable) }
    }

    async fn put(&self, node: &MemoryNode, account: Account) {
        node.propose_one(Command::PutAccount { account, if_absent: false }).await.unwrap();
    }
}

fn key_of(accounts: &Accounts<MemoryNode>, id: &str) -> Option<Vec<u8>> {
    let open = accounts.account(&AccountId::new(id).unwrap()).unwrap()?;
    Some(open.keys.first()?.secret.to_vec())
}

#[tokio::test]
async fn an_account_is_opened_once_until_any_account_changes() {
    let world = World::new();
    let accounts = world.accounts();
    world.put(world.here(), world.with_key("a", b"one")).await;
    let id = AccountId::new("a").unwrap();
    let first = accounts.account(&id).unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &accounts.account(&id).unwrap().unwrap()), "it is kept");
    world.put(world.here(), world.with_key("b", b"other")).await;
    assert!(!Arc::ptr_eq(&first, &accounts.account(&id).unwrap().unwrap()), "another account has changed");
    world.put(world.here(), world.with_key("a", b"two")).await;
    assert_eq!(key_of(&accounts, "a").unwrap(), b"two");
}

#[tokio::test]
async fn what_changed_elsewhere_is_seen_after_a_fresh_read() {
    let world = World::new();
    let accounts = world.accounts();
    world.put(world.here(), world.with_key("a", b"one")).await;
    assert_eq!(key_of(&accounts, "a").unwrap(), b"one");
    world.put(&world.nodes[1], world.with_key("a", b"two")).await;
    world.put(&world.nodes[1], world.with_key("b", b"new")).await;
    assert_eq!((key_of(&accounts, "a").unwrap(), key_of(&accounts, "b")), (b"one".to_vec(), None));
    accounts.refresh().await.unwrap();
    assert_eq!(
        (key_of(&accounts, "a").unwrap(), key_of(&accounts, "b").unwrap()),
        (b"two".into(), b"new".into())
    );
}

#[tokio::test]
async fn an_account_that_cannot_be_read_is_no_absent_one() {
    let world = World::new();
    let accounts = world.accounts();
    world.put(world.here(), world.with_key("a", b"one")).await;
    assert!(accounts.account(&AccountId::new("nobody").unwrap()).unwrap().is_none());
    world.here().damage();
    for id in ["a", "nobody"] {
        let unreadable = accounts.account(&AccountId::new(id).unwrap()).err().unwrap();
        assert!(unreadable.0.contains("a checksum is wrong"), "{unreadable:?}");
    }
}

#[tokio::test]
async fn a_credential_that_ended_opens_nothing_and_a_suspended_account_is_said_to_be() {
    let world = World::new();
    let accounts = world.accounts();
    world.put(world.here(), world.with_key("a", b"one")).await;
    let id = AccountId::new("a").unwrap();
    let change = async |change| {
        let command = Command::ChangeAccount { id: id.clone(), change: Box::new(change) };
        world.here().propose_one(command).await.unwrap()
    };
    let ends = |expires_at_ms| AccountChange::ExpireCredential { name: "key".into(), expires_at_ms };
    let soon = super::super::clock::now_ms() + 400;
    change(ends(Some(soon))).await;
    assert_eq!(key_of(&accounts, "a").unwrap(), b"one");
    tokio::time::sleep(std::time::Duration::from_millis(450)).await;
    assert_eq!(key_of(&accounts, "a"), None, "it ended while the account was kept open");
    change(ends(None)).await;
    assert_eq!(key_of(&accounts, "a").unwrap(), b"one");
    change(AccountChange::Suspend).await;
    assert!(accounts.account(&id).unwrap().unwrap().is_suspended);
    change(AccountChange::Resume).await;
    assert!(!accounts.account(&id).unwrap().unwrap().is_suspended);
    change(AccountChange::RevokeCredential { name: "key".into() }).await;
    assert_eq!(key_of(&accounts, "a"), None);
}

#[tokio::test]
async fn a_key_that_does_not_open_is_tried_again_and_the_others_serve() {
    let world = World::new();
    let accounts = world.accounts();
    let mut torn = world.with_key("a", b"one");
    let secret = Wrapped { master_key: MasterKeyId("gone".into()), nonce: [0; 12], ciphertext: vec![0; 32] };
    torn.credentials.push(Credential { name: "torn".into(), secret, ..torn.credentials[0].clone() });
    world.put(world.here(), torn).await;
    let id = AccountId::new("a").unwrap();
    let open = accounts.account(&id).unwrap().unwrap();
    assert_eq!((open.keys.len(), &open.unopened[..]), (1, &[Scope::Encryption][..]));
    assert!(!Arc::ptr_eq(&open, &accounts.account(&id).unwrap().unwrap()), "its master key may have come");
}
