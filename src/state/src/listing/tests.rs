use super::*;
use crate::tests::apply::{Memory, new_key, place, proposal};
use crate::tests::rotation::new_seed;
use crate::{Command, NewKey};
use keymoot_model::{Kid, Period};

/// Three contents of account 167: one key, three versions with one for a period, one seed.
fn filled() -> Memory {
    let mut memory = Memory::default();
    let period = Period { length_s: 10, index: 4 };
    let foreign = NewKey {
        place: KeyPath { account: AccountId::new("1670").unwrap(), ..place(1) },
        ..new_key(1, 1, 9)
    };
    memory.run(&[proposal(
        1,
        vec![
            Command::CreateKey(new_key(1, 1, 1)),
            Command::CreateKey(new_key(2, 1, 2)),
            Command::ReplaceKey(new_key(2, 2, 3)),
            Command::SupplyPeriodKey { key: new_key(2, 3, 4), period },
            Command::CreateSeed(new_seed(3, 1, 10)),
            Command::CreateKey(new_key(4, 1, 5)),
            Command::DeleteKey { place: place(4), through: 1, kid: None },
            Command::CreateKey(foreign),
        ],
    )]);
    memory
}

fn seen(page: &KeysPage) -> Vec<(String, u32, bool)> {
    let of = |key: &ListedKey| (key.record.place.content.to_string(), key.record.version, key.is_current);
    page.keys.iter().map(of).collect()
}

#[test]
fn pages_of_any_size_hold_every_key_of_the_account_once() {
    let (memory, account) = (filled(), AccountId::new("167").unwrap());
    let film = |number: u8| format!("film-{number}");
    let all = [(film(1), 1, true), (film(2), 1, false), (film(2), 2, true), (film(2), 3, false)];
    for keys_max in 1..6 {
        let (mut found, mut seeds, mut after) = (Vec::new(), 0, None);
        for _ in 0..12 {
            let page = keys_page(&memory, &account, None, after.as_deref(), keys_max).unwrap();
            assert!(page.keys.len() <= keys_max);
            found.extend(seen(&page));
            seeds += page.schedules.len();
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!((found.as_slice(), seeds, after), (&all[..], 1, None), "pages of {keys_max}");
    }
}

#[test]
fn one_content_can_be_listed_and_a_mark_from_elsewhere_shows_nobody_elses_keys() {
    let (memory, account) = (filled(), AccountId::new("167").unwrap());
    let content = place(2).content;
    let page = keys_page(&memory, &account, Some(&content), None, 100).unwrap();
    assert_eq!((page.keys.len(), page.next), (3, None));
    let foreign = KeyPath { account: AccountId::new("1670").unwrap(), ..place(1) };
    for mark in [version_key(&foreign, 0), b"nonsense".to_vec(), Vec::new(), vec![0xff; 40]] {
        let page = keys_page(&memory, &account, None, Some(&mark), 100).unwrap();
        let own = page.keys.iter().all(|key| key.record.place.account == account);
        assert!(own && page.keys.iter().all(|key| key.record.kid != Kid::from_bytes([9; 16])), "{mark:?}");
    }
}

#[test]
fn a_listing_for_operators_has_versions_and_schedules_and_no_key() {
    let (memory, account) = (filled(), AccountId::new("167").unwrap());
    let (mut seen, mut after) = (Vec::new(), None);
    for _ in 0..9 {
        let page = crate::contents_page(&memory, &account, None, after.as_deref(), 2).unwrap();
        seen.extend(
            page.versions
                .into_iter()
                .map(|it| (it.content.to_string(), it.version, it.kid.is_some(), it.rotates_s)),
        );
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let film =
        |number: u8, version, has_kid, rotates_s| (format!("film-{number}"), version, has_kid, rotates_s);
    let expected = [
        film(1, 1, true, None),
        film(2, 1, true, None),
        film(2, 2, true, None),
        film(2, 3, true, None),
        film(3, 1, false, Some(10)),
    ];
    assert_eq!(seen, expected);
}
