//! `ContentKeyUsageRuleList`: which key encrypts which tracks, in which periods.

use std::collections::HashSet;

use super::keys::KeyBeingRead;
use super::{demand_list, list, values};
use crate::fault::{Fault, FaultKind};
use crate::wanted::{AudioFilter, KeyPeriod, Note, PERIODS_MAX, UsageRule, VideoFilter};
use crate::xml::{Element, Namespace};
use crate::{Protocol, TrackType};

pub(super) fn read(
    root: &Element,
    protocol: Protocol,
    keys: &[KeyBeingRead],
    periods: &[KeyPeriod],
    notes: &mut Vec<Note>,
) -> Result<Vec<UsageRule>, Fault> {
    if protocol.is_speke_2() {
        demand_list(root, "ContentKeyUsageRuleList", "ContentKeyUsageRule")?;
    }
    let kids: HashSet<_> = keys.iter().map(|key| key.kid).collect();
    let ids: HashSet<&str> = periods.iter().map(|period| period.id.as_str()).collect();
    let mut rules = Vec::new();
    for element in list(root, "ContentKeyUsageRuleList", "ContentKeyUsageRule") {
        if rules.len() >= PERIODS_MAX {
            return Err(Fault::at(FaultKind::TooLarge { what: "rules", max: PERIODS_MAX }, element.place()));
        }
        let kid = values::kid(element, "kid", "ContentKeyUsageRule@kid")?;
        if !kids.contains(&kid) {
            let kind = FaultKind::UnknownKid { element: "ContentKeyUsageRule", kid };
            return Err(Fault::at(kind, element.place()));
        }
        let track_type = track_type(element, protocol)?;
        let mut rule = UsageRule {
            kid,
            track_type,
            period_ids: Vec::new(),
            video: Vec::new(),
            audio: Vec::new(),
            has_unknown_filter: false,
        };
        for filter in element.elements() {
            read_filter(filter, protocol, &ids, &mut rule, notes)?;
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn track_type(element: &Element, protocol: Protocol) -> Result<Option<TrackType>, Fault> {
    let what = "ContentKeyUsageRule@intendedTrackType";
    match element.attribute("intendedTrackType").filter(|text| !text.is_empty()) {
        Some(text) => TrackType::new(text).map(Some).ok_or_else(|| {
            let form = "it must be a name, or names with + between them";
            Fault::at(FaultKind::Malformed { what, form }, element.place())
        }),
        None if protocol.is_speke_2() => Err(Fault::at(FaultKind::Missing { what }, element.place())),
        None => Ok(None),
    }
}

fn read_filter(
    filter: &Element,
    protocol: Protocol,
    periods: &HashSet<&str>,
    rule: &mut UsageRule,
    notes: &mut Vec<Note>,
) -> Result<(), Fault> {
    let malformed = |why: &str| Fault::at(FaultKind::MalformedContract, filter.place()).because(why);
    match (filter.namespace, filter.local.as_str()) {
        (Namespace::Cpix, "KeyPeriodFilter") => {
            let id = filter.attribute("periodId").unwrap_or_default();
            if !periods.contains(id) {
                return Err(Fault::at(FaultKind::UnknownPeriod, filter.place()));
            }
            rule.period_ids.push(id.to_owned());
        }
        (Namespace::Cpix, "VideoFilter") => {
            if filter.attribute("wcg").is_some() {
                notes.push(Note { place: filter.place(), text: "wcg is not looked at".to_owned() });
            }
            let read = video_filter(filter);
            rule.video.push(read.ok_or_else(|| {
                malformed("a VideoFilter has numbers, hdr is true or false, and none is below its minimum")
            })?);
        }
        (Namespace::Cpix, "AudioFilter") => {
            let read = audio_filter(filter);
            rule.audio.push(read.ok_or_else(|| {
                malformed("an AudioFilter has numbers of channels, the maximum not below the minimum")
            })?);
        }
        (Namespace::Cpix, _) if protocol.is_speke_2() => {
            return Err(malformed("SPEKE knows VideoFilter, AudioFilter and KeyPeriodFilter"));
        }
        _ => {
            rule.has_unknown_filter = true;
            let text = "not known here, so nobody should choose tracks by this rule".to_owned();
            notes.push(Note { place: filter.place(), text });
        }
    }
    Ok(())
}

fn video_filter(filter: &Element) -> Option<VideoFilter> {
    let number = |name| values::number(filter, name).ok();
    let read = VideoFilter {
        min_pixels: number("minPixels")?,
        max_pixels: number("maxPixels")?,
        hdr: values::truth(filter, "hdr").ok()?,
        min_fps: number("minFps")?,
        max_fps: number("maxFps")?,
    };
    // The least rate is exclusive, so that nothing is between two that are the same.
    let rates = read.min_fps.zip(read.max_fps).is_none_or(|(min, max)| min < max);
    let pixels = read.min_pixels.zip(read.max_pixels).is_none_or(|(min, max)| min <= max);
    (rates && pixels).then_some(read)
}

fn audio_filter(filter: &Element) -> Option<AudioFilter> {
    let number = |name| values::number(filter, name).ok();
    let read = AudioFilter { min_channels: number("minChannels")?, max_channels: number("maxChannels")? };
    let channels = read.min_channels.zip(read.max_channels).is_none_or(|(min, max)| min <= max);
    channels.then_some(read)
}
