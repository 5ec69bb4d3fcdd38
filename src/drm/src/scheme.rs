//! The four protection schemes of Common Encryption (ISO/IEC 23001-7).

use std::fmt;
use std::str::FromStr;

use super::DrmError;

/// How samples are encrypted under the content key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProtectionScheme {
    /// AES-CTR over whole samples or subsamples. The default for uDRM clients.
    Cenc,
    /// AES-CTR over a pattern of blocks.
    Cens,
    /// AES-CBC over whole samples or subsamples.
    Cbc1,
    /// AES-CBC over a pattern of blocks, with a constant IV: the scheme of FairPlay and CMAF.
    Cbcs,
}

impl ProtectionScheme {
    pub const ALL: [Self; 4] = [Self::Cenc, Self::Cens, Self::Cbc1, Self::Cbcs];

    /// The name of the scheme, which is also the text of its FourCC: `cenc`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cenc => "cenc",
            Self::Cens => "cens",
            Self::Cbc1 => "cbc1",
            Self::Cbcs => "cbcs",
        }
    }

    /// The FourCC as a number, its first letter in the highest byte: `cenc` is `0x6365_6e63`.
    pub const fn four_cc(self) -> u32 {
        match self {
            Self::Cenc => u32::from_be_bytes(*b"cenc"),
            Self::Cens => u32::from_be_bytes(*b"cens"),
            Self::Cbc1 => u32::from_be_bytes(*b"cbc1"),
            Self::Cbcs => u32::from_be_bytes(*b"cbcs"),
        }
    }

    /// The scheme with this FourCC; some packagers send the number in place of the name.
    ///
    /// # Errors
    /// [`DrmError::UnknownScheme`] for any other number.
    pub fn from_four_cc(four_cc: u32) -> Result<Self, DrmError> {
        Self::ALL.into_iter().find(|scheme| scheme.four_cc() == four_cc).ok_or(DrmError::UnknownScheme)
    }

    /// Whether the cipher runs in counter mode (`cenc`, `cens`) rather than in CBC mode.
    pub const fn is_counter_mode(self) -> bool {
        matches!(self, Self::Cenc | Self::Cens)
    }
}

impl fmt::Display for ProtectionScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ProtectionScheme {
    type Err = DrmError;

    /// Accepts the name in any case: clients write `cbcs` and `CBCS`.
    fn from_str(text: &str) -> Result<Self, DrmError> {
        Self::ALL
            .into_iter()
            .find(|scheme| scheme.name().eq_ignore_ascii_case(text))
            .ok_or(DrmError::UnknownScheme)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_has_the_four_cc_of_the_standard() {
        let numbers = ProtectionScheme::ALL.map(ProtectionScheme::four_cc);
        assert_eq!(numbers, [1_667_591_779, 1_667_591_795, 1_667_392_305, 1_667_392_371]);
    }

    #[test]
    fn a_scheme_reads_back_from_its_name_in_any_case_and_from_its_number() {
        for scheme in ProtectionScheme::ALL {
            assert_eq!(scheme.name().parse(), Ok(scheme));
            assert_eq!(scheme.name().to_uppercase().parse(), Ok(scheme));
            assert_eq!(ProtectionScheme::from_four_cc(scheme.four_cc()), Ok(scheme));
        }
    }

    #[test]
    fn other_names_and_numbers_are_refused() {
        for text in ["", "cen", "cenc ", "aes", "cbcs1"] {
            assert_eq!(text.parse::<ProtectionScheme>(), Err(DrmError::UnknownScheme), "{text:?}");
        }
        assert_eq!(ProtectionScheme::from_four_cc(0), Err(DrmError::UnknownScheme));
    }
}
