//! How fresh what is read is.

use super::*;

#[tokio::test]
async fn a_linearizable_read_sees_what_was_made_elsewhere() {
    let world = World::new();
    let made = world.keys_elsewhere().create(&world.grant, &film(1), None).await.unwrap();
    let read = world.keys().read(&world.grant, &film(1)).await.unwrap().unwrap();
    assert_eq!(read.kid, made.kid);
    assert_eq!(world.here().barriers(), 1);
}

#[tokio::test]
async fn an_account_that_reads_locally_asks_no_quorum() {
    let world = World::reading(Consistency::Local);
    world.keys_elsewhere().create(&world.grant, &film(1), None).await.unwrap();
    assert!(world.keys().read(&world.grant, &film(1)).await.unwrap().is_none(), "not applied here yet");
    world.keys().create(&world.grant, &film(2), None).await.unwrap();
    world.here().lose_quorum();
    assert!(world.keys().read(&world.grant, &film(1)).await.unwrap().is_some());
    assert!(world.keys().create(&world.grant, &film(2), None).await.is_ok(), "what is there is read");
    assert_eq!(world.here().barriers(), 0);
}

#[tokio::test]
async fn a_license_of_an_account_that_reads_locally_looks_for_a_young_key_once_more() {
    let world = World::reading(Consistency::Local);
    let made = world.keys_elsewhere().create(&world.grant, &film(1), None).await.unwrap();
    let found = world.keys().of_content(&world.grant, &film(1), &[made.kid]).await.unwrap();
    assert_eq!((found.len(), world.here().barriers()), (1, 1));
    world.here().lose_quorum();
    let kids = [made.kid, own_key(9).0];
    let found = world.keys().of_content(&world.grant, &film(1), &kids).await.unwrap();
    assert_eq!(found.len(), 1, "players go on with what is known");
    let none = world.keys().of_content(&world.grant, &film(1), &[own_key(9).0]).await;
    assert!(is_no_quorum(&none));
}

#[tokio::test]
async fn a_license_gets_keys_of_its_content_only() {
    let world = World::new();
    let own = world.keys().create(&world.grant, &film(1), None).await.unwrap();
    let other = world.keys().create(&world.grant, &film(2), None).await.unwrap();
    let found = world.keys().of_content(&world.grant, &film(1), &[own.kid, other.kid]).await.unwrap();
    assert_eq!(found.iter().map(|key| key.kid).collect::<Vec<_>>(), [own.kid]);
}

#[tokio::test]
async fn what_was_deleted_elsewhere_is_not_answered() {
    let world = World::new();
    let old = world.keys().create(&world.grant, &film(1), None).await.unwrap();
    assert_eq!(world.keys_elsewhere().delete(&world.grant, &film(1), None).await.unwrap(), 1);
    let new = world.keys().create(&world.grant, &film(1), None).await.unwrap();
    assert_ne!(new.kid, old.kid);
    assert_eq!(new.version, 2, "versions are not counted anew");
}
