//! The actor answers as the registry does, refuses what does not fit, and says when it is gone.

use actix::Arbiter;
use futures::future::join_all;
use zeroize::Zeroizing;

mod sample;

use super::*;
use sample::Sample;

fn owned(sample: &Sample) -> OwnedContentKeyInfo {
    OwnedContentKeyInfo {
        kid: sample.kid,
        key: Some(Zeroizing::new(sample.key)),
        iv: None,
        content: sample.content.clone(),
        account: sample.account.clone(),
        track: sample.track.clone(),
        scheme: sample.scheme,
        period: None,
        playready_license_url: None,
    }
}

fn many(sample: &Sample, count: usize) -> Vec<OwnedContentKeyInfo> {
    (0..count).map(|_| owned(sample)).collect()
}

#[test]
fn the_actor_answers_as_the_registry_does() {
    actix::System::new().block_on(async {
        let sample = Sample::fixed();
        let handle = DrmActor::start_on(&Arbiter::current(), Registry::standard(), 8);
        for provider in EncryptionProvider::ALL {
            let direct = Registry::standard().system_data(provider, &sample.info());
            assert_eq!(handle.system_data(provider, &sample.info()), direct);
        }
        let one = Registry::standard().widevine.system_data(&sample.info()).unwrap();
        for count in [1, MANY, MANY + 1] {
            let answer = handle.data_of(System::Widevine, many(&sample, count)).await;
            assert_eq!(answer, Ok(vec![one.clone(); count]));
        }
    });
}

#[test]
fn a_provider_s_refusal_comes_back_to_the_caller() {
    actix::System::new().block_on(async {
        let sample = Sample { scheme: keymoot_drm::ProtectionScheme::Cbc1, ..Sample::fixed() };
        let handle = DrmActor::start_on(&Arbiter::current(), Registry::standard(), 8);
        for count in [1, MANY + 1] {
            let answer = handle.data_of(System::PlayReady, many(&sample, count)).await;
            assert!(matches!(answer, Err(DrmError::SchemeNotPlayable { .. })), "{answer:?}");
        }
    });
}

#[test]
fn a_full_mailbox_is_busy_however_many_clones_ask_and_serves_again_later() {
    actix::System::new().block_on(async {
        let sample = Sample::fixed();
        let handle = DrmActor::start_on(&Arbiter::current(), Registry::standard(), 4);
        handle.data_of(System::Widevine, many(&sample, MANY + 1)).await.unwrap();
        // Polled one after another on the actor's own thread, they all arrive before it runs again.
        let asked = (0..20).map(|_| {
            let handle = handle.clone();
            let infos = many(&sample, MANY + 1);
            async move { handle.data_of(System::Widevine, infos).await }
        });
        let answers = join_all(asked).await;
        let served = answers.iter().filter(|answer| answer.is_ok()).count();
        let busy = answers.iter().filter(|answer| **answer == Err(DrmError::Busy)).count();
        // Actix lets one sender put one message beyond the capacity.
        assert!((4..=5).contains(&served), "{served} were served");
        assert_eq!(served + busy, 20);
        assert!(handle.data_of(System::Widevine, many(&sample, MANY + 1)).await.is_ok());
    });
}

#[test]
fn the_handle_works_from_another_thread_and_says_when_the_actor_has_stopped() {
    let system = actix::System::new();
    let arbiter = Arbiter::new();
    let handle = DrmActor::start_on(&arbiter.handle(), Registry::standard(), 8);
    let sample = Sample::fixed();
    // Another runtime than the actor's, as openraft's and the peer server's is.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ask = || runtime.block_on(handle.data_of(System::Widevine, many(&sample, MANY + 1)));
    assert_eq!(ask().unwrap().len(), MANY + 1);
    arbiter.stop();
    arbiter.join().unwrap();
    assert_eq!(ask(), Err(DrmError::Stopped));
    drop(system);
}
