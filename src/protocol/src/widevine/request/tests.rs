//! What is read of a request, and each status it can be refused with.

use serde_json::{Value, json};

use super::*;

fn inner(change: Value) -> Result<ContentKeyRequest, RequestError> {
    let mut inner = json!({
        "content_id": "YQ==", "policy": "", "drm_types": ["WIDEVINE"], "protection_scheme": "CBCS",
        "tracks": [{"type": "SD"}, {"type": "AUDIO"}], "video_feature": "HDR", "group_id": "Zw==",
    });
    for (name, value) in change.as_object().unwrap() {
        inner[name] = value.clone();
    }
    ContentKeyRequest::parse(inner.to_string().as_bytes())
}

fn refused(change: Value) -> Status {
    inner(change).unwrap_err().status
}

#[test]
fn a_packagers_request_is_read() {
    let asked = inner(json!({})).unwrap();
    assert_eq!(asked.specifier, Specifier::Content(ContentId::new("a").unwrap()));
    assert_eq!(asked.tracks.iter().map(|track| track.name.as_str()).collect::<Vec<_>>(), ["SD", "AUDIO"]);
    assert_eq!(asked.scheme, ProtectionScheme::Cbcs);
    assert_eq!(asked.periods, None);
    assert_eq!(asked.systems, [DrmType::Widevine]);
    assert!(asked.tracks.iter().all(|track| track.supplied.is_none()));
}

#[test]
fn systems_are_read_where_their_players_know_the_scheme() {
    let systems = |names: Value, scheme: &str| {
        inner(json!({"drm_types": names, "protection_scheme": scheme})).map(|asked| asked.systems)
    };
    assert_eq!(
        systems(json!(["PLAYREADY", "WIDEVINE", "PLAYREADY"]), "CENC").unwrap(),
        [DrmType::PlayReady, DrmType::Widevine]
    );
    assert_eq!(systems(json!(DrmType::ALL.map(DrmType::name)), "CBCS").unwrap(), DrmType::ALL);
    assert_eq!(systems(json!([]), "CENS").unwrap(), [DrmType::Widevine]);
    let said = |names, scheme| systems(names, scheme).unwrap_err().message;
    assert!(said(json!(["FAIRPLAY"]), "CENC").contains("FAIRPLAY does not know cenc, but cbcs"));
    assert!(said(json!(["PLAYREADY"]), "CENS").contains("PLAYREADY"));
    assert!(said(json!(["ADOBE"]), "CENC").contains("WIDEVINE, PLAYREADY, FAIRPLAY"));
}

#[test]
fn a_clients_own_key_is_read_whole_and_for_whole_tracks() {
    let b64 = |byte| STANDARD.encode([byte; 16]);
    let with = |track: Value| inner(json!({"tracks": [track]}));
    let asked = with(json!({"type": "HD", "key_id": b64(1), "key": b64(2)})).unwrap();
    let (kid, key) = asked.tracks[0].supplied.as_ref().unwrap();
    assert_eq!((kid, **key), (&Kid::from_bytes([1; 16]), [2; 16]));
    assert!(!format!("{asked:?}").contains("[2, 2"), "a key is shown: {asked:?}");
    assert!(with(json!({"type": "HD", "key_id": "", "key": null})).unwrap().tracks[0].supplied.is_none());
    for (track, says) in [
        (json!({"type": "HD", "key_id": b64(1)}), "give both"),
        (json!({"type": "HD", "key": b64(1)}), "give both"),
        (json!({"type": "HD", "key_id": "AAAA", "key": b64(1)}), "key_id is not base64 of 16 bytes"),
    ] {
        assert!(with(track).unwrap_err().message.contains(says));
    }
    let rotating = json!({
        "tracks": [{"type": "HD", "key_id": b64(1), "key": b64(2)}], "first_crypto_period_index": 0,
        "crypto_period_count": 1, "crypto_period_seconds": 10,
    });
    assert!(inner(rotating).unwrap_err().message.contains("crypto periods"));
}

#[test]
fn numbers_may_be_strings() {
    let rotation = json!({
        "first_crypto_period_index": "7", "crypto_period_count": "5000", "crypto_period_seconds": "10",
        "protection_scheme": "1667392371",
    });
    let asked = inner(rotation).unwrap();
    assert_eq!(asked.periods, Some(RequestedPeriods { first: 7, count: 5000, length_s: 10 }));
    assert_eq!(asked.scheme, ProtectionScheme::Cbcs);
    for wrong in [json!("x"), json!("-1"), json!(""), json!("4294967296"), json!(1.5), json!([1])] {
        assert_eq!(refused(json!({"crypto_period_count": wrong})), Status::MalformedRequest, "{wrong}");
    }
}

#[test]
fn a_scheme_is_a_name_in_any_case_or_a_number_and_cenc_when_it_is_left_out() {
    let scheme = |value| inner(json!({"protection_scheme": value})).unwrap().scheme;
    assert_eq!(scheme(json!("cbc1")), ProtectionScheme::Cbc1);
    assert_eq!(scheme(json!(1_667_591_779)), ProtectionScheme::Cenc);
    assert_eq!(scheme(Value::Null), ProtectionScheme::Cenc);
    assert_eq!(refused(json!({"protection_scheme": "AES"})), Status::MalformedRequest);
}

#[test]
fn rotation_is_read() {
    let rotation = json!({
        "first_crypto_period_index": 7, "crypto_period_count": 5000, "crypto_period_seconds": 10,
    });
    let periods = RequestedPeriods { first: 7, count: 5000, length_s: 10 };
    assert_eq!(inner(rotation).unwrap().periods, Some(periods));
    let half = inner(json!({"crypto_period_count": 1})).unwrap_err().status;
    assert_eq!(half, Status::MalformedRequest);
}

#[test]
fn each_mistake_has_its_status() {
    assert_eq!(refused(json!({"content_id": null})), Status::ContentIdMissing);
    assert_eq!(refused(json!({"pssh_data": "YQ=="})), Status::TooManyContentSpecifiers);
    let lookup = |data| json!({"content_id": null, "pssh_data": data});
    assert_eq!(refused(lookup("YQ==")), Status::InvalidWidevinePssh);
    assert_eq!(refused(json!({"policy": "no such name"})), Status::PolicyUnknown);
    assert_eq!(refused(json!({"tracks": []})), Status::TrackTypeMissing);
    assert_eq!(refused(json!({"tracks": [{}]})), Status::TrackTypeMissing);
    assert_eq!(refused(json!({"tracks": [{"type": "8K"}]})), Status::TrackTypeUnknown);
    assert_eq!(refused(json!({"tracks": [{"type": "SD"}, {"type": "SD"}]})), Status::MalformedRequest);
    assert_eq!(refused(json!({"content_id": "a"})), Status::MalformedRequest);
    assert_eq!(refused(json!({"drm_types": ["ADOBE"]})), Status::MalformedRequest);
    assert_eq!(refused(json!({"enable_entitlement_license": true})), Status::MalformedRequest);
}

#[test]
fn pssh_data_is_the_payload_or_the_box() {
    let payload = [&[0x12, 16][..], &[7; 16]].concat();
    let boxed = pssh::PsshBox { system: SystemId::WIDEVINE, kids: None, data: payload.clone() }.to_bytes();
    for data in [payload, boxed] {
        let change = json!({"content_id": null, "tracks": null, "pssh_data": STANDARD.encode(data)});
        assert_eq!(inner(change).unwrap().specifier, Specifier::Kids(vec![Kid::from_bytes([7; 16])]));
    }
}

#[test]
fn an_envelope_with_a_signature_names_its_signer() {
    let good = ContentKeyEnvelope::parse(br#"{"request":"e30=","signature":"AAA=","signer":"a"}"#).unwrap();
    let signature = good.signature.unwrap();
    assert_eq!((&*signature.signer, &*signature.signature), ("a", &[0, 0][..]));
    assert_eq!((&good.request, &signature.signed_bytes), (&"{}".into(), &"{}".into()));
    assert!(ContentKeyEnvelope::parse(br#"{"request":"e30="}"#).unwrap().signature.is_none());
    for bad in [
        r#"{"request":"e30=","signature":"AAA="}"#,
        r#"{"request":"e30"}"#,
        r#"{"signer":"a"}"#,
        r#"{"request":"e30="}x"#,
        r#"{"request":"e30=","request":"e30="}"#,
    ] {
        assert_eq!(
            ContentKeyEnvelope::parse(bad.as_bytes()).unwrap_err().status,
            Status::MalformedRequest,
            "{bad}"
        );
    }
}
