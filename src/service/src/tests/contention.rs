//! Keys that several want to make at once, and answers that get lost.

use std::collections::BTreeSet;

use keymoot_state::Command;

use super::*;

#[tokio::test]
async fn two_creates_of_one_content_get_one_key() {
    let world = World::new();
    let first = world.keys_elsewhere().create(&world.grant, &film(1), None).await.unwrap();
    // The other node has not heard of it: the state decides.
    let second = world.keys().create(&world.grant, &film(1), None).await.unwrap();
    assert_eq!((second.kid, second.version), (first.kid, 1));
    assert!(second.key.same_as(&first.key));
}

#[tokio::test]
async fn a_create_whose_answer_was_lost_is_answered_as_before() {
    let world = World::new();
    world.here().next_proposal_is(Fault::AnswerLost);
    let lost = world.keys().create(&world.grant, &film(1), Some(own_key(1))).await;
    assert!(is_no_quorum(&lost), "{lost:?}");
    let again = world.keys().create(&world.grant, &film(1), Some(own_key(1))).await.unwrap();
    assert_eq!((again.kid, again.version), (own_key(1).0, 1));
    assert_eq!(world.here().log().len(), 1, "the second one only read");
}

#[tokio::test]
async fn a_replacement_whose_answer_was_lost_is_answered_as_before() {
    let world = World::new();
    world.keys().create(&world.grant, &film(1), None).await.unwrap();
    world.here().next_proposal_is(Fault::AnswerLost);
    assert!(is_no_quorum(&world.keys().replace(&world.grant, &film(1), Some(own_key(2))).await));
    let again = world.keys().replace(&world.grant, &film(1), Some(own_key(2))).await.unwrap();
    assert_eq!((again.kid, again.version), (own_key(2).0, 2), "it is no third version");
}

#[tokio::test]
async fn a_kid_that_names_a_key_elsewhere_is_a_conflict() {
    let world = World::new();
    world.keys_elsewhere().create(&world.grant, &film(1), Some(own_key(1))).await.unwrap();
    let (kid, _) = own_key(1);
    let other_content = world.keys().create(&world.grant, &film(2), Some(own_key(1))).await;
    assert!(conflict(other_content).contains("already names another key"));
    let other_key = world.keys().replace(&world.grant, &film(1), Some((kid, own_key(9).1))).await;
    assert!(conflict(other_key).contains("already names another key"));
    assert!(world.keys().read(&world.grant, &film(2)).await.unwrap().is_none());
}

#[tokio::test]
async fn whoever_loses_a_race_for_a_version_tries_the_next() {
    let world = World::new();
    let elsewhere = world.keys_elsewhere();
    for _ in 0..2 {
        elsewhere.replace(&world.grant, &film(1), None).await.unwrap();
    }
    let third = world.keys().replace(&world.grant, &film(1), None).await.unwrap();
    assert_eq!(third.version, 3);
    assert_eq!(world.here().log().len(), 4, "one proposal was too early");
    let read = world.keys().read(&world.grant, &film(1)).await.unwrap().unwrap();
    assert!(read.key.same_as(&third.key), "it is wrapped for the version it got");
}

#[tokio::test]
async fn whoever_loses_every_race_is_told_so() {
    let world = World::new();
    let rivals = 200;
    for version in 1..=rivals {
        let other = Kid::from_bytes(u128::from(version).to_be_bytes());
        let taken = Command::ReplaceKey(world.new_key(&film(1), version, other));
        world.here().next_proposal_is(Fault::After(vec![taken]));
    }
    let outcome = world.keys().replace(&world.grant, &film(1), None).await;
    let Err(ServiceError::Contended { attempts }) = outcome else { panic!("{outcome:?}") };
    assert!((5..rivals).contains(&attempts), "{attempts} attempts within the deadline");
}

#[tokio::test]
async fn all_who_replace_one_key_at_once_on_a_node_get_a_version_each() {
    let world = World::new();
    let keys = world.keys();
    let content = film(1);
    let replacements = (0..64).map(|_| {
        let (keys, grant, content) = (keys.clone(), &world.grant, &content);
        async move { keys.replace(grant, content, None).await.unwrap().version }
    });
    let versions: BTreeSet<u32> = futures::future::join_all(replacements).await.into_iter().collect();
    assert_eq!(versions, (1..=64).collect());
    let proposals = world.here().log().len();
    assert!(proposals <= 64 + 2 * 63, "{proposals} proposals for 64 keys");
}

#[tokio::test]
async fn without_a_quorum_nothing_changes_and_the_caller_is_told() {
    let world = World::new();
    world.here().lose_quorum();
    assert!(is_no_quorum(&world.keys().create(&world.grant, &film(1), None).await));
    assert!(is_no_quorum(&world.keys().delete(&world.grant, &film(1), None).await));
    assert!(is_no_quorum(&world.keys().read(&world.grant, &film(1)).await));
    assert!(world.here().log().is_empty());
}

#[tokio::test]
async fn an_import_is_stored_once_however_often_it_is_brought() {
    let world = World::new();
    let keys = world.keys();
    let bring = async |change, byte| keys.change(&world.grant, &film(1), change, Some(own_key(byte))).await;
    let first = bring(KeyChange::Import, 1).await.unwrap();
    assert_eq!(bring(KeyChange::Import, 1).await.unwrap().version, first.version);
    assert!(conflict(bring(KeyChange::Import, 2).await).contains("another key"));
    assert_eq!(bring(KeyChange::Replace, 2).await.unwrap().version, 2);
    assert_eq!(bring(KeyChange::Import, 1).await.unwrap().version, 1, "an old version is known, too");
}
