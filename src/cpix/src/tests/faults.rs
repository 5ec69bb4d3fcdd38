//! Each fault by the text that SPEKE's clients expect, and by its place.

use super::*;
use crate::FaultKind;

#[test]
fn the_faults_of_speke_2_have_the_texts_of_the_specification() {
    for (from, to, text) in [
        ("contentId=\"film\" ", "", "Missing CPIX@contentId"),
        ("contentId=\"film\"", "contentId=\"\"", "Missing CPIX@contentId"),
        ("version=\"2.3\" ", "", "Missing CPIX@version"),
        ("version=\"2.3\"", "version=\"2.4\"", "Unsupported CPIX@version"),
        (
            "<cpix:ContentKey kid=\"53abdba2-f210-43cb-bc90-f18f9a890a02\" commonEncryptionScheme=\"cenc\"/>",
            "<cpix:ContentKey kid=\"53abdba2-f210-43cb-bc90-f18f9a890a02\"/>",
            "Missing ContentKey@commonEncryptionScheme for KID 53abdba2-f210-43cb-bc90-f18f9a890a02",
        ),
        (
            "0a02\" commonEncryptionScheme=\"cenc\"/>",
            "0a02\" commonEncryptionScheme=\"cbcs\"/>",
            "Non compliant ContentKey@commonEncryptionScheme combination",
        ),
        (
            "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed\"><cpix:PSSH/>",
            "94ce86fb-07ff-4f43-adb8-93d2fa968ca2\">",
            "ContentKey@commonEncryptionScheme non compatible with DRMSystem 94ce86fb-07ff-4f43-adb8-93d2fa968ca2",
        ),
        ("<cpix:AudioFilter/>", "<cpix:VideoFilter/>", "Malformed encryption contract"),
        (
            "intendedTrackType=\"AUDIO\"><cpix:AudioFilter/>",
            "intendedTrackType=\"ALL\"><cpix:VideoFilter/><cpix:AudioFilter/>",
            "Malformed encryption contract",
        ),
        ("<cpix:AudioFilter/>", "<cpix:AudioFilter/><cpix:BitrateFilter/>", "Malformed encryption contract"),
    ] {
        let fault = refusal(&changed(from, to), Protocol::Speke2_0);
        assert_eq!((fault.status(), fault.text().as_str()), (422, text), "{fault}");
        assert!(fault.place().is_some(), "{fault}");
    }
    let bare = changed("<cpix:AudioFilter/>", "").replace("<cpix:VideoFilter/>", "");
    assert_eq!(refusal(&bare, Protocol::Speke2_0).text(), "Missing CPIX encryption contract");
    assert_eq!(Fault::unsupported_speke_version().text(), "Unsupported SPEKE version");
    for version in ["", "1", "2", "2.2", "3.0"] {
        assert_eq!(Protocol::of_speke_version(Some(version)), None, "{version}");
    }
    assert_eq!(Protocol::of_speke_version(None), Some(Protocol::Speke1));
    assert_eq!(Protocol::of_speke_version(Some("2.1")), Some(Protocol::Speke2_1));
}

#[test]
fn a_list_that_is_missing_or_empty_and_an_attribute_that_is_missing_are_named() {
    for (list, element) in [
        ("ContentKeyList", "ContentKey"),
        ("DRMSystemList", "DRMSystem"),
        ("ContentKeyUsageRuleList", "ContentKeyUsageRule"),
    ] {
        let document = document();
        let (open, close) = (format!("<cpix:{list}>"), format!("</cpix:{list}>"));
        let start = document.find(&open).unwrap();
        let end = document.find(&close).unwrap() + close.len();
        let without = [&document[..start], &document[end..]].concat();
        assert_eq!(refusal(&without, Protocol::Speke2_0).text(), format!("Missing {list}"));
        let empty = [&document[..start], &format!("<cpix:{list}/>"), &document[end..]].concat();
        assert_eq!(refusal(&empty, Protocol::Speke2_0).text(), format!("Missing {element}"));
        let twice = document.replace("</cpix:CPIX>", &format!("<cpix:{list}/></cpix:CPIX>"));
        assert_eq!(refusal(&twice, Protocol::Speke2_0).text(), format!("Repeated {list}"));
    }
    for (from, to, text) in [
        (
            "<cpix:ContentKey kid=\"98ee5596-cd3e-a20d-163a-e382420c6eff\"",
            "<cpix:ContentKey",
            "Missing ContentKey@kid",
        ),
        (
            "<cpix:DRMSystem kid=\"98ee5596-cd3e-a20d-163a-e382420c6eff\"",
            "<cpix:DRMSystem",
            "Missing DRMSystem@kid",
        ),
        (" systemId=\"edef8ba9-79d6-4ace-a3c8-27dcd51d21ed\"", "", "Missing DRMSystem@systemId"),
        (
            "<cpix:ContentKeyUsageRule kid=\"98ee5596-cd3e-a20d-163a-e382420c6eff\"",
            "<cpix:ContentKeyUsageRule",
            "Missing ContentKeyUsageRule@kid",
        ),
        (" intendedTrackType=\"VIDEO\"", "", "Missing ContentKeyUsageRule@intendedTrackType"),
    ] {
        assert_eq!(refusal(&changed(from, to), Protocol::Speke2_0).text(), text);
    }
}

#[test]
fn what_does_not_fit_together_is_refused_with_element_and_place() {
    let scheme = " commonEncryptionScheme=\"cenc\"/>";
    for (from, to, text) in [
        (
            "<cpix:DRMSystem kid=\"98ee5596",
            "<cpix:DRMSystem kid=\"08ee5596",
            "DRMSystem@kid 08ee5596-cd3e-a20d-163a-e382420c6eff names no ContentKey",
        ),
        (
            "<cpix:ContentKeyUsageRule kid=\"98ee5596",
            "<cpix:ContentKeyUsageRule kid=\"08ee5596",
            "ContentKeyUsageRule@kid 08ee5596-cd3e-a20d-163a-e382420c6eff names no ContentKey",
        ),
        (
            "<cpix:VideoFilter/>",
            "<cpix:VideoFilter/><cpix:KeyPeriodFilter periodId=\"p\"/>",
            "KeyPeriodFilter@periodId names no ContentKeyPeriod",
        ),
        (
            "<cpix:DRMSystem kid=\"53abdba2-f210-43cb-bc90-f18f9a890a02\"",
            "<cpix:DRMSystem kid=\"98ee5596-cd3e-a20d-163a-e382420c6eff\"",
            "Repeated DRMSystem widevine for KID 98ee5596-cd3e-a20d-163a-e382420c6eff",
        ),
        (
            "<cpix:PSSH/>",
            "<cpix:PSSH/><cpix:PSSH/>",
            "Repeated PSSH in DRMSystem edef8ba9-79d6-4ace-a3c8-27dcd51d21ed",
        ),
        (
            "<cpix:PSSH/>",
            "<cpix:SmoothStreamingProtectionHeaderData/>",
            "DRMSystem edef8ba9-79d6-4ace-a3c8-27dcd51d21ed has no SmoothStreamingProtectionHeaderData",
        ),
        (
            "<cpix:PSSH/>",
            "<cpix:HLSSignalingData playlist=\"both\"/>",
            "Malformed HLSSignalingData@playlist: it must be media, and master or multiVariant",
        ),
        (
            "edef8ba9-79d6",
            "00000000-79d6",
            "Unsupported DRMSystem@systemId 00000000-79d6-4ace-a3c8-27dcd51d21ed",
        ),
        (
            "edef8ba9-79d6",
            "edef8ba9+79d6",
            "Malformed DRMSystem@systemId: it must be a UUID, such as 98ee5596-cd3e-a20d-163a-e382420c6eff",
        ),
        (
            scheme,
            " explicitIV=\"AAAA\" commonEncryptionScheme=\"cenc\"/>",
            "Malformed ContentKey@explicitIV: it must be base64 of 16 bytes",
        ),
        (
            scheme,
            " commonEncryptionScheme=\"aes\"/>",
            "Unsupported ContentKey@commonEncryptionScheme for KID 98ee5596-cd3e-a20d-163a-e382420c6eff",
        ),
        (
            scheme,
            " commonEncryptionScheme=\"cenc\"><cpix:Data><pskc:Secret><pskc:PlainValue>AA==</pskc:PlainValue></pskc:Secret></cpix:Data></cpix:ContentKey>",
            "ContentKey 98ee5596-cd3e-a20d-163a-e382420c6eff holds a key already",
        ),
        (
            "<cpix:VideoFilter/>",
            "<cpix:VideoFilter minPixels=\"2\" maxPixels=\"1\"/>",
            "Malformed encryption contract",
        ),
        ("<cpix:VideoFilter/>", "<cpix:VideoFilter hdr=\"yes\"/>", "Malformed encryption contract"),
        (
            "contentId=\"film\"",
            "contentId=\"a&#10;b\"",
            "Malformed CPIX@contentId: content_id holds a character that is not allowed at byte 1",
        ),
    ] {
        let fault = refusal(&changed(from, to), Protocol::Speke2_0);
        assert_eq!(fault.text(), text, "{fault}");
        assert!(fault.place().is_some_and(|place| place.line > 0 && !place.element.is_empty()), "{fault}");
    }
    let twice = changed(KID_2, KID);
    assert_eq!(refusal(&twice, Protocol::Speke2_0).text(), format!("Repeated ContentKey@kid {KID}"));
    let fault = refusal(&changed("<cpix:AudioFilter/>", ""), Protocol::Speke2_0);
    assert_eq!(
        fault.to_string(),
        "Malformed encryption contract: the rule for AUDIO has neither VideoFilter nor AudioFilter \
         (ContentKeyUsageRuleList, line 10, column 1)"
    );
}

#[test]
fn a_kid_stands_in_the_text_as_the_document_writes_it() {
    let upper = KID_2.to_uppercase();
    let document = changed(KID_2, &upper)
        .replace(&format!("{upper}\" commonEncryptionScheme=\"cenc\""), &format!("{upper}\""));
    let fault = refusal(&document, Protocol::Speke2_0);
    assert_eq!(fault.text(), format!("Missing ContentKey@commonEncryptionScheme for KID {upper}"));
}

#[test]
fn a_clear_key_and_a_protected_one_never_share_a_kid() {
    let document = changed("cenc", "cbc1").replace(
        "</cpix:DRMSystemList>",
        &format!("<cpix:DRMSystem kid=\"{KID}\" systemId=\"3ea8778f-7742-4bf9-b18b-e834b2acbd47\"/></cpix:DRMSystemList>"),
    );
    let fault = refusal(&document, Protocol::Speke2_0);
    assert_eq!(fault.text(), format!("KID {KID} is wanted for clear AES-128 and for a DRM system"));
}

#[test]
fn what_the_account_has_no_address_for_is_refused() {
    let bare = Settings::new("demo".parse().unwrap());
    for (scheme, system, text) in [
        ("cbc1", "3ea8778f-7742-4bf9-b18b-e834b2acbd47", "The account has no URI for AES-128 keys"),
        ("cenc", "e2719d58-a985-b3c9-781a-b030af78d30e", "The account has no URL for Clear Key licenses"),
    ] {
        let document =
            changed("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed\"><cpix:PSSH/>", &format!("{system}\">"))
                .replace("cenc", scheme);
        let fault = Request::parse(document.as_bytes(), Protocol::Speke2_0, &bare).unwrap_err();
        assert_eq!(fault.text(), text);
        read(&document, Protocol::Speke2_0).unwrap();
    }
}

#[test]
fn other_versions_are_refused_and_those_of_plain_cpix_are_read() {
    for version in Protocol::CPIX_VERSIONS {
        read(&changed("version=\"2.3\"", &format!("version=\"{version}\"")), Protocol::Cpix).unwrap();
    }
    read(&changed("version=\"2.3\" ", ""), Protocol::Cpix).unwrap();
    let later = changed("version=\"2.3\"", "version=\"3.0\"");
    assert_eq!(refusal(&later, Protocol::Cpix).text(), "Unsupported CPIX@version");
    assert_eq!(refusal(&changed("contentId=\"film\" ", ""), Protocol::Cpix).text(), "Missing CPIX@contentId");
    assert_eq!(refusal(&document(), Protocol::Speke1).text(), "Missing CPIX@id");
    assert_eq!(refusal(&document(), Protocol::Speke2_1).text(), "Unsupported CPIX@version");
}

#[test]
fn other_documents_are_no_cpix() {
    assert_eq!(*refusal("<CPIX/>", Protocol::Cpix).kind(), FaultKind::Root);
    assert_eq!(
        *refusal("<a:KeyContainer xmlns:a='urn:ietf:params:xml:ns:keyprov:pskc'/>", Protocol::Speke1).kind(),
        FaultKind::Root
    );
    let fault = refusal("", Protocol::Speke1);
    assert_eq!((fault.status(), fault.text().as_str()), (422, "Empty CPIX document"));
}

#[test]
fn periods_that_are_none_are_refused() {
    for (period, what) in [
        ("index=\"1\"", "Missing ContentKeyPeriod@id"),
        ("id=\"p\"", "it needs index"),
        ("id=\"p\" index=\"-1\"", "from 0 to 4294967295"),
        ("id=\"p\" index=\"4294967296\"", "from 0 to 4294967295"),
        ("id=\"p\" start=\"2026-01-01T00:00:00Z\"", "start must be an instant"),
        ("id=\"p\" start=\"2026-01-01T00:00:06Z\" end=\"2026-01-01T00:00:06Z\"", "end after it starts"),
        ("id=\"p\" startOffset=\"PT6S\" endOffset=\"6\"", "startOffset must be a duration"),
        (
            "id=\"p\" start=\"2026-01-01T00:00:00Z\" end=\"2026-01-01T00:00:06Z\" startOffset=\"PT0S\" endOffset=\"PT6S\"",
            "both instants and offsets",
        ),
    ] {
        let list = format!(
            "<cpix:ContentKeyPeriodList><cpix:ContentKeyPeriod {period}/></cpix:ContentKeyPeriodList>"
        );
        let fault = refusal(
            &changed("<cpix:ContentKeyUsageRuleList>", &format!("{list}<cpix:ContentKeyUsageRuleList>")),
            Protocol::Speke2_0,
        );
        assert!(fault.text().contains(what), "{period}: {fault}");
    }
}
