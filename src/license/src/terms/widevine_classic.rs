//! Widevine Classic: the copy control of a track, as uDRM 2.4.2 lists it.

use serde::Serialize;

use keymoot_model::{Aps, CgmsA, Policy, TrackName, WidevineHdcp};

/// The copy control of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CopyControl {
    /// EMI, the two bits of CGMS-A: 0 copy free, 1 no more copies, 2 copy once, 3 copy never.
    emi: u8,
    /// APS, the two bits of Macrovision: 0 off, 1 to 3 its types.
    aps: u8,
    /// CIT: whether pictures are constrained on analog outputs.
    cit: u8,
    /// Whether digital outputs need HDCP. Classic has no versions: any demand means HDCP 1.
    hdcp: u8,
}

/// A policy's terms for a track. Classic cannot switch outputs off: such a demand becomes all the
/// protection that it has.
pub fn copy_control(policy: &Policy, track: &TrackName) -> CopyControl {
    let asked = policy.protection_of(track).widevine;
    let no_analog = asked.disable_analog_output == Some(true);
    CopyControl {
        emi: match asked.cgms_a {
            _ if no_analog => 3,
            None | Some(CgmsA::CopyFree) => 0,
            Some(CgmsA::CopyNoMore) => 1,
            Some(CgmsA::CopyOnce) => 2,
            Some(CgmsA::CopyNever) => 3,
        },
        aps: match asked.aps {
            _ if no_analog => 3,
            None | Some(Aps::Off) => 0,
            Some(Aps::Type1) => 1,
            Some(Aps::Type2) => 2,
            Some(Aps::Type3) => 3,
        },
        cit: u8::from(no_analog || asked.cit == Some(true)),
        hdcp: u8::from(asked.hdcp.is_some_and(|hdcp| hdcp != WidevineHdcp::None)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::golden;
    use super::*;

    #[test]
    fn a_policy_has_this_form() {
        let policy = golden::policy();
        let track = |name| copy_control(&policy, &golden::track(name));
        let form = json!({ "SD": track("SD"), "UHD1": track("UHD1"), "AUDIO": track("AUDIO") });
        golden::check(&form, include_str!("goldens/widevine-classic.json"));
        let nothing = CopyControl { emi: 0, aps: 0, cit: 0, hdcp: 0 };
        assert_eq!(copy_control(&golden::plain(), &golden::track("SD")), nothing);
    }

    #[test]
    fn outputs_that_must_be_off_are_guarded_with_all_there_is() {
        let document = br#"{"name":"p","protection":{"widevine":{"disable_analog_output":true}}}"#;
        let policy = Policy::from_json(document, None).unwrap();
        let control = copy_control(&policy, &golden::track("SD"));
        assert_eq!(control, CopyControl { emi: 3, aps: 3, cit: 1, hdcp: 0 });
    }
}
