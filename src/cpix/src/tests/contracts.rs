//! Contracts: which rules fit, and what accounts keep apart.

use super::*;
use keymoot_model::Apart;

use crate::{AudioFilter, ContractRule, VideoFilter};

/// A document whose only key has these rules.
fn with_rules(rules: &str) -> String {
    let document = document();
    let start = document.find("<cpix:ContentKeyUsageRuleList>").unwrap();
    let ruled = format!(
        "{}<cpix:ContentKeyUsageRuleList>{rules}</cpix:ContentKeyUsageRuleList></cpix:CPIX>",
        &document[..start]
    );
    let one_key =
        ruled.replace(&format!("<cpix:ContentKey kid=\"{KID_2}\" commonEncryptionScheme=\"cenc\"/>\n"), "");
    let start = one_key.find(&format!("<cpix:DRMSystem kid=\"{KID_2}\"")).unwrap();
    let end = one_key.find("</cpix:DRMSystemList>").unwrap();
    [&one_key[..start], &one_key[end..]].concat()
}

fn rule(track_type: &str, filters: &str) -> String {
    format!(
        "<cpix:ContentKeyUsageRule kid=\"{KID}\" intendedTrackType=\"{track_type}\">{filters}</cpix:ContentKeyUsageRule>"
    )
}

#[test]
fn filters_that_select_what_the_track_type_says_are_taken() {
    for (track_type, filters) in [
        ("ALL", "<cpix:VideoFilter/><cpix:AudioFilter/>"),
        ("VIDEO", "<cpix:VideoFilter/>"),
        ("SD", "<cpix:VideoFilter maxPixels=\"589824\"/>"),
        ("SD+HD1", "<cpix:VideoFilter maxPixels=\"921600\"/>"),
        (
            "SD+HD1",
            "<cpix:VideoFilter maxPixels=\"589824\"/><cpix:VideoFilter minPixels=\"589825\" maxPixels=\"921600\"/>",
        ),
        ("HDR+HFR+UHD", "<cpix:VideoFilter hdr=\"true\" minFps=\"30\" minPixels=\"2073601\"/>"),
        ("HD2", "<cpix:VideoFilter minPixels=\"921601\" maxPixels=\"2073600\" hdr=\"false\" wcg=\"false\"/>"),
        ("STEREO_AUDIO", "<cpix:AudioFilter maxChannels=\"2\"/>"),
        ("MULTICHANNEL_AUDIO_3_6", "<cpix:AudioFilter minChannels=\"3\" maxChannels=\"6\"/>"),
        ("VIDEO+AUDIO", "<cpix:AudioFilter/><cpix:VideoFilter/>"),
        ("our tracks", "<cpix:AudioFilter/><cpix:VideoFilter/>"),
    ] {
        read(&with_rules(&rule(track_type, filters)), Protocol::Speke2_0)
            .unwrap_or_else(|fault| panic!("{track_type}: {fault}"));
    }
}

#[test]
fn filters_that_select_something_else_are_not() {
    for (track_type, filters) in [
        ("ALL", "<cpix:VideoFilter/>"),
        ("ALL", "<cpix:VideoFilter minPixels=\"1\"/><cpix:AudioFilter/>"),
        ("ALL", "<cpix:VideoFilter/><cpix:VideoFilter/><cpix:AudioFilter/>"),
        ("ALL+SD", "<cpix:VideoFilter/><cpix:AudioFilter/>"),
        ("VIDEO", "<cpix:AudioFilter/>"),
        ("SD", "<cpix:VideoFilter minPixels=\"589825\"/>"),
        ("UHD", "<cpix:VideoFilter maxPixels=\"2073600\"/>"),
        ("STEREO_AUDIO", "<cpix:AudioFilter minChannels=\"3\"/>"),
        ("SD+STEREO_AUDIO", "<cpix:VideoFilter/>"),
        ("VIDEO", "<cpix:VideoFilter minFps=\"30\" maxFps=\"30\"/>"),
        ("VIDEO", "<cpix:VideoFilter/><cpix:LabelFilter label=\"x\"/>"),
    ] {
        let fault = refusal(&with_rules(&rule(track_type, filters)), Protocol::Speke2_0);
        assert_eq!(fault.text(), "Malformed encryption contract", "{track_type} {filters}");
        assert!(fault.why().is_some());
    }
}

#[test]
fn a_track_type_stands_once_but_for_keys_of_different_periods() {
    let periods = |of: &[&str]| -> String {
        of.iter().map(|id| format!("<cpix:KeyPeriodFilter periodId=\"{id}\"/>")).collect()
    };
    let document = |first: &[&str], second: &[&str]| {
        let list = "<cpix:ContentKeyPeriodList><cpix:ContentKeyPeriod id=\"p1\" index=\"1\"/><cpix:ContentKeyPeriod id=\"p2\" index=\"2\"/></cpix:ContentKeyPeriodList><cpix:ContentKeyUsageRuleList>";
        changed("<cpix:ContentKeyUsageRuleList>", list)
            .replace("<cpix:VideoFilter/>", &format!("{}<cpix:VideoFilter/>", periods(first)))
            .replace(
                "intendedTrackType=\"AUDIO\"><cpix:AudioFilter/>",
                &format!("intendedTrackType=\"VIDEO\">{}<cpix:VideoFilter/>", periods(second)),
            )
    };
    let request = read(&document(&["p1"], &["p2"]), Protocol::Speke2_0).unwrap();
    assert_eq!(request.wanted().keys[1].period_ids, ["p2"]);
    for (first, second) in
        [(&[][..], &[][..]), (&["p1"], &["p1"]), (&["p1"], &[]), (&[], &["p2"]), (&["p1", "p2"], &["p2"])]
    {
        let fault = refusal(&document(first, second), Protocol::Speke2_0);
        assert_eq!(fault.text(), "Malformed encryption contract", "{first:?} {second:?}");
    }
}

#[test]
fn a_key_without_a_rule_is_a_malformed_contract() {
    let rule = format!(
        "<cpix:ContentKeyUsageRule kid=\"{KID_2}\" intendedTrackType=\"AUDIO\"><cpix:AudioFilter/></cpix:ContentKeyUsageRule>"
    );
    let fault = refusal(&changed(&rule, ""), Protocol::Speke2_0);
    assert_eq!(fault.why(), Some(format!("no rule is for KID {KID_2}").as_str()));
}

#[test]
fn what_the_account_keeps_apart_shares_no_key_of_that_system() {
    let demand = |apart| Settings {
        contract_rules: vec![ContractRule { system: DrmSystem::Widevine, apart }],
        ..settings()
    };
    let try_with = |settings: &Settings, track_type, filters, protocol| {
        Request::parse(with_rules(&rule(track_type, filters)).as_bytes(), protocol, settings).map(drop)
    };
    let all = "<cpix:VideoFilter/><cpix:AudioFilter/>";
    for (apart, track_type, filters) in [
        (Apart::AudioFromVideo, "ALL", all),
        (Apart::AudioFromVideo, "our own", all),
        (Apart::UhdFromOthers, "VIDEO", "<cpix:VideoFilter/>"),
        (Apart::UhdFromOthers, "HD+UHD", "<cpix:VideoFilter minPixels=\"589825\"/>"),
    ] {
        let fault = try_with(&demand(apart), track_type, filters, Protocol::Speke2_0).unwrap_err();
        assert_eq!(fault.text(), "Requested CPIX encryption contract not supported", "{track_type}");
        let other = Settings {
            contract_rules: vec![ContractRule { system: DrmSystem::PlayReady, apart }],
            ..settings()
        };
        try_with(&other, track_type, filters, Protocol::Speke2_0).unwrap();
    }
    for (apart, track_type, filters) in [
        (Apart::AudioFromVideo, "VIDEO", "<cpix:VideoFilter/>"),
        (Apart::UhdFromOthers, "UHD", "<cpix:VideoFilter minPixels=\"2073601\"/>"),
        (Apart::UhdFromOthers, "HD", "<cpix:VideoFilter maxPixels=\"2073600\"/>"),
        (Apart::UhdFromOthers, "AUDIO", "<cpix:AudioFilter/>"),
    ] {
        try_with(&demand(apart), track_type, filters, Protocol::Speke2_0).unwrap();
    }
    // Plain CPIX may leave rules out; a key for anything is a key for both.
    let unruled = document();
    let start = unruled.find("<cpix:ContentKeyUsageRuleList>").unwrap();
    let unruled = format!("{}</cpix:CPIX>", &unruled[..start]);
    read(&unruled, Protocol::Cpix).unwrap();
    let fault =
        Request::parse(unruled.as_bytes(), Protocol::Cpix, &demand(Apart::AudioFromVideo)).unwrap_err();
    assert_eq!(fault.text(), "Requested CPIX encryption contract not supported");
}

#[test]
fn filters_are_read_as_they_are() {
    let filters = "<cpix:VideoFilter minPixels=\"1\" maxPixels=\"2\" hdr=\"1\" minFps=\"24\" maxFps=\"30\"/><cpix:AudioFilter minChannels=\"1\" maxChannels=\"2\"/>";
    let request = read(&with_rules(&rule("x", filters)), Protocol::Speke2_0).unwrap();
    let rule = &request.wanted().rules[0];
    let video = VideoFilter {
        min_pixels: Some(1),
        max_pixels: Some(2),
        hdr: Some(true),
        min_fps: Some(24),
        max_fps: Some(30),
    };
    assert_eq!(rule.video, [video]);
    assert_eq!(rule.audio, [AudioFilter { min_channels: Some(1), max_channels: Some(2) }]);
    assert!(!rule.has_unknown_filter);
    let request = read(&with_rules(&rule_with_unknown()), Protocol::Cpix).unwrap();
    assert!(request.wanted().rules[0].has_unknown_filter && !request.wanted().notes.is_empty());
}

fn rule_with_unknown() -> String {
    rule("VIDEO", "<cpix:VideoFilter/><cpix:BitrateFilter minBitrate=\"1\"/>")
}
