//! DRM systems, their ids, and the data made for them.

use std::fmt;

use bytes::BufMut as _;

use super::pssh;
use keymoot_model::Kid;

/// A DRM system that this server makes data for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum System {
    /// Google Widevine (Modular).
    Widevine,
    /// Microsoft PlayReady.
    PlayReady,
    /// The W3C's system-neutral `cenc` initialisation data: the key ids and nothing else.
    Common,
    /// Adobe Primetime, as far as its formats are public.
    Primetime,
}

impl System {
    pub const ALL: [Self; 4] = [Self::Widevine, Self::PlayReady, Self::Common, Self::Primetime];

    /// The id that its data is announced under.
    pub const fn id(self) -> SystemId {
        match self {
            Self::Widevine => SystemId::WIDEVINE,
            Self::PlayReady => SystemId::PLAYREADY,
            Self::Common => SystemId::COMMON,
            Self::Primetime => SystemId::PRIMETIME,
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Widevine => "Widevine",
            Self::PlayReady => "PlayReady",
            Self::Common => "Common",
            Self::Primetime => "Primetime",
        })
    }
}

/// The UUID under which a DRM system is registered; written as a lower-case dashed GUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemId([u8; 16]);

impl SystemId {
    /// Widevine, `edef8ba9-79d6-4ace-a3c8-27dcd51d21ed`.
    pub const WIDEVINE: Self = Self(0xedef8ba9_79d6_4ace_a3c8_27dcd51d21ed_u128.to_be_bytes());
    /// PlayReady, `9a04f079-9840-4286-ab92-e65be0885f95`.
    pub const PLAYREADY: Self = Self(0x9a04f079_9840_4286_ab92_e65be0885f95_u128.to_be_bytes());
    /// Common, `1077efec-c0b2-4d02-ace3-3c1e52e2fb4b`.
    pub const COMMON: Self = Self(0x1077efec_c0b2_4d02_ace3_3c1e52e2fb4b_u128.to_be_bytes());

    /// FairPlay, `94ce86fb-07ff-4f43-adb8-93d2fa968ca2`. It has no data of its own.
    pub const FAIRPLAY: Self = Self(0x94ce86fb_07ff_4f43_adb8_93d2fa968ca2_u128.to_be_bytes());

    /// Primetime, `f239e769-efa3-4850-9c16-a903c6932efb`.
    pub(crate) const PRIMETIME: Self = Self(0xf239e769_efa3_4850_9c16_a903c6932efb_u128.to_be_bytes());

    /// The id of these bytes, in the order of the text form.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The sixteen bytes, in the order of the text form.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Key ids and system ids have the same text form, so they share one writer.
        fmt::Display::fmt(&Kid::from_bytes(self.0), f)
    }
}

impl fmt::Debug for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The data of one DRM system for a key, as the uDRM `pssh` array carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemData {
    /// The system it is for.
    pub uuid: SystemId,
    /// The payload without the box header. For Common and Primetime it is all that follows the
    /// system id in a version 1 box (count, key ids, a data size of 0): packagers copy it there as
    /// it is.
    pub data: Vec<u8>,
}

impl SystemData {
    /// The whole `pssh` box: version 1 for Common and Primetime, whose data begins with the list of
    /// key ids, version 0 for the others, whose payload names the keys itself.
    pub fn pssh_box(&self) -> Vec<u8> {
        if ![SystemId::COMMON, SystemId::PRIMETIME].contains(&self.uuid) {
            return pssh::PsshBox { system: self.uuid, kids: None, data: self.data.clone() }.to_bytes();
        }
        let mut out = Vec::with_capacity(pssh::PRELUDE_BYTES + self.data.len());
        pssh::put_prelude(&mut out, pssh::PRELUDE_BYTES + self.data.len(), 1, self.uuid);
        out.put_slice(&self.data);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_ids_are_lower_case_dashed_guids() {
        assert_eq!(SystemId::WIDEVINE.to_string(), "edef8ba9-79d6-4ace-a3c8-27dcd51d21ed");
        assert_eq!(SystemId::PLAYREADY.to_string(), "9a04f079-9840-4286-ab92-e65be0885f95");
        assert_eq!(SystemId::PRIMETIME.to_string(), "f239e769-efa3-4850-9c16-a903c6932efb");
        assert_eq!(SystemId::COMMON.to_string(), "1077efec-c0b2-4d02-ace3-3c1e52e2fb4b");
    }
}
