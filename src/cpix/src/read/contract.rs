//! The encryption contract of SPEKE 2: whether rules, track types and filters fit each other and the account.

use std::collections::{HashMap, HashSet};

use keymoot_model::Kid;

use super::keys::KeyBeingRead;
use crate::fault::{Fault, FaultKind};
use crate::settings::Settings;
use crate::track_type::{TrackPreset, UHD};
use crate::wanted::{AudioFilter, UsageRule, VideoFilter};
use crate::xml::{Element, Namespace};
use crate::{Protocol, TrackType};
use keymoot_model::Apart;

pub(super) fn check(
    root: &Element,
    protocol: Protocol,
    keys: &[KeyBeingRead],
    rules: &[UsageRule],
    rules_of: &HashMap<Kid, Vec<&UsageRule>>,
    settings: &Settings,
) -> Result<(), Fault> {
    // A contract that can be missing must still keep apart what the account keeps apart.
    let place = root.child(Namespace::Cpix, "ContentKeyUsageRuleList").unwrap_or(root).place();
    let refuse = |kind, why: String| Err(Fault::at(kind, place.clone()).because(why));
    if protocol.is_speke_2() {
        if rules.iter().all(|rule| rule.video.is_empty() && rule.audio.is_empty()) {
            return refuse(
                FaultKind::MissingContract,
                "no rule has a VideoFilter or an AudioFilter".to_owned(),
            );
        }
        if let Err(why) = check_shape(rules) {
            return refuse(FaultKind::MalformedContract, why);
        }
        if let Some(key) = keys.iter().find(|key| !rules_of.contains_key(&key.kid)) {
            return refuse(FaultKind::MalformedContract, format!("no rule is for KID {}", key.kid));
        }
    }
    for rule in &settings.contract_rules {
        let mut of_system = keys.iter().filter(|key| key.systems.contains(&rule.system));
        if let Some(key) =
            of_system.find(|key| shares(rules_of.get(&key.kid).map_or(&[], Vec::as_slice), rule.apart))
        {
            let what = match rule.apart {
                Apart::AudioFromVideo => "audio and video",
                Apart::UhdFromOthers => "ultra high definition and other tracks",
            };
            let why = format!(
                "for {} the account keeps {what} apart, and KID {} is for both",
                rule.system, key.kid
            );
            return refuse(FaultKind::UnsupportedContract, why);
        }
    }
    Ok(())
}

fn check_shape(rules: &[UsageRule]) -> Result<(), String> {
    let mut periods_of: HashMap<&TrackType, HashSet<&str>> = HashMap::new();
    for rule in rules {
        let Some(track_type) = &rule.track_type else { continue };
        if rule.video.is_empty() && rule.audio.is_empty() {
            return Err(format!("the rule for {track_type} has neither VideoFilter nor AudioFilter"));
        }
        let seen_before = periods_of.contains_key(track_type);
        let periods = periods_of.entry(track_type).or_default();
        // A key for each period has the same tracks; then no two rules may meet in a period.
        let is_apart = !rule.period_ids.is_empty() && !periods.is_empty();
        if seen_before && (!is_apart || rule.period_ids.iter().any(|id| periods.contains(id.as_str()))) {
            return Err(format!("two rules are for {track_type} at the same time"));
        }
        periods.extend(rule.period_ids.iter().map(String::as_str));
        check_filters(rule, track_type)?;
    }
    let types = || periods_of.keys();
    if types().any(|track_type| track_type.is_all()) && types().any(|track_type| !track_type.is_all()) {
        return Err("ALL stands beside other track types".to_owned());
    }
    Ok(())
}

/// Whether the filters of a rule select what its track type says.
fn check_filters(rule: &UsageRule, track_type: &TrackType) -> Result<(), String> {
    if track_type.is_all() {
        let is_bare = track_type.as_str() == "ALL"
            && rule.video == [VideoFilter::default()]
            && rule.audio == [AudioFilter::default()];
        return if is_bare {
            Ok(())
        } else {
            Err("ALL stands alone, with one VideoFilter and one AudioFilter without attributes".to_owned())
        };
    }
    let unfit = |what: &str| Err(format!("the filters of {track_type} {what}"));
    // A name of the encryptor's own can mean any tracks.
    if track_type.presets().any(|preset| preset.is_none()) {
        return Ok(());
    }
    // A filter of each kind that the name has, and of no other.
    if track_type.has_video() == rule.video.is_empty() || track_type.has_audio() == rule.audio.is_empty() {
        return unfit("are of another kind than its tracks");
    }
    let presets = || track_type.presets().flatten();
    let video_fits = rule.video.iter().all(|filter| presets().any(|preset| fits_video(preset, filter)));
    let audio_fits = rule.audio.iter().all(|filter| presets().any(|preset| fits_audio(preset, filter)));
    if video_fits && audio_fits { Ok(()) } else { unfit("select none of its tracks") }
}

/// Whether a filter selects something of a preset.
fn fits_video(preset: TrackPreset, filter: &VideoFilter) -> bool {
    match preset {
        TrackPreset::Video { min_pixels, max_pixels } => {
            filter.min_pixels.unwrap_or(0) <= max_pixels
                && filter.max_pixels.unwrap_or(u64::MAX) >= min_pixels
        }
        TrackPreset::VideoKind | TrackPreset::All => true,
        TrackPreset::Audio { .. } => false,
    }
}

fn fits_audio(preset: TrackPreset, filter: &AudioFilter) -> bool {
    match preset {
        TrackPreset::Audio { min_channels, max_channels } => {
            filter.min_channels.unwrap_or(0) <= max_channels
                && filter.max_channels.unwrap_or(u64::MAX) >= min_channels
        }
        TrackPreset::All => true,
        TrackPreset::Video { .. } | TrackPreset::VideoKind => false,
    }
}

/// Whether one key is for what must be apart, as its filters say, or the names where there are none.
fn shares(rules: &[&UsageRule], apart: Apart) -> bool {
    let named =
        |of: fn(&TrackType) -> bool| rules.iter().any(|rule| rule.track_type.as_ref().is_some_and(of));
    let audio = named(TrackType::has_audio) || rules.iter().any(|rule| !rule.audio.is_empty());
    let video = named(TrackType::has_video) || rules.iter().any(|rule| !rule.video.is_empty());
    match apart {
        // A key without any rule may be used for all tracks.
        Apart::AudioFromVideo => (audio && video) || rules.is_empty(),
        Apart::UhdFromOthers => {
            let filters = || rules.iter().flat_map(|rule| &rule.video);
            let uhd = filters().any(|filter| filter.max_pixels.is_none_or(|max| max >= UHD));
            let lower = filters().any(|filter| filter.min_pixels.is_none_or(|min| min < UHD));
            (uhd && (lower || audio)) || rules.is_empty()
        }
    }
}
