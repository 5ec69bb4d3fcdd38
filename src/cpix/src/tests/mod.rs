//! Documents whole: what is refused, what is answered, and goldens of each version and system.

mod answers;
mod contracts;
mod delivery;
mod faults;
mod goldens;
mod properties;

use keymoot_crypto::ContentKey;
use keymoot_drm::fairplay;

use crate::{
    DrmSystem, Fault, Hdcp, KeyKind, PolicySignals, Protocol, Request, Settings, SuppliedKey, SystemSignals,
    Wanted, WantedKey,
};

pub(crate) const KID: &str = "98ee5596-cd3e-a20d-163a-e382420c6eff";
pub(crate) const KID_2: &str = "53abdba2-f210-43cb-bc90-f18f9a890a02";

/// An account that has an address for everything.
pub(crate) fn settings() -> Settings {
    Settings {
        aes128_uri: Some("https://keys.example/hls/key/{kid}".parse().unwrap()),
        clear_key_urls: vec![
            "https://a.keys.example/clearkey?x=1&y=2".to_owned(),
            "https://b.keys.example/".to_owned(),
        ],
        ..Settings::new("demo".parse().unwrap())
    }
}

/// A document of SPEKE 2.0: a key for video and one for audio, under Widevine.
pub(crate) fn document() -> String {
    format!(
        r#"<cpix:CPIX contentId="film" version="2.3" xmlns:cpix="urn:dashif:org:cpix" xmlns:pskc="urn:ietf:params:xml:ns:keyprov:pskc">
<cpix:ContentKeyList>
<cpix:ContentKey kid="{KID}" commonEncryptionScheme="cenc"/>
<cpix:ContentKey kid="{KID_2}" commonEncryptionScheme="cenc"/>
</cpix:ContentKeyList>
<cpix:DRMSystemList>
<cpix:DRMSystem kid="{KID}" systemId="edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"><cpix:PSSH/></cpix:DRMSystem>
<cpix:DRMSystem kid="{KID_2}" systemId="edef8ba9-79d6-4ace-a3c8-27dcd51d21ed"><cpix:PSSH/></cpix:DRMSystem>
</cpix:DRMSystemList>
<cpix:ContentKeyUsageRuleList>
<cpix:ContentKeyUsageRule kid="{KID}" intendedTrackType="VIDEO"><cpix:VideoFilter/></cpix:ContentKeyUsageRule>
<cpix:ContentKeyUsageRule kid="{KID_2}" intendedTrackType="AUDIO"><cpix:AudioFilter/></cpix:ContentKeyUsageRule>
</cpix:ContentKeyUsageRuleList>
</cpix:CPIX>"#
    )
}

/// A document with one stretch of it replaced, wherever it stands.
pub(crate) fn changed(from: &str, to: &str) -> String {
    let document = document();
    assert!(document.contains(from), "{from}");
    document.replace(from, to)
}

pub(crate) fn read(document: &str, protocol: Protocol) -> Result<Request, Fault> {
    Request::parse(document.as_bytes(), protocol, &settings())
}

pub(crate) fn refusal(document: &str, protocol: Protocol) -> Fault {
    read(document, protocol).err().unwrap_or_else(|| panic!("not refused: {document}"))
}

/// A key that follows from its KID, so that answers are the same each time.
pub(crate) fn key_of(wanted: &WantedKey) -> SuppliedKey {
    let mask = match wanted.kind {
        KeyKind::Protected => 0x5a,
        KeyKind::Clear => 0xa5,
    };
    let signals = |robustness: &str, cpc: &str| SystemSignals {
        robustness: Some(robustness.to_owned()),
        hls_allowed_cpc: Some(cpc.to_owned()),
    };
    SuppliedKey {
        kid: wanted.kid,
        key: ContentKey::from_bytes(&wanted.kid.as_bytes().map(|byte| byte ^ mask)),
        iv: wanted.systems.contains(&DrmSystem::FairPlay).then(|| fairplay::constant_iv(&wanted.kid)),
        signals: PolicySignals {
            hdcp: wanted.track_types.iter().any(crate::TrackType::has_video).then_some(Hdcp::V2_2),
            systems: [
                (DrmSystem::Widevine, signals("HW_SECURE_ALL", "com.widevine.alpha:HW_SECURE_ALL")),
                (DrmSystem::PlayReady, signals("3000", "com.microsoft.playready:SL3000")),
            ]
            .into(),
        },
    }
}

pub(crate) fn keys_of(wanted: &Wanted) -> Vec<SuppliedKey> {
    wanted.keys.iter().map(key_of).collect()
}

pub(crate) fn answer(document: &str, protocol: Protocol) -> String {
    let request = read(document, protocol).unwrap_or_else(|fault| panic!("{fault}: {document}"));
    let keys = keys_of(request.wanted());
    let answer = request.answer(&keys, &settings()).unwrap();
    String::from_utf8(answer.to_vec()).unwrap()
}
