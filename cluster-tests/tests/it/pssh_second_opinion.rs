//! The promise: another implementation reads our system data as we mean it.
//!
//! The crate `pssh-box` was written by others from the same specifications. Here it reads, for many
//! keys, the boxes that Keymoot makes, and we read those that it makes.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use keymoot_drm::{
    ContentKeyInfo, EncryptionProvider, LicenseUrl, PlayReady, ProtectionScheme, Provider, Registry,
    SystemData, SystemId, pssh,
};
use keymoot_model::{AccountId, ContentId, Kid, TrackName};
use pssh_box::{DRMKeyId, PsshBox, PsshData, ToBytes as _};
use sha1::{Digest as _, Sha1};

const KEYS: u32 = 200;
const LICENSE_URL: &str = "https://license.example/rights?account=167&mode=test";

/// Sixteen bytes that look random and are the same at each run, so that a failure comes again.
fn scattered(what: &str, number: u32) -> [u8; 16] {
    Sha1::digest(format!("{what} {number}"))[..16].try_into().unwrap()
}

struct Subject {
    kid: Kid,
    key: [u8; 16],
    content: ContentId,
    account: AccountId,
    track: TrackName,
}

impl Subject {
    fn of(number: u32) -> Self {
        Self {
            kid: Kid::from_bytes(scattered("kid", number)),
            key: scattered("key", number),
            content: ContentId::new(format!("café {number}.ism")).unwrap(),
            account: AccountId::new(format!("account-{number}")).unwrap(),
            track: TrackName::default_track(),
        }
    }

    fn info(&self, scheme: ProtectionScheme) -> ContentKeyInfo<'_> {
        ContentKeyInfo {
            kid: self.kid,
            key: Some(&self.key),
            iv: None,
            content: &self.content,
            account: &self.account,
            track: &self.track,
            scheme,
            period: None,
            playready_license_url: None,
        }
    }
}

/// The first three groups of a GUID turned about, written out once more from the specification.
fn little_endian(kid: &Kid) -> Vec<u8> {
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    order.iter().map(|from| kid.as_bytes()[*from]).collect()
}

/// The single box in our data as the other implementation sees it, its system id checked.
fn read_by_the_other(ours: &SystemData) -> PsshBox {
    let boxes: Vec<PsshBox> = pssh_box::from_bytes(&ours.pssh_box()).unwrap().into_iter().collect();
    let [only] = boxes.try_into().unwrap();
    assert_eq!(only.system_id.to_bytes(), ours.uuid.as_bytes());
    assert_eq!(only.flags, 0);
    only
}

#[test]
fn widevine_boxes_are_read_field_by_field() {
    for number in 0..KEYS {
        let subject = Subject::of(number);
        for scheme in ProtectionScheme::ALL {
            let ours = Registry::standard().widevine.system_data(&subject.info(scheme)).unwrap();
            let theirs = read_by_the_other(&ours);
            assert_eq!((theirs.version, theirs.key_ids.len()), (0, 0));
            let PsshData::Widevine(message) = theirs.pssh_data else { panic!("not Widevine: {theirs:?}") };
            assert_eq!(message.algorithm, scheme.is_counter_mode().then_some(1));
            assert_eq!(message.key_id, [subject.kid.as_bytes()]);
            assert_eq!(message.provider.as_deref(), Some(subject.account.as_str()));
            assert_eq!(message.content_id.as_deref(), Some(subject.content.as_str().as_bytes()));
            assert_eq!(message.protection_scheme, Some(scheme.four_cc() as i32));
            assert_eq!(message.policy, None);
        }
    }
}

#[test]
fn playready_cenc_boxes_are_read_with_header_values_and_checksum() {
    let license_url = LicenseUrl::new(LICENSE_URL).unwrap();
    for number in 0..KEYS {
        let subject = Subject::of(number);
        let info = ContentKeyInfo {
            playready_license_url: Some(&license_url),
            ..subject.info(ProtectionScheme::Cenc)
        };
        let theirs = read_by_the_other(&PlayReady.system_data(&info).unwrap());
        let PsshData::PlayReady(object) = theirs.pssh_data else { panic!("not PlayReady: {theirs:?}") };
        let [record] = object.record.try_into().unwrap();
        let header = record.record_value;
        assert_eq!(header.version, "4.0.0.0");
        assert_eq!(header.xmlns.as_deref(), Some("http://schemas.microsoft.com/DRM/2007/03/PlayReadyHeader"));
        let protect_info = header.data.protect_info.unwrap();
        assert_eq!((protect_info.keylen, protect_info.algid.as_deref()), (Some(16), Some("AESCTR")));
        let kid = little_endian(&subject.kid);
        assert_eq!(header.data.kids.iter().map(|kid| &kid.content).collect::<Vec<_>>(), [&kid]);
        assert_eq!(header.data.la_url.as_deref(), Some(LICENSE_URL));

        let mut block = aes::Block::try_from(kid.as_slice()).unwrap();
        Aes128::new(&subject.key.into()).encrypt_block(&mut block);
        assert_eq!(header.data.checksum.as_deref(), Some(&block[..8]), "key id {}", subject.kid);
    }
}

/// The other implementation reads the key ids of 4.3 headers only in part: it counts their list, and
/// does not know their attributes, which our own tests look at.
#[test]
fn playready_cbcs_boxes_are_read_as_version_4_3_without_a_checksum() {
    for number in 0..KEYS {
        let subject = Subject::of(number);
        let ours = Registry::standard().playready.system_data(&subject.info(ProtectionScheme::Cbcs)).unwrap();
        let PsshData::PlayReady(object) = read_by_the_other(&ours).pssh_data else { panic!() };
        let [record] = object.record.try_into().unwrap();
        assert_eq!(record.record_value.version, "4.3.0.0");
        assert_eq!(record.record_value.data.checksum, None);
        assert_eq!(record.record_value.data.protect_info.unwrap().kids.len(), 1);
    }
}

#[test]
fn common_boxes_are_read_with_their_key_id_in_the_box() {
    for number in 0..KEYS {
        let subject = Subject::of(number);
        let ours = Registry::standard().common.system_data(&subject.info(ProtectionScheme::Cenc)).unwrap();
        let theirs = read_by_the_other(&ours);
        assert_eq!(theirs.version, 1);
        let kid = DRMKeyId::try_from(subject.kid.as_bytes().as_slice()).unwrap();
        assert_eq!(theirs.key_ids, [kid]);
        assert_eq!(theirs.pssh_data, PsshData::CommonEnc(vec![]));
    }
}

#[test]
fn the_boxes_of_a_whole_answer_are_read_one_after_another() {
    let subject = Subject::of(0);
    let answer = Registry::standard()
        .system_data(EncryptionProvider::Cenc, &subject.info(ProtectionScheme::Cenc))
        .unwrap();
    let bytes: Vec<u8> = answer.iter().flat_map(SystemData::pssh_box).collect();
    let theirs: Vec<Vec<u8>> =
        pssh_box::from_bytes(&bytes).unwrap().into_iter().map(|read| read.system_id.to_bytes()).collect();
    let ids = [SystemId::WIDEVINE, SystemId::PLAYREADY, SystemId::COMMON];
    assert_eq!(theirs, ids.map(|id| id.as_bytes().to_vec()));
}

#[test]
fn boxes_that_the_other_implementation_writes_are_read_by_ours() {
    for number in 0..KEYS {
        let kid = Kid::from_bytes(scattered("kid", number));
        let mut theirs = PsshBox::new_widevine();
        theirs.add_key_id(DRMKeyId::try_from(kid.as_bytes().as_slice()).unwrap());
        let PsshData::Widevine(message) = &mut theirs.pssh_data else { panic!() };
        message.key_id.push(kid.as_bytes().to_vec());
        message.crypto_period_index = Some(number);
        let read = pssh::parse_boxes(&theirs.to_bytes()).unwrap();
        let [ours] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!(ours.system, SystemId::WIDEVINE);
        assert_eq!(ours.kids, Some(vec![kid]));
        assert_eq!(Registry::standard().widevine.kids(&ours.data), Ok(vec![kid]));
    }
}
