//! Crypto periods: one seed for all of them, and keys that were supplied for some.

use keymoot_state::{Command, NewKey};

use super::*;

fn range(first: u32, count: u32) -> PeriodRange {
    PeriodRange::new(60, first, count).unwrap()
}

#[tokio::test]
async fn two_nodes_that_make_a_track_rotate_derive_the_same_keys() {
    let world = World::new();
    let there = world.keys_elsewhere().periods(&world.grant, &film(1), range(7, 3)).await.unwrap();
    let here = world.keys().periods(&world.grant, &film(1), range(8, 3)).await.unwrap();
    for (a, b) in there[1..].iter().zip(&here) {
        assert_eq!((a.kid, a.period), (b.kid, b.period));
        assert!(a.key.same_as(&b.key));
    }
}

#[tokio::test]
async fn periods_that_have_a_seed_cost_no_write() {
    let world = World::new();
    world.keys().periods(&world.grant, &film(1), range(0, 1)).await.unwrap();
    let before = world.here().log().len();
    let last = world.keys().periods(&world.grant, &film(1), range(u32::MAX, 1)).await.unwrap();
    assert_eq!(last[0].period.index, u32::MAX, "a seed reaches to the last period there is");
    assert_eq!(world.here().log().len(), before);
}

#[tokio::test]
async fn a_track_that_does_not_rotate_is_not_made_to_by_reading() {
    let world = World::new();
    assert!(world.keys().known_periods(&world.grant, &film(1), range(0, 1)).await.unwrap().is_none());
    assert!(world.here().log().is_empty());
}

#[tokio::test]
async fn a_supplied_key_wins_in_its_period_only() {
    let world = World::new();
    let period = Period { length_s: 60, index: 8 };
    world.keys().supply_period(&world.grant, &film(1), period, own_key(1)).await.unwrap();
    let served = world.keys().periods(&world.grant, &film(1), range(7, 3)).await.unwrap();
    assert_eq!(served.iter().map(|one| one.supplied).collect::<Vec<_>>(), [false, true, false]);
    assert!(served[1].key.same_as(&own_key(1).1));
}

#[tokio::test]
async fn a_supplied_period_whose_answer_was_lost_is_answered_as_before() {
    let world = World::new();
    let period = Period { length_s: 60, index: 8 };
    world.here().next_proposal_is(Fault::AnswerLost);
    let lost = world.keys().supply_period(&world.grant, &film(1), period, own_key(1)).await;
    assert!(is_no_quorum(&lost));
    let again = world.keys().supply_period(&world.grant, &film(1), period, own_key(1)).await.unwrap();
    assert_eq!(again.version, 1);
    let next = Period { length_s: 60, index: 9 };
    let elsewhere = world.keys().supply_period(&world.grant, &film(1), next, own_key(1)).await;
    assert!(conflict(elsewhere).contains("already names another key"));
}

#[tokio::test]
async fn a_derived_key_id_cannot_be_supplied() {
    let world = World::new();
    let served = world.keys().periods(&world.grant, &film(1), range(0, 1)).await.unwrap();
    let supplied = Some((served[0].kid, own_key(1).1));
    let refused = world.keys().create(&world.grant, &film(2), supplied).await;
    assert!(conflict(refused).contains("names a derived key"));
}

#[tokio::test]
async fn a_new_seed_changes_derived_keys_and_no_supplied_one_and_answers_with_its_own() {
    let world = World::new();
    let old = world.keys_elsewhere().periods(&world.grant, &film(1), range(7, 3)).await.unwrap();
    let period = Period { length_s: 60, index: 8 };
    world.keys_elsewhere().supply_period(&world.grant, &film(1), period, own_key(1)).await.unwrap();
    let (content, track) = (film(1), TrackName::default_track());
    let seed = |range| WantedKeys::NewSeed { track: &track, length_s: 60, range };
    let ingest =
        async |range| world.keys().ingest(&world.grant, Ingestion::of(&content, seed(range))).await.unwrap();
    let new = ingest(Some(range(7, 3))).await.into_periods().unwrap();
    assert_eq!(new.iter().map(|one| one.supplied).collect::<Vec<_>>(), [false, true, false]);
    assert!(new[1].key.same_as(&own_key(1).1) && new[0].kid != old[0].kid && new[2].kid != old[2].kid);
    let read = world.keys().periods(&world.grant, &film(1), range(9, 1)).await.unwrap();
    assert_eq!(read[0].kid, new[2].kid);
    assert!(ingest(None).await.into_periods().unwrap().is_empty());
}

#[tokio::test]
async fn a_seed_beyond_the_last_version_of_a_track_is_a_conflict() {
    let world = World::new();
    let first = world.new_key(&film(1), 1, Kid::from_bytes([0; 16]));
    // Versions are counted on as if so many keys had been there.
    let all = (1..=u32::from(u16::MAX)).map(|version| {
        let kid = Kid::from_bytes(u128::from(version).to_be_bytes());
        Command::ReplaceKey(NewKey { version, kid, ..first.clone() })
    });
    world.here().propose(all.collect()).await.unwrap();
    let refused = world.keys().periods(&world.grant, &film(1), range(0, 1)).await;
    assert!(conflict(refused).contains("has used up its versions"));
}
