//! Secrets are rewrapped while other commands interleave.

use keymoot_model::{MasterKeyId, Wrapped};

use super::apply::{Memory, new_key, place, proposal};
use crate::*;

fn anew(old: &Wrapped) -> Wrapped {
    Wrapped { master_key: MasterKeyId("mk2".into()), ..old.clone() }
}

fn rewrap(version: u32, old: &Wrapped) -> Command {
    let place = SecretPlace::ContentKey { place: place(1), version };
    Command::Rewrap { place, old: old.clone(), new: anew(old) }
}

#[test]
fn current_and_old_keys_are_exchanged_once_and_keep_everything_else() {
    let mut memory = Memory::default();
    let (first, second) = (new_key(1, 1, 1), new_key(1, 2, 2));
    memory.run(&[proposal(1, vec![Command::CreateKey(first.clone()), Command::ReplaceKey(second.clone())])]);
    let before = current_key(&memory, &place(1)).unwrap().unwrap();
    let commands = vec![rewrap(1, &first.key), rewrap(2, &second.key)];
    assert_eq!(memory.run(&[proposal(2, commands.clone())]), [[Response::Done, Response::Done]]);
    assert_eq!(memory.run(&[proposal(3, commands)]), [[Response::Unchanged, Response::Unchanged]]);
    let after = current_key(&memory, &place(1)).unwrap().unwrap();
    assert_eq!(after, keymoot_model::KeyRecord { key: anew(&before.key), ..before });
    assert_eq!(key_by_kid(&memory, &place(1).account, &first.kid).unwrap().unwrap().key, anew(&first.key));
}

#[test]
fn what_was_replaced_or_deleted_meanwhile_stays_so() {
    let mut memory = Memory::default();
    let (first, second) = (new_key(1, 1, 1), new_key(1, 2, 2));
    memory.run(&[proposal(1, vec![Command::CreateKey(first.clone())])]);
    // Opened as version 1, then replaced: the version is found among the old ones.
    memory.run(&[proposal(2, vec![Command::ReplaceKey(second.clone())])]);
    assert_eq!(memory.run(&[proposal(3, vec![rewrap(1, &first.key)])]), [[Response::Done]]);
    assert_eq!(current_key(&memory, &place(1)).unwrap().unwrap().key, second.key);
    // Opened, then deleted: the rewrap does not bring it back.
    memory.run(&[proposal(4, vec![Command::DeleteKey { place: place(1), through: 2, kid: None }])]);
    assert_eq!(memory.run(&[proposal(5, vec![rewrap(2, &second.key)])]), [[Response::Unchanged]]);
    assert_eq!(current_key(&memory, &place(1)).unwrap(), None);
    // A key with the same version but another wrapping is another secret, and is not replaced.
    memory.run(&[proposal(6, vec![Command::CreateKey(new_key(1, 3, 3))])]);
    assert_eq!(memory.run(&[proposal(7, vec![rewrap(3, &second.key)])]), [[Response::Unchanged]]);
}

#[test]
fn every_other_secret_is_exchanged_where_it_stands() {
    let mut memory = Memory::default();
    let old = new_key(1, 1, 1).key;
    let identity = ClusterIdentity { cluster: "c".into(), keyring_check: old.clone(), feature_level: 1 };
    let found = vec![
        Command::Found(identity),
        Command::PutServerSecret { secret: old.clone() },
        Command::FoundKidKey { key: old.clone() },
        Command::CreateSeed(super::rotation::new_seed(1, 1, 1)),
    ];
    let seeded = memory.run(&[proposal(1, found)]);
    let Response::Seed(seed) = &seeded[0][3] else { panic!("{seeded:?}") };
    let command = |place, old: &Wrapped| Command::Rewrap { place, old: old.clone(), new: anew(old) };
    let commands = vec![
        command(SecretPlace::Check, &old),
        command(SecretPlace::ServerSecret, &old),
        command(SecretPlace::KidKey, &old),
        command(SecretPlace::Seed(seed.id), &seed.seed),
    ];
    assert_eq!(memory.run(&[proposal(2, commands)]), [vec![Response::Done; 4]]);
    assert_eq!(cluster_identity(&memory).unwrap().unwrap().keyring_check, anew(&old));
    assert_eq!(server_secret(&memory).unwrap(), Some(anew(&old)));
    assert_eq!(kid_key(&memory).unwrap(), Some(anew(&old)));
    assert_eq!(crate::query::seed(&memory, seed.id).unwrap().unwrap().seed, anew(&seed.seed));
}
