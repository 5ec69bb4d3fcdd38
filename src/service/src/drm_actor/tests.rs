//! The actor answers as the registry does, refuses what does not fit, and says when it is gone.

use actix::Arbiter;
use futures::future::join_all;
use zeroize::Zeroizing;

use super::*;
use keymoot_drm::ProtectionScheme;
use keymoot_model::{AccountId, ContentId, Kid, TrackName};

fn key(scheme: ProtectionScheme) -> OwnedContentKeyInfo {
    OwnedContentKeyInfo {
        kid: Kid::from_bytes([1; 16]),
        key: Some(Zeroizing::new([2; 16])),
        iv: None,
        content: ContentId::new("a.mp4").unwrap(),
        account: AccountId::new("167").unwrap(),
        track: TrackName::default_track(),
        scheme,
        period: None,
        playready_license_url: None,
    }
}

fn counter() -> IntCounter {
    IntCounter::new("full", "full").unwrap()
}

fn many(count: usize) -> Vec<OwnedContentKeyInfo> {
    (0..count).map(|_| key(ProtectionScheme::Cenc)).collect()
}

#[test]
fn the_actor_answers_as_the_registry_does() {
    actix::System::new().block_on(async {
        let key = key(ProtectionScheme::Cenc);
        let handle = DrmActor::start_on(&Arbiter::current(), Registry::standard(), 8, counter());
        for provider in EncryptionProvider::ALL {
            let direct = Registry::standard().system_data(provider, &key.as_info());
            assert_eq!(handle.system_data(provider, &key.as_info()), direct);
        }
        let one = Registry::standard().widevine.system_data(&key.as_info()).unwrap();
        for count in [1, MANY, MANY + 1] {
            let answer = handle.data_of(System::Widevine, many(count)).await;
            assert_eq!(answer, Ok(vec![one.clone(); count]));
        }
    });
}

#[test]
fn a_provider_s_refusal_comes_back_to_the_caller() {
    actix::System::new().block_on(async {
        let handle = DrmActor::start_on(&Arbiter::current(), Registry::standard(), 8, counter());
        for count in [1, MANY + 1] {
            let keys = (0..count).map(|_| key(ProtectionScheme::Cbc1)).collect();
            let answer = handle.data_of(System::PlayReady, keys).await;
            assert!(matches!(answer, Err(DrmError::SchemeNotPlayable { .. })), "{answer:?}");
        }
    });
}

#[test]
fn a_full_mailbox_is_busy_however_many_clones_ask_and_serves_again_later() {
    actix::System::new().block_on(async {
        let handle = DrmActor::start_on(&Arbiter::current(), Registry::standard(), 4, counter());
        handle.data_of(System::Widevine, many(MANY + 1)).await.unwrap();
        // Polled one after another on the actor's own thread, they all arrive before it runs again.
        let asked = (0..20).map(|_| {
            let handle = handle.clone();
            let infos = many(MANY + 1);
            async move { handle.data_of(System::Widevine, infos).await }
        });
        let answers = join_all(asked).await;
        let served = answers.iter().filter(|answer| answer.is_ok()).count();
        let busy = answers.iter().filter(|answer| **answer == Err(DrmError::Busy)).count();
        // Actix lets one sender put one message beyond the capacity.
        assert!((4..=5).contains(&served), "{served} were served");
        assert_eq!(served + busy, 20);
        assert_eq!(handle.full.get(), busy as u64);
        assert!(handle.data_of(System::Widevine, many(MANY + 1)).await.is_ok());
    });
}

#[test]
fn the_handle_works_from_another_thread_and_says_when_the_actor_has_stopped() {
    let system = actix::System::new();
    let arbiter = Arbiter::new();
    let handle = DrmActor::start_on(&arbiter.handle(), Registry::standard(), 8, counter());
    // Another runtime than the actor's, as openraft's and the peer server's is.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let ask = || runtime.block_on(handle.data_of(System::Widevine, many(MANY + 1)));
    assert_eq!(ask().unwrap().len(), MANY + 1);
    arbiter.stop();
    arbiter.join().unwrap();
    assert_eq!(ask(), Err(DrmError::Stopped));
    drop(system);
}
