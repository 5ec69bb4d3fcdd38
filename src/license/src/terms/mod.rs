//! A policy in each DRM system's own form: one file per system, and nowhere else.
//!
//! What a system cannot express is asked for more strictly, never left out; what a policy leaves
//! out, the system is not asked for. No duration is ever written as 0, which systems take for
//! "without end". The golden files beside this one show one policy in all forms.

pub mod clear_key;
pub mod fairplay;
pub mod playready;
pub mod widevine;
pub mod widevine_classic;

use std::num::NonZeroU32;

use keymoot_model::Policy;

/// How long a license may be good: as the policy says, and no longer than a device holds its slot,
/// so that one that does not renew the slot stops.
fn license_duration_s(policy: &Policy) -> Option<NonZeroU32> {
    let slot_s = policy.lease.map(|lease| lease.duration_s);
    [policy.license_duration_s, slot_s].into_iter().flatten().min()
}

#[cfg(test)]
mod golden {
    //! One policy that uses every member, and its forms.

    use serde_json::Value;

    use keymoot_model::{Policy, PolicyName, TrackName};

    /// The policy.
    pub(super) fn policy() -> Policy {
        Policy::from_json(include_bytes!("goldens/policy.json"), None).unwrap()
    }

    /// A policy that asks for nothing.
    pub(super) fn plain() -> Policy {
        Policy::streaming(PolicyName::new("plain").unwrap())
    }

    pub(super) fn track(name: &str) -> TrackName {
        TrackName::new(name).unwrap()
    }

    /// Compares a form with the golden file's text, and shows the form when they differ.
    pub(super) fn check(form: &Value, golden: &str) {
        let golden: Value = serde_json::from_str(golden).unwrap();
        assert_eq!(*form, golden, "{form:#}");
    }
}
