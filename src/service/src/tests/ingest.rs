//! Ingestions: keys, policy and auxiliary data of a content in one proposal.

use keymoot_model::{Auxiliary, PolicyName};
use keymoot_state::Command;

use super::policies::policy;
use super::*;
use crate::PolicyCondition;

fn auxiliary(super_cas_id: u32) -> Auxiliary {
    Auxiliary { super_cas_id: Some(super_cas_id), ..Auxiliary::default() }
}

impl World {
    async fn with_policy() -> (Self, PolicyName) {
        let world = Self::new();
        world.policies().put(&world.grant, policy("hd", false), PolicyCondition::Always).await.unwrap();
        (world, PolicyName::new("hd").unwrap())
    }

    /// Creates the content's key, with a policy and with auxiliary data.
    async fn ingest(
        &self,
        content: &ContentId,
        name: &PolicyName,
        supplied: Option<(Kid, ContentKey)>,
    ) -> Result<Ingested, ServiceError> {
        let track = TrackName::default_track();
        let wanted = WantedTrack { track: &track, change: KeyChange::Create, supplied };
        let wanted = Ingestion::of(content, WantedKeys::Tracks(vec![wanted]));
        let (policy, auxiliary) = (Some(name), Some(auxiliary(7)));
        self.keys().ingest(&self.grant, Ingestion { policy, auxiliary, ..wanted }).await
    }

    /// What is there of a content: whether a key, the policy's name, and the auxiliary data.
    fn of(&self, content: &ContentId) -> (bool, Option<PolicyName>, Option<Auxiliary>) {
        let (tables, account) = (self.here().state(), &self.grant.account().id);
        let place = ContentTrack::from(content).place(account);
        (
            keymoot_state::current_key(tables, &place).unwrap().is_some(),
            keymoot_state::attached_policy(tables, account, content).unwrap(),
            keymoot_state::auxiliary(tables, account, content).unwrap(),
        )
    }

    /// The commands of the proposals since the log was so long, by their names.
    fn proposed_since(&self, length: usize) -> Vec<Vec<String>> {
        let log = self.here().log();
        let names = |commands: &Vec<Command>| {
            commands.iter().map(|command| command.to_string().split(' ').next().unwrap().to_owned()).collect()
        };
        log[length..].iter().map(names).collect()
    }
}

#[tokio::test]
async fn a_create_with_policy_and_auxiliary_data_is_one_proposal() {
    let (world, name) = World::with_policy().await;
    let ingested = world.ingest(&film(1), &name, None).await.unwrap();
    assert_eq!(ingested.keys.len(), 1);
    assert_eq!(world.proposed_since(1), [["attach-policy", "create-key", "put-auxiliary"]]);
    assert_eq!(world.of(&film(1)), (true, Some(name), Some(auxiliary(7))));
}

#[tokio::test]
async fn an_ingestion_again_changes_nothing() {
    let (world, name) = World::with_policy().await;
    let first = world.ingest(&film(1), &name, Some(own_key(1))).await.unwrap();
    let (seen, length) = (world.of(&film(1)), world.here().log().len());
    let again = world.ingest(&film(1), &name, Some(own_key(1))).await.unwrap();
    assert_eq!(again.keys[0].kid, first.keys[0].kid);
    assert_eq!(world.proposed_since(length), [["put-auxiliary"]]);
    assert_eq!(world.of(&film(1)), seen);
}

#[tokio::test]
async fn an_ingestion_whose_answer_was_lost_is_answered_as_before() {
    let (world, name) = World::with_policy().await;
    world.here().next_proposal_is(Fault::AnswerLost);
    assert!(is_no_quorum(&world.ingest(&film(1), &name, None).await));
    let again = world.ingest(&film(1), &name, None).await.unwrap();
    assert_eq!(again.keys[0].version, 1);
}

#[tokio::test]
async fn of_an_ingestion_that_no_quorum_takes_nothing_is_there() {
    let (world, name) = World::with_policy().await;
    world.here().next_proposal_is(Fault::Refused);
    assert!(is_no_quorum(&world.ingest(&film(1), &name, None).await));
    assert_eq!(world.of(&film(1)), (false, None, None));
}

#[tokio::test]
async fn of_an_ingestion_with_an_unknown_policy_nothing_is_created() {
    let (world, _) = World::with_policy().await;
    let refused = world.ingest(&film(1), &PolicyName::new("uhd").unwrap(), None).await;
    assert!(matches!(refused, Err(ServiceError::UnknownPolicy { .. })));
    assert_eq!(world.here().log().len(), 1, "nothing was proposed");
}

#[tokio::test]
async fn of_an_ingestion_whose_policy_goes_meanwhile_nothing_stays() {
    let (world, name) = World::with_policy().await;
    let (account, condition) = (world.grant.account().id.clone(), PolicyCondition::Always);
    let deletion = Command::DeletePolicy { account, name: name.clone(), condition };
    world.here().next_proposal_is(Fault::After(vec![deletion]));
    let refused = world.ingest(&film(1), &name, Some(own_key(1))).await;
    assert!(matches!(refused, Err(ServiceError::UnknownPolicy { .. })));
    assert_eq!(world.of(&film(1)), (false, None, None));
    assert!(
        world
            .keys()
            .by_kid(&world.grant.account().id, &own_key(1).0, Consistency::Local)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn of_an_ingestion_whose_kid_names_another_key_nothing_is_there() {
    let (world, name) = World::with_policy().await;
    world.keys_elsewhere().create(&world.grant, &film(2), Some(own_key(1))).await.unwrap();
    let length = world.here().log().len();
    let refused = world.ingest(&film(1), &name, Some(own_key(1))).await;
    assert!(conflict(refused).contains("already names another key"));
    assert_eq!(world.here().log().len(), length);
    assert_eq!(world.of(&film(1)), (false, None, None));
}

#[tokio::test]
async fn of_an_ingestion_whose_kid_is_taken_meanwhile_the_policy_stays() {
    let (world, name) = World::with_policy().await;
    let taken = Command::CreateKey(world.new_key(&film(2), 1, own_key(1).0));
    world.here().next_proposal_is(Fault::After(vec![taken]));
    let refused = world.ingest(&film(1), &name, Some(own_key(1))).await;
    assert!(conflict(refused).contains("already names another key"));
    assert_eq!(world.of(&film(1)), (false, Some(name), None));
}

#[tokio::test]
async fn after_a_lost_race_only_the_key_is_proposed_again() {
    let (world, name) = World::with_policy().await;
    let other = world.new_key(&film(1), 1, own_key(2).0);
    let place = other.place.clone();
    let deletion = Command::DeleteKey { place, through: 1, kid: None };
    // The version is gone, and the track has no key nevertheless.
    world.here().next_proposal_is(Fault::After(vec![Command::CreateKey(other), deletion]));
    let ingested = world.ingest(&film(1), &name, None).await.unwrap();
    assert_eq!(ingested.keys[0].version, 2);
    let proposed = world.proposed_since(2);
    assert_eq!(proposed, [vec!["attach-policy", "create-key", "put-auxiliary"], vec!["create-key"]]);
}

#[tokio::test]
async fn tracks_and_their_policy_are_one_proposal() {
    let (world, name) = World::with_policy().await;
    let tracks = ["SD", "HD", "AUDIO"].map(|track| TrackName::new(track).unwrap());
    let wanted = WantedKeys::Tracks(tracks.iter().map(WantedTrack::created).collect());
    let content = film(1);
    let wanted = Ingestion { policy: Some(&name), ..Ingestion::of(&content, wanted) };
    let ingested = world.keys().ingest(&world.grant, wanted).await.unwrap();
    assert_eq!(world.proposed_since(1), [["attach-policy", "create-key", "create-key", "create-key"]]);
    for (track, served) in tracks.iter().zip(&ingested.keys) {
        let read = world.keys().read(&world.grant, ContentTrack::new(&content, track)).await.unwrap();
        assert_eq!(read.unwrap().kid, served.kid);
    }
}

#[tokio::test]
async fn rotating_tracks_and_their_policy_are_one_proposal() {
    let (world, name) = World::with_policy().await;
    // The cluster's key for derived key ids is made once and for ever.
    let range = PeriodRange::new(60, 5, 2).unwrap();
    world.keys().periods(&world.grant, &film(2), range).await.unwrap();
    let (length, content) = (world.here().log().len(), film(1));
    let tracks = ["SD", "HD"].map(|track| TrackName::new(track).unwrap());
    let wanted = WantedKeys::Periods { tracks: tracks.iter().collect(), range };
    let wanted = Ingestion { policy: Some(&name), ..Ingestion::of(&content, wanted) };
    let ingested = world.keys().ingest(&world.grant, wanted).await.unwrap();
    assert_eq!(world.proposed_since(length), [["attach-policy", "create-seed", "create-seed"]]);
    assert_eq!(ingested.periods.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
    assert_ne!(ingested.periods[0][0].kid, ingested.periods[1][0].kid);
}

#[tokio::test]
async fn a_new_seed_and_its_policy_are_one_proposal() {
    let (world, name) = World::with_policy().await;
    let range = PeriodRange::new(60, 5, 2).unwrap();
    world.keys().periods(&world.grant, &film(1), range).await.unwrap();
    let (length, content, track) = (world.here().log().len(), film(1), TrackName::default_track());
    let wanted = WantedKeys::NewSeed { track: &track, length_s: 60, range: Some(range) };
    let wanted = Ingestion { policy: Some(&name), ..Ingestion::of(&content, wanted) };
    world.keys().ingest(&world.grant, wanted).await.unwrap();
    assert_eq!(world.proposed_since(length), [["attach-policy", "replace-seed"]]);
}

#[tokio::test]
async fn a_period_key_with_auxiliary_data_is_one_proposal() {
    let world = World::new();
    let (content, track) = (film(1), TrackName::default_track());
    let period = Period { length_s: 60, index: 5 };
    let keys = WantedKeys::PeriodKey { track: &track, period, own: own_key(1) };
    let wanted = Ingestion { auxiliary: Some(auxiliary(7)), ..Ingestion::of(&content, keys) };
    let ingested = world.keys().ingest(&world.grant, wanted).await.unwrap();
    assert!(ingested.periods[0][0].supplied);
    assert_eq!(world.proposed_since(0), [["supply-period-key", "put-auxiliary"]]);
}

#[tokio::test]
async fn a_content_is_deleted_with_its_auxiliary_data_in_one_proposal() {
    let (world, name) = World::with_policy().await;
    world.ingest(&film(1), &name, None).await.unwrap();
    let length = world.here().log().len();
    assert_eq!(world.keys().delete(&world.grant, &film(1), None).await.unwrap(), 1);
    assert_eq!(world.proposed_since(length), [["put-auxiliary", "delete-key"]]);
    assert_eq!(world.of(&film(1)), (false, Some(name), None), "the policy stays, as before");
}
