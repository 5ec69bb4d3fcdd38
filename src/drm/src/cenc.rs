//! The Common system: the W3C's `cenc` initialisation data, a version 1 box that lists key ids.
//!
//! Any content decryption module may read it. It is not a license system, and its presence alone does not
//! mean Clear Key.

use bytes::BufMut as _;

use super::pssh::{take_kids, take_u32};
use super::{ContentKeyInfo, DrmError, Provider, System, SystemData, SystemId};
use keymoot_model::Kid;

/// Makes the Common system's data: count, key ids, and a data size of 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct CencCommon;

impl Provider for CencCommon {
    fn system_id(&self) -> SystemId {
        SystemId::COMMON
    }

    fn system_data(&self, info: &ContentKeyInfo<'_>) -> Result<SystemData, DrmError> {
        let mut data = Vec::with_capacity(24);
        data.put_u32(1);
        data.put_slice(info.kid.as_bytes());
        data.put_u32(0);
        Ok(SystemData { uuid: self.system_id(), data })
    }

    fn kids(&self, data: &[u8]) -> Result<Vec<Kid>, DrmError> {
        let mut rest = data;
        let kids = take_kids(&mut rest)?;
        if take_u32(&mut rest, "data size")? != 0 || !rest.is_empty() {
            return Err(DrmError::Malformed { system: System::Common, what: "it holds more than key ids" });
        }
        Ok(kids)
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::Sample;
    use super::super::pssh::PsshError;
    use super::*;

    #[test]
    fn the_box_is_of_version_1_with_the_data_behind_the_system_id() {
        let made = CencCommon.system_data(&Sample::fixed().info()).unwrap();
        assert_eq!(
            made.pssh_box(),
            [
                &[0, 0, 0, 52][..],
                b"pssh",
                &[1, 0, 0, 0],
                b"\x10\x77\xef\xec\xc0\xb2\x4d\x02\xac\xe3\x3c\x1e\x52\xe2\xfb\x4b",
                &[0, 0, 0, 1],
                b"\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff",
                &[0, 0, 0, 0],
            ]
            .concat()
        );
    }

    #[test]
    fn data_behind_the_key_ids_or_cut_off_is_refused() {
        assert_eq!(
            CencCommon.kids(&[0, 0, 0, 0, 0, 0, 0, 1, 9]),
            Err(DrmError::Malformed { system: System::Common, what: "it holds more than key ids" })
        );
        assert_eq!(
            CencCommon.kids(&[0, 0, 0, 2, 0, 0, 0, 0]),
            Err(DrmError::Pssh(PsshError::Truncated { what: "list of key ids" }))
        );
        assert!(CencCommon.kids(&[]).is_err());
    }
}
