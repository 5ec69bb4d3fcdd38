//! One suite of rules for the provider of every system, run over the whole registry.
//!
//! A system that is added to [`System::ALL`] is tested here without further code.

use std::collections::HashSet;

use proptest::prelude::*;

use super::pssh::parse_boxes;
use super::*;
use keymoot_model::{AccountId, ContentId, Kid, TrackName};

/// The most bytes that the entries of one answer may hold together. In base64 they are 2732 characters, which
/// leaves a third of the 4 KB that clients read for the key, the ids and the license URL.
const ANSWER_DATA_BYTES_MAX: usize = 2048;

/// A content key with all its properties.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub kid: Kid,
    pub key: [u8; 16],
    pub content: ContentId,
    pub account: AccountId,
    pub track: TrackName,
    pub scheme: ProtectionScheme,
    pub license_url: Option<LicenseUrl>,
}

impl Sample {
    /// The sample of the byte goldens. Its key, and its key id once it is swapped, are those of the
    /// AES-128 example in FIPS 197, appendix C.1.
    pub(crate) fn fixed() -> Self {
        Self {
            kid: "33221100-5544-7766-8899-aabbccddeeff".parse().unwrap(),
            key: 0x00010203_04050607_08090a0b_0c0d0e0f_u128.to_be_bytes(),
            content: ContentId::new("a.mp4").unwrap(),
            account: AccountId::new("167").unwrap(),
            track: TrackName::default_track(),
            scheme: ProtectionScheme::Cenc,
            license_url: None,
        }
    }

    pub(crate) fn info(&self) -> ContentKeyInfo<'_> {
        ContentKeyInfo {
            kid: self.kid,
            key: Some(&self.key),
            iv: None,
            content: &self.content,
            account: &self.account,
            track: &self.track,
            scheme: self.scheme,
            period: None,
            playready_license_url: self.license_url.as_ref(),
        }
    }
}

/// The longest license URL that is accepted.
fn longest_license_url() -> LicenseUrl {
    LicenseUrl::new(&format!("https://{}", "u".repeat(LicenseUrl::ESCAPED_BYTES_MAX - 8))).unwrap()
}

fn samples() -> impl Strategy<Value = Sample> {
    let scheme = proptest::sample::select(ProtectionScheme::ALL.to_vec());
    let license_url = prop::option::of(Just(longest_license_url()));
    let texts = ("[^\\pC]{1,170}", "[a-z0-9._-]{1,64}", "[A-Z0-9]{1,64}");
    (any::<[u8; 16]>(), any::<[u8; 16]>(), texts, scheme, license_url).prop_map(
        |(kid, key, (content, account, track), scheme, license_url)| Sample {
            kid: Kid::from_bytes(kid),
            key,
            content: ContentId::new(content.chars().take(128).collect::<String>()).unwrap(),
            account: AccountId::new(account).unwrap(),
            track: TrackName::new(track).unwrap(),
            scheme,
            license_url,
        },
    )
}

/// The data of a provider; `None` when its clients cannot play the scheme.
fn made(system: System, sample: &Sample) -> Option<SystemData> {
    match Registry::standard().provider(system).system_data(&sample.info()) {
        Ok(data) => Some(data),
        Err(DrmError::SchemeNotPlayable { system: named, scheme, .. }) => {
            assert_eq!((named, scheme), (system, sample.scheme));
            None
        }
        Err(error) => panic!("{system} made no data: {error}"),
    }
}

#[test]
fn ids_belong_to_one_provider_each_and_are_lower_case() {
    let registry = Registry::standard();
    let mut ids = HashSet::new();
    for system in System::ALL {
        let provider = registry.provider(system);
        assert!(ids.insert(provider.system_id()));
        let text = provider.system_id().to_string();
        assert_eq!(text, text.to_lowercase());
        assert_eq!(text.len(), 36);
    }
}

#[test]
fn every_provider_plays_cenc_with_and_without_the_key_at_hand() {
    let sample = Sample::fixed();
    for system in System::ALL {
        let provider = Registry::standard().provider(system);
        assert!(made(system, &sample).is_some(), "{system}");
        assert!(provider.system_data(&ContentKeyInfo { key: None, ..sample.info() }).is_ok(), "{system}");
    }
}

#[test]
fn an_answer_carries_the_systems_of_its_path_in_order() {
    let sample = Sample::fixed();
    for provider in EncryptionProvider::ALL {
        let answer = Registry::standard().system_data(provider, &sample.info()).unwrap();
        let expected: Vec<SystemId> = provider
            .systems()
            .iter()
            .map(|system| Registry::standard().provider(*system).system_id())
            .collect();
        assert_eq!(answer.iter().map(|entry| entry.uuid).collect::<Vec<_>>(), expected, "{provider}");
    }
}

#[test]
fn an_answer_with_a_system_that_cannot_play_the_scheme_is_refused_whole() {
    let sample = Sample { scheme: ProtectionScheme::Cens, ..Sample::fixed() };
    let answer = Registry::standard().system_data(EncryptionProvider::Cenc, &sample.info());
    assert_eq!(
        answer.unwrap_err().to_string(),
        "PlayReady clients cannot play scheme cens; use cenc or cbcs"
    );
}

#[test]
fn the_longest_answer_leaves_room_in_what_clients_read() {
    let sample = Sample {
        content: ContentId::new("c".repeat(ContentId::BYTES_MAX)).unwrap(),
        account: AccountId::new("a".repeat(AccountId::BYTES_MAX)).unwrap(),
        track: TrackName::new("t".repeat(TrackName::BYTES_MAX)).unwrap(),
        license_url: Some(longest_license_url()),
        ..Sample::fixed()
    };
    for provider in EncryptionProvider::ALL {
        let answer = Registry::standard().system_data(provider, &sample.info()).unwrap();
        let bytes: usize = answer.iter().map(|entry| entry.data.len()).sum();
        assert!(bytes <= ANSWER_DATA_BYTES_MAX, "{provider} answers with {bytes} bytes");
    }
}

proptest! {
    #[test]
    fn data_is_the_same_each_time_and_names_its_key(sample in samples()) {
        for system in System::ALL {
            let provider = Registry::standard().provider(system);
            let Some(data) = made(system, &sample) else { continue };
            prop_assert_eq!(made(system, &sample), Some(data.clone()));
            prop_assert_eq!(data.uuid, provider.system_id());
            prop_assert_eq!(provider.kids(&data.data), Ok(vec![sample.kid]));
        }
    }

    #[test]
    fn the_whole_box_reads_back_and_names_the_key_once(sample in samples()) {
        for system in System::ALL {
            let Some(data) = made(system, &sample) else { continue };
            let boxes = parse_boxes(&data.pssh_box()).unwrap();
            prop_assert_eq!(boxes.len(), 1);
            prop_assert_eq!(boxes[0].system, data.uuid);
            prop_assert_eq!(boxes[0].to_bytes(), data.pssh_box());
            match &boxes[0].kids {
                Some(kids) => prop_assert_eq!(kids, &vec![sample.kid]),
                None => prop_assert_eq!(&boxes[0].data, &data.data),
            }
        }
    }

    #[test]
    fn the_key_is_in_no_output(sample in samples()) {
        for system in System::ALL {
            let Some(data) = made(system, &sample) else { continue };
            prop_assert!(!data.data.windows(16).any(|window| window == sample.key));
        }
    }

    #[test]
    fn no_bytes_make_a_provider_panic(bytes in any::<Vec<u8>>()) {
        for system in System::ALL {
            let _ = Registry::standard().provider(system).kids(&bytes);
        }
    }

    #[test]
    fn no_change_of_one_byte_makes_a_provider_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for system in System::ALL {
            let provider = Registry::standard().provider(system);
            let mut data = made(system, &Sample::fixed()).unwrap().data;
            let at = at.index(data.len());
            data[at] = byte;
            let _ = provider.kids(&data);
        }
    }
}
