//! What answers hold, value by value, and what they keep.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keymoot_drm::playready::PlayReadyObject;
use keymoot_drm::pssh::parse_boxes;
use keymoot_drm::{ProtectionScheme, SystemId};
use keymoot_model::Kid;
use time::Duration;

use super::*;
use crate::PeriodSpan;

/// The texts of the elements with a name, by their order; the name comes with its prefix.
fn texts(answer: &str, name: &str) -> Vec<String> {
    let tag = format!("<{name}");
    let pieces = answer.split(&tag).skip(1);
    pieces
        .filter_map(|piece| piece.split_once('>')?.1.split_once('<'))
        .map(|(text, _)| text.to_owned())
        .collect()
}

fn decoded(text: &str) -> String {
    String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
}

fn systems(scheme: &str, system: &str, children: &str) -> String {
    changed("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed\"><cpix:PSSH/>", &format!("{system}\">{children}"))
        .replace("cenc", scheme)
}

const HLS: &str = "<cpix:HLSSignalingData playlist=\"media\"/><cpix:HLSSignalingData playlist=\"multiVariant\"></cpix:HLSSignalingData>";
const PLAYREADY: &str = "9a04f079-9840-4286-ab92-e65be0885f95";
const FAIRPLAY: &str = "94ce86fb-07ff-4f43-adb8-93d2fa968ca2";
const WIDEVINE: &str = "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed";

#[test]
fn a_key_stands_as_plain_value_with_a_prefix_and_without_attributes() {
    let answer = answer(&document(), Protocol::Speke2_0);
    let expected: Vec<String> = [KID, KID_2]
        .map(|kid| STANDARD.encode(kid.parse::<Kid>().unwrap().as_bytes().map(|byte| byte ^ 0x5a)))
        .into();
    assert_eq!(texts(&answer, "pskc:PlainValue"), expected);
    assert_eq!(answer.matches("<pskc:PlainValue>").count(), 2);
    assert!(answer.contains("<cpix:Data><pskc:Secret><pskc:PlainValue>"));
}

#[test]
fn widevine_says_the_same_in_each_place() {
    let children = format!("<cpix:ContentProtectionData/>{HLS}<cpix:PSSH/>");
    for (scheme, method) in [("cenc", "SAMPLE-AES-CTR"), ("cbcs", "SAMPLE-AES")] {
        let answer = answer(&systems(scheme, WIDEVINE, &children), Protocol::Speke2_0);
        let pssh = &texts(&answer, "cpix:PSSH")[0];
        let boxes = parse_boxes(&STANDARD.decode(pssh).unwrap()).unwrap();
        assert!(boxes.len() == 1 && boxes[0].system == SystemId::WIDEVINE);
        let data = decoded(&texts(&answer, "cpix:ContentProtectionData")[0]);
        assert_eq!(data, format!("<pssh xmlns=\"urn:mpeg:cenc:2013\">{pssh}</pssh>"));
        let lines: Vec<String> =
            texts(&answer, "cpix:HLSSignalingData").iter().map(|text| decoded(text)).collect();
        let attributes = format!(
            "METHOD={method},URI=\"data:text/plain;base64,{pssh}\",KEYFORMAT=\"urn:uuid:{WIDEVINE}\",KEYFORMATVERSIONS=\"1\""
        );
        assert_eq!(
            lines[..2],
            [format!("#EXT-X-KEY:{attributes}"), format!("#EXT-X-SESSION-KEY:{attributes}")]
        );
        assert!(answer.contains("playlist=\"multiVariant\""), "the request's word is kept");
    }
}

#[test]
fn playready_has_its_object_in_each_place_and_the_header_of_its_scheme() {
    let children =
        format!("<cpix:PSSH/><cpix:ContentProtectionData/>{HLS}<cpix:SmoothStreamingProtectionHeaderData/>");
    for (scheme, method, version) in
        [("cenc", "SAMPLE-AES-CTR", "4.0.0.0"), ("cbcs", "SAMPLE-AES", "4.3.0.0")]
    {
        let answer = answer(&systems(scheme, PLAYREADY, &children), Protocol::Speke2_0);
        let object = &texts(&answer, "cpix:SmoothStreamingProtectionHeaderData")[0];
        let header = PlayReadyObject::parse(&STANDARD.decode(object).unwrap()).unwrap().header().unwrap();
        assert_eq!(header.keys[0].kid.to_string(), KID);
        assert_eq!(header.keys[0].checksum.is_some(), scheme == "cenc");
        let wide: String = version.chars().flat_map(|c| [c, '\0']).collect();
        assert!(decoded_bytes(object).windows(wide.len()).any(|window| window == wide.as_bytes()));
        let pssh = &texts(&answer, "cpix:PSSH")[0];
        assert_eq!(
            decoded(&texts(&answer, "cpix:ContentProtectionData")[0]),
            format!(
                "<pssh xmlns=\"urn:mpeg:cenc:2013\">{pssh}</pssh><pro xmlns=\"urn:microsoft:playready\">{object}</pro>"
            )
        );
        assert_eq!(
            decoded(&texts(&answer, "cpix:HLSSignalingData")[0]),
            format!(
                "#EXT-X-KEY:METHOD={method},KEYFORMAT=\"com.microsoft.playready\",KEYFORMATVERSIONS=\"1\",URI=\"data:text/plain;charset=UTF-16;base64,{object}\""
            )
        );
    }
}

fn decoded_bytes(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

#[test]
fn fairplay_names_the_key_by_the_accounts_uri_and_keeps_what_it_has_no_value_for_empty() {
    let document = systems("cbcs", FAIRPLAY, &format!("<cpix:PSSH/>{HLS}"));
    let filled = answer(&document, Protocol::Speke2_0);
    let attributes = format!(
        "METHOD=SAMPLE-AES,URI=\"skd://{KID}\",KEYFORMAT=\"com.apple.streamingkeydelivery\",KEYFORMATVERSIONS=\"1\""
    );
    let lines: Vec<String> =
        texts(&filled, "cpix:HLSSignalingData").iter().map(|text| decoded(text)).collect();
    assert_eq!(lines[..2], [format!("#EXT-X-KEY:{attributes}"), format!("#EXT-X-SESSION-KEY:{attributes}")]);
    assert!(filled.contains("<cpix:PSSH/>") && filled.contains("explicitIV="), "{filled}");
    assert!(read(&document, Protocol::Speke2_0).unwrap().wanted().notes[0].text.contains("stays empty"));

    // The template with an IV takes the document's, which wins over the server's.
    let iv = "AAECAwQFBgcICQoLDA0ODw==";
    let document = document
        .replace(&format!("kid=\"{KID}\" common"), &format!("kid=\"{KID}\" explicitIV=\"{iv}\" common"));
    let settings = Settings { fairplay_uri: "skd://{base64}".parse().unwrap(), ..settings() };
    let request = Request::parse(document.as_bytes(), Protocol::Speke2_0, &settings).unwrap();
    assert_eq!(
        request.wanted().keys[0].explicit_iv,
        Some([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
    );
    let keys = keys_of(request.wanted());
    let answer = String::from_utf8(request.answer(&keys, &settings).unwrap().to_vec()).unwrap();
    let line = decoded(&texts(&answer, "cpix:HLSSignalingData")[0]);
    let json = line.split("skd://").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(
        decoded(json),
        format!("{{\"ContentId\":\"film\",\"KeyId\":\"{KID}\",\"IV\":\"000102030405060708090a0b0c0d0e0f\"}}")
    );
    assert_eq!(answer.matches(&format!("explicitIV=\"{iv}\"")).count(), 1);
}

#[test]
fn a_clear_key_is_of_its_own_kind_and_is_fetched_by_https() {
    let kinds = |document: &str| -> Vec<KeyKind> {
        let request = read(document, Protocol::Speke2_0).unwrap();
        request.wanted().keys.iter().map(|key| key.kind).collect()
    };
    let document = systems("cbc1", "3EA8778F-7742-4BF9-B18B-E834B2ACBD47", HLS);
    assert_eq!(kinds(&document), [KeyKind::Clear; 2]);
    assert_eq!(kinds(&super::document()), [KeyKind::Protected; 2]);
    let answer = answer(&document, Protocol::Speke2_0);
    assert_eq!(
        decoded(&texts(&answer, "cpix:HLSSignalingData")[0]),
        format!(
            "#EXT-X-KEY:METHOD=AES-128,URI=\"https://keys.example/hls/key/{KID}\",KEYFORMAT=\"identity\",KEYFORMATVERSIONS=\"1\""
        )
    );
}

#[test]
fn clear_key_names_every_license_url() {
    let document = systems("cenc", "e2719d58-a985-b3c9-781a-b030af78d30e", "");
    let answer = answer(&document, Protocol::Speke2_0);
    let urls = decoded(&texts(&answer, "cpix:ContentProtectionData")[0]);
    assert_eq!(
        urls,
        "<Laurl xmlns=\"https://dashif.org/CPS\" licenseType=\"EME-1.0\">https://a.keys.example/clearkey?x=1&amp;y=2</Laurl>\
         <Laurl xmlns=\"https://dashif.org/CPS\" licenseType=\"EME-1.0\">https://b.keys.example/</Laurl>"
    );
}

#[test]
fn what_is_not_known_comes_back_as_it_came_and_is_noted() {
    let extra = "<x:Own xmlns:x=\"urn:own\" x:a=\"1\">text</x:Own>";
    let document = changed("<cpix:PSSH/></cpix:DRMSystem>\n<", &format!("<cpix:PSSH/>{extra}</cpix:DRMSystem>\n<"))
        .replace("version=\"2.3\"", "version=\"2.3\" name=\"Film\"")
        .replace("</cpix:CPIX>", "<cpix:UpdateHistoryItemList id=\"u\"/><ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"/></cpix:CPIX>");
    let notes: Vec<String> = read(&document, Protocol::Speke2_0)
        .unwrap()
        .wanted()
        .notes
        .iter()
        .map(|note| note.place.element.clone())
        .collect();
    assert_eq!(notes, ["Own", "Own", "Signature"]);
    let answer = answer(&document, Protocol::Speke2_0);
    assert!(
        answer.contains(extra)
            && answer.contains("name=\"Film\"")
            && answer.contains("<cpix:UpdateHistoryItemList id=\"u\"/>")
    );
    assert!(!answer.contains("Signature"));
}

#[test]
fn the_id_of_the_root_stays_but_in_speke_2() {
    let document = changed("contentId=", "id=\"i\" contentId=");
    assert!(!answer(&document, Protocol::Speke2_0).contains("id=\"i\""));
    assert!(answer(&document, Protocol::Cpix).contains("id=\"i\" contentId=\"film\""));
    let request = read(&document, Protocol::Speke1).unwrap();
    assert_eq!(request.wanted().keys[0].content.as_str(), "i");
    assert!(answer(&document, Protocol::Speke1).contains("id=\"i\""));
}

#[test]
fn a_key_id_that_the_server_replaced_is_replaced_everywhere() {
    let mut request = read(&document(), Protocol::Speke2_0).unwrap();
    let mut keys = keys_of(request.wanted());
    let new: Kid = "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap();
    keys[0].kid = new;
    let answer = String::from_utf8(request.answer(&keys, &settings()).unwrap().to_vec()).unwrap();
    assert!(!answer.contains(KID) && answer.matches(&new.to_string()).count() == 3, "{answer}");
    assert!(
        decoded_bytes(&texts(&answer, "cpix:PSSH")[0]).windows(16).any(|window| window == new.as_bytes())
    );
    request = read(&document(), Protocol::Speke2_0).unwrap();
    keys.pop();
    assert_eq!(request.answer(&keys, &settings()).unwrap_err().status(), 500);
}

#[test]
fn hls_methods_are_schemes_since_2_4_and_not_before() {
    let with = |method: &str, version: &str| {
        changed("cenc", method).replace("version=\"2.3\"", &format!("version=\"{version}\""))
    };
    for (method, scheme) in
        [("SAMPLE-AES", ProtectionScheme::Cbcs), ("SAMPLE-AES-CTR", ProtectionScheme::Cenc)]
    {
        let request = read(&with(method, "2.4"), Protocol::Speke2_1).unwrap();
        assert_eq!(request.wanted().keys[0].scheme, scheme);
        assert!(
            answer(&with(method, "2.4"), Protocol::Speke2_1)
                .contains(&format!("commonEncryptionScheme=\"{method}\""))
        );
        let fault = refusal(&with(method, "2.3"), Protocol::Speke2_0);
        assert_eq!(fault.text(), format!("Unsupported ContentKey@commonEncryptionScheme for KID {KID}"));
    }
}

#[test]
fn a_document_without_schemes_gets_what_its_systems_play() {
    for (system, scheme) in [
        (WIDEVINE, ProtectionScheme::Cenc),
        (FAIRPLAY, ProtectionScheme::Cbcs),
        ("81376844-f976-481e-a84e-cc25d39b0b33", ProtectionScheme::Cbc1),
    ] {
        let document = systems("cenc", system, "").replace(" commonEncryptionScheme=\"cenc\"", "");
        let request = read(&document, Protocol::Cpix).unwrap();
        assert_eq!(request.wanted().keys[0].scheme, scheme, "{system}");
    }
}

#[test]
fn periods_are_read_by_number_by_instant_and_by_offset_and_come_back_unchanged() {
    let list = "<cpix:ContentKeyPeriodList><cpix:ContentKeyPeriod id=\"a\" index=\"4294967295\"/>\
                <cpix:ContentKeyPeriod id=\"b\" index=\"0\" start=\"2026-01-01T00:00:00.5+01:00\" end=\"2026-01-01T00:00:06\"/>\
                <cpix:ContentKeyPeriod id=\"c\" startOffset=\"PT0S\" duration=\"PT1H6.5S\"/></cpix:ContentKeyPeriodList>";
    let document = changed("version=\"2.3\"", "version=\"2.4\"")
        .replace("<cpix:ContentKeyUsageRuleList>", &format!("{list}<cpix:ContentKeyUsageRuleList>"));
    let request = read(&document, Protocol::Speke2_1).unwrap();
    let [a, b, c] = request.wanted().periods.as_slice() else { panic!() };
    assert_eq!((a.index, a.span, b.index, c.index), (Some(u32::MAX), None, Some(0), None));
    let Some(PeriodSpan::Instants { start, end }) = b.span else { panic!() };
    assert_eq!(end - start, Duration::hours(1) + Duration::milliseconds(5_500));
    assert_eq!(
        c.span,
        Some(PeriodSpan::Offsets { start: Duration::ZERO, end: Duration::milliseconds(3_606_500) })
    );
    assert!(answer(&document, Protocol::Speke2_1).contains(list));
}

#[test]
fn what_licenses_demand_is_told_from_2_4_on_and_by_the_policy_alone() {
    let children = "<cpix:ContentProtectionData robustness=\"SW_SECURE_CRYPTO\"/>";
    let document = |version: &str| {
        systems("cenc", WIDEVINE, children)
            .replace(&format!("kid=\"{KID}\" systemId"), &format!("kid=\"{KID}\" HLSAllowedCPC=\"\" systemId"))
            .replace("version=\"2.3\"", &format!("version=\"{version}\""))
            .replace(
                &format!("<cpix:ContentKey kid=\"{KID_2}\" commonEncryptionScheme=\"cenc\"/>"),
                &format!("<cpix:ContentKey kid=\"{KID_2}\" commonEncryptionScheme=\"cenc\"><cpix:HDCPData HLSHDCPLevel=\"TYPE-1\"><cpix:HDCPOutputProtectionData>AAAA</cpix:HDCPOutputProtectionData></cpix:HDCPData></cpix:ContentKey>"),
            )
    };
    let told = answer(&document("2.4"), Protocol::Speke2_1);
    assert!(
        told.contains("robustness=\"HW_SECURE_ALL\"")
            && told.contains("HLSAllowedCPC=\"com.widevine.alpha:HW_SECURE_ALL\""),
        "{told}"
    );
    assert!(told.contains("<cpix:HDCPData HLSHDCPLevel=\"TYPE-1\"><cpix:HDCPOutputProtectionData>"));
    assert_eq!(
        decoded(&texts(&told, "cpix:HDCPOutputProtectionData")[0]),
        "<OutputProtection xmlns=\"urn:mpeg:dash:schema:mpd:2011\" schemeIdUri=\"urn:mpeg:dash:output-protection:hdcp:2020\" value=\"2.2\"/>"
    );
    // The policy demands nothing of the audio's outputs, whatever the encryptor thought.
    assert!(told.contains("<cpix:HDCPData HLSHDCPLevel=\"NONE\"/>"), "{told}");
    let request = read(&document("2.4"), Protocol::Speke2_1).unwrap();
    assert_eq!(request.wanted().keys.iter().map(|key| key.asks_hdcp).collect::<Vec<_>>(), [false, true]);
    let untold = answer(&document("2.3"), Protocol::Speke2_0);
    assert!(untold.contains("robustness=\"SW_SECURE_CRYPTO\"") && !untold.contains("HW_SECURE"));
}

#[test]
fn prefixes_are_the_documents_and_new_ones_hold_everywhere() {
    // The prefix pskc means something else, and the default namespace is PSKC's.
    let document = document().replace("cpix:", "pskc:").replace("xmlns:cpix", "xmlns:pskc").replacen(
        "xmlns:pskc=\"urn:ietf:params:xml:ns:keyprov:pskc\"",
        "xmlns=\"urn:ietf:params:xml:ns:keyprov:pskc\"",
        1,
    );
    let filled = answer(&document, Protocol::Speke2_0);
    assert!(filled.contains("<pskc:Data><pskc1:Secret><pskc1:PlainValue>"), "{filled}");
    assert!(filled.contains("xmlns:pskc1=\"urn:ietf:params:xml:ns:keyprov:pskc\""));
    // A prefix that is shadowed below cannot be used.
    let shadowed = changed("<cpix:ContentKeyList>", "<cpix:ContentKeyList xmlns:pskc=\"urn:own\">");
    let filled = answer(&shadowed, Protocol::Speke2_0);
    assert!(filled.contains("<pskc1:PlainValue>"), "{filled}");
}

#[test]
fn a_caller_needs_four_steps() {
    fn answered(header: Option<&str>, body: &[u8], settings: &Settings) -> Result<Vec<u8>, Fault> {
        let protocol = Protocol::of_speke_version(header).ok_or_else(Fault::unsupported_speke_version)?;
        let request = Request::parse(body, protocol, settings)?;
        let keys: Vec<_> = request.wanted().keys.iter().map(key_of).collect();
        Ok(request.answer(&keys, settings)?.to_vec())
    }
    let filled = answered(Some("2.0"), document().as_bytes(), &settings()).unwrap();
    assert_eq!(filled, answer(&document(), Protocol::Speke2_0).as_bytes());
    assert_eq!(answered(Some("9"), b"", &settings()).unwrap_err().text(), "Unsupported SPEKE version");
}

#[test]
fn a_preview_has_everything_but_keys() {
    let request = read(&document(), Protocol::Speke2_0).unwrap();
    let preview = String::from_utf8(request.preview(&settings()).unwrap()).unwrap();
    assert_eq!(preview.matches("<pskc:PlainValue/>").count(), 2, "{preview}");
    assert!(texts(&preview, "cpix:PSSH").iter().all(|pssh| parse_boxes(&decoded_bytes(pssh)).is_ok()));
}

#[test]
fn nothing_that_is_printed_shows_a_key() {
    let request = read(&document(), Protocol::Speke2_0).unwrap();
    let keys = keys_of(request.wanted());
    let text = format!("{keys:?} {request:?}");
    let key = STANDARD.encode(keys[0].key.expose());
    assert!(text.contains("redacted") && !text.contains(&key));
    let node = crate::xml::Node::Secret(key.clone().into());
    assert_eq!(format!("{node:?}"), "redacted");
}
