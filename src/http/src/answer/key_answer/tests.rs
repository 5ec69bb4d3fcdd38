//! Answers, byte for byte and at their longest.

use actix_web::body::MessageBody as _;

use super::*;
use keymoot_crypto::ContentKey;
use keymoot_drm::{ContentKeyInfo, LicenseUrl, Registry};
use keymoot_model::{AccountId, Consistency, Kid, Rating, SystemHeader, TrackName};

fn account() -> Account {
    Account {
        id: AccountId::new("167").unwrap(),
        ca_systems: Vec::new(),
        credentials: Vec::new(),
        allow_list: Vec::new(),
        consistency: Consistency::Linearizable,
        response_shape: ResponseShape::ByPath,
        license_url: Some("https://drm.example.com/".to_owned()),
        playready_la_url: None,
        created_at_ms: 0,
        minimum_scheme: None,
        allow_unsigned_packagers: false,
    }
}

fn served() -> ServedKey {
    let key = ContentKey::from_bytes(b"fedcba9876543210");
    ServedKey { kid: Kid::from_bytes(*b"0123456789abcdef"), key, version: 1, iv: None }
}

fn text(
    provider: EncryptionProvider,
    shape: ResponseShape,
    systems: &[SystemData],
    auxiliary: AuxiliaryAnswer<'_>,
) -> String {
    let (account, content, served) = (account(), ContentId::new("a/b.mp4").unwrap(), served());
    let license_base = "http://127.0.0.1:8081";
    let answer = KeyAnswer {
        provider,
        iv: provider.constant_iv(provider.scheme(None).unwrap(), &served.kid),
        account: &account,
        shape,
        content: &content,
        served: &served,
        systems,
        license_base,
        auxiliary,
    };
    let response = key(&answer).unwrap();
    String::from_utf8(response.into_body().try_into_bytes().unwrap().to_vec()).unwrap()
}

const COMMON: &str = r#""file":null,"license_url":"#;

#[test]
fn a_fairplay_answer_has_an_iv_and_no_pssh() {
    let got = text(EncryptionProvider::Fps, ResponseShape::ByPath, &[], AuxiliaryAnswer::NotAsked);
    let iv = STANDARD.encode(keymoot_drm::fairplay::constant_iv(&served().kid));
    let expected = format!(
        r#"{{{COMMON}"{}","key":"ZmVkY2JhOTg3NjU0MzIxMA==","key_id":"MDEyMzQ1Njc4OWFiY2RlZg==","iv":"{iv}","content_id":"a/b.mp4"}}"#,
        STANDARD.encode("https://drm.example.com/fps/license")
    );
    assert_eq!(got, expected);
}

#[test]
fn a_classic_answer_has_neither_iv_nor_pssh() {
    let got = text(EncryptionProvider::Widevine, ResponseShape::ByPath, &[], AuxiliaryAnswer::NotAsked);
    assert!(!got.contains("pssh") && !got.contains("\"iv\"") && !got.contains("aux"), "{got}");
}

#[test]
fn an_account_can_turn_an_object_into_an_array_and_back() {
    use EncryptionProvider::{Cenc, CencWidevine};
    use ResponseShape::{Array, ByPath, Object};
    for (provider, shape, first) in
        [(Cenc, ByPath, '['), (Cenc, Object, '{'), (CencWidevine, ByPath, '{'), (CencWidevine, Array, '[')]
    {
        let got = text(provider, shape, &[], AuxiliaryAnswer::NotAsked);
        assert!(got.starts_with(first), "{provider} {shape:?}: {got}");
    }
}

#[test]
fn auxiliary_data_comes_back_as_it_is_given_and_only_when_asked_for() {
    let auxiliary = Auxiliary {
        ratings: vec![Rating { scheme: "urn:mpaa".into(), value: "PG-13".into() }],
        output_protection: [("hdcp".to_owned(), "2.2".to_owned())].into(),
        super_cas_id: Some(0x4ad4_0001),
        system_headers: vec![SystemHeader { system: [0xab; 16], data: vec![1, 2, 3] }],
    };
    let got = text(
        EncryptionProvider::CencWidevine,
        ResponseShape::ByPath,
        &[],
        AuxiliaryAnswer::Asked(Some(&auxiliary)),
    );
    assert!(
        got.ends_with(
            r#""aux":{"ratings":[{"scheme":"urn:mpaa","value":"PG-13"}],"output_protection":{"hdcp":"2.2"},"super_cas_id":"0x4ad40001","system_headers":[{"data":"AQID","uuid":"abababab-abab-abab-abab-abababababab"}]}}"#
        ),
        "{got}"
    );
    let none = text(EncryptionProvider::Cenc, ResponseShape::Object, &[], AuxiliaryAnswer::Asked(None));
    assert!(none.ends_with(r#""aux":null}"#), "{none}");
}

#[test]
fn the_longest_answer_fits_a_packagers_buffer_and_more_is_refused() {
    let longest_url = LicenseUrl::new(&format!("https://{}", "u".repeat(248))).unwrap();
    let content = ContentId::new("c".repeat(ContentId::BYTES_MAX)).unwrap();
    let account = Account {
        id: AccountId::new("a".repeat(AccountId::BYTES_MAX)).unwrap(),
        license_url: Some(format!("https://{}", "l".repeat(100))),
        ..account()
    };
    let served = served();
    let track = TrackName::default_track();
    let info = |scheme| ContentKeyInfo {
        kid: served.kid,
        key: Some(served.key.expose()),
        iv: None,
        content: &content,
        account: &account.id,
        track: &track,
        scheme,
        period: None,
        playready_license_url: Some(&longest_url),
    };
    let auxiliary = Auxiliary {
        system_headers: vec![SystemHeader { system: [1; 16], data: vec![7; 700] }],
        ..Auxiliary::default()
    };
    let provider = EncryptionProvider::Cenc;
    for scheme in provider.schemes() {
        let systems = Registry::standard().system_data(provider, &info(*scheme)).unwrap();
        let answer = |auxiliary| KeyAnswer {
            provider,
            iv: provider.constant_iv(*scheme, &served.kid),
            account: &account,
            shape: ResponseShape::ByPath,
            content: &content,
            served: &served,
            systems: &systems,
            license_base: "",
            auxiliary,
        };
        let fits = key(&answer(AuxiliaryAnswer::NotAsked)).unwrap();
        assert!(fits.into_body().try_into_bytes().unwrap().len() <= ANSWER_BYTES_MAX, "{scheme}");
        let refused = key(&answer(AuxiliaryAnswer::Asked(Some(&auxiliary)))).unwrap_err();
        assert!(refused.message().contains("ask for one system"), "{}", refused.message());
    }
}
