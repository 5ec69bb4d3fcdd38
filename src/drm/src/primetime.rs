//! Adobe Primetime, as far as its formats are public: its system id over a version 1 box.
//!
//! The box names the key ids in the form that Common Encryption defines, which lets a player find its key.
//! The DRM metadata of Adobe's own tools has no public format and is not made here.

use super::{CencCommon, ContentKeyInfo, DrmError, Provider, System, SystemData, SystemId};
use keymoot_model::Kid;

/// Makes Primetime's box: the list of key ids of [`CencCommon`], under Primetime's own system id.
#[derive(Clone, Copy, Debug, Default)]
pub struct Primetime;

impl Provider for Primetime {
    fn system_id(&self) -> SystemId {
        SystemId::PRIMETIME
    }

    fn system_data(&self, info: &ContentKeyInfo<'_>) -> Result<SystemData, DrmError> {
        let listed = CencCommon.system_data(info)?;
        Ok(SystemData { uuid: self.system_id(), ..listed })
    }

    fn kids(&self, data: &[u8]) -> Result<Vec<Kid>, DrmError> {
        CencCommon.kids(data).map_err(|error| match error {
            DrmError::Malformed { what, .. } => DrmError::Malformed { system: System::Primetime, what },
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::Sample;
    use super::super::pssh::parse_boxes;
    use super::*;

    #[test]
    fn the_box_is_of_version_1_and_names_the_key_under_primetimes_id() {
        let sample = Sample::fixed();
        let made = Primetime.system_data(&sample.info()).unwrap();
        let [only] = parse_boxes(&made.pssh_box()).unwrap().try_into().unwrap();
        assert_eq!(only.system, SystemId::PRIMETIME);
        assert_eq!(only.kids, Some(vec![sample.kid]));
        assert!(only.data.is_empty());
    }

    #[test]
    fn a_refusal_names_primetime() {
        let refused = Primetime.kids(&[0, 0, 0, 0, 0, 0, 0, 1, 9]).unwrap_err();
        assert!(matches!(refused, DrmError::Malformed { system: System::Primetime, .. }), "{refused}");
    }
}
