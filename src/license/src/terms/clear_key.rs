//! Clear Key: whether a track may be licensed by it at all.
//!
//! A Clear Key license is keys and nothing else: it protects neither keys nor outputs and never
//! expires. So a track for which the policy demands protection from any system is refused, unless
//! the policy explicitly permits Clear Key.

use keymoot_model::{Aps, CgmsA, FairPlayHdcp, Policy, Protection, TrackName, WidevineHdcp};

/// Why a track gets no Clear Key license.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClearKeyRefusal {
    /// The policy forbids it.
    #[error("policy {policy} allows no Clear Key license of track {track}")]
    Forbidden { policy: String, track: TrackName },
    /// The policy demands protection that Clear Key cannot provide.
    #[error(
        "policy {policy} asks for protection of track {track} that Clear Key cannot give; \
         protection.clear_key.allow would let it be served all the same"
    )]
    Unprotected { policy: String, track: TrackName },
}

/// Whether Clear Key may serve a track.
///
/// # Errors
/// [`ClearKeyRefusal`] says why not.
pub fn permit(policy: &Policy, track: &TrackName) -> Result<(), ClearKeyRefusal> {
    let protection = policy.protection_of(track);
    let (name, track) = (policy.name.to_string(), track.clone());
    match protection.clear_key.allow {
        Some(true) => Ok(()),
        Some(false) => Err(ClearKeyRefusal::Forbidden { policy: name, track }),
        None if asks_for_any(&protection) => Err(ClearKeyRefusal::Unprotected { policy: name, track }),
        None => Ok(()),
    }
}

/// Whether any system must protect the track by more than software can everywhere.
fn asks_for_any(protection: &Protection) -> bool {
    let Protection { widevine, playready, fairplay, clear_key: _ } = protection;
    let widevine_asks = widevine.security_level.is_some_and(|level| level.number() > 1)
        || widevine.hdcp.is_some_and(|hdcp| hdcp != WidevineHdcp::None)
        || widevine.cgms_a.is_some_and(|cgms_a| cgms_a != CgmsA::CopyFree)
        || widevine.aps.is_some_and(|aps| aps != Aps::Off)
        || widevine.cit == Some(true)
        || widevine.disable_analog_output == Some(true);
    // 150 is PlayReady's security level of test devices, 100 the output protection level without
    // protection.
    let playready_asks = playready.minimum_security_level.is_some_and(|level| level.number() > 150)
        || playready.compressed_digital_audio.is_some_and(|level| level.number() > 100)
        || playready.uncompressed_digital_audio.is_some_and(|level| level.number() > 100)
        || playready.compressed_digital_video.is_some()
        || playready.uncompressed_digital_video.is_some_and(|level| level.number() > 100)
        || playready.analog_television.is_some_and(|level| level.number() > 100);
    widevine_asks || playready_asks || fairplay.hdcp.is_some_and(|hdcp| hdcp != FairPlayHdcp::None)
}

#[cfg(test)]
mod tests {
    use super::super::golden;
    use super::*;

    fn permitted(protection: &str) -> Result<(), ClearKeyRefusal> {
        let document = format!(r#"{{"name":"p","protection":{protection}}}"#);
        permit(&Policy::from_json(document.as_bytes(), None).unwrap(), &golden::track("SD"))
    }

    #[test]
    fn a_track_that_asks_for_protection_is_not_served_by_clear_key() {
        for protection in [
            r#"{"widevine":{"security_level":2}}"#,
            r#"{"widevine":{"hdcp":"v1"}}"#,
            r#"{"widevine":{"cgms_a":"copy_never"}}"#,
            r#"{"widevine":{"aps":"type1"}}"#,
            r#"{"widevine":{"cit":true}}"#,
            r#"{"widevine":{"disable_analog_output":true}}"#,
            r#"{"playready":{"minimum_security_level":2000}}"#,
            r#"{"playready":{"compressed_digital_audio":150}}"#,
            r#"{"playready":{"uncompressed_digital_audio":300}}"#,
            r#"{"playready":{"compressed_digital_video":400}}"#,
            r#"{"playready":{"uncompressed_digital_video":270}}"#,
            r#"{"playready":{"analog_television":150}}"#,
            r#"{"fairplay":{"hdcp":"type0"}}"#,
        ] {
            assert!(
                matches!(permitted(protection), Err(ClearKeyRefusal::Unprotected { .. })),
                "{protection}"
            );
            let allowed = protection.replacen('{', r#"{"clear_key":{"allow":true},"#, 1);
            assert_eq!(permitted(&allowed), Ok(()), "{allowed}");
        }
    }

    #[test]
    fn a_track_that_asks_for_nothing_is_served_unless_that_is_forbidden() {
        for protection in [
            "{}",
            r#"{"widevine":{"security_level":1,"hdcp":"none","cgms_a":"copy_free","aps":"off","cit":false}}"#,
            r#"{"playready":{"minimum_security_level":150,"analog_television":100}}"#,
            r#"{"fairplay":{"hdcp":"none"}}"#,
        ] {
            assert_eq!(permitted(protection), Ok(()), "{protection}");
        }
        let refused = permitted(r#"{"clear_key":{"allow":false}}"#);
        assert!(matches!(refused, Err(ClearKeyRefusal::Forbidden { .. })));
    }
}
