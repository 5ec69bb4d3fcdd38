//! Which protocol a document came by: what it must hold, and how its content is named, follow from that.

use std::fmt;

/// How a document came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// SPEKE 1: no version header, `CPIX@id` names the content, one key for it.
    Speke1,
    /// SPEKE 2.0, on CPIX 2.3.
    Speke2_0,
    /// SPEKE 2.1, on CPIX 2.4.
    Speke2_1,
    /// CPIX 2.0 to 2.4 without SPEKE's rules.
    Cpix,
}

impl Protocol {
    pub const ALL: [Self; 4] = [Self::Speke1, Self::Speke2_0, Self::Speke2_1, Self::Cpix];

    /// The header that names SPEKE's version, in requests and answers of version 2.
    pub const VERSION_HEADER: &'static str = "X-Speke-Version";

    /// The versions of plain CPIX that are read.
    pub const CPIX_VERSIONS: [&'static str; 5] = ["2.0", "2.1", "2.2", "2.3", "2.4"];

    /// The protocol of a request at a SPEKE path by its `X-Speke-Version`; `None` for a version that is not known,
    /// which is refused without a look at the body ([`crate::Fault::unsupported_speke_version`]).
    pub fn of_speke_version(header: Option<&str>) -> Option<Self> {
        match header.map(str::trim) {
            None | Some("1.0") => Some(Self::Speke1),
            Some("2.0") => Some(Self::Speke2_0),
            Some("2.1") => Some(Self::Speke2_1),
            Some(_) => None,
        }
    }

    /// The protocol's name in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Speke1 => "speke-1",
            Self::Speke2_0 => "speke-2.0",
            Self::Speke2_1 => "speke-2.1",
            Self::Cpix => "cpix",
        }
    }

    /// What the answer's [`Self::VERSION_HEADER`] says; none in SPEKE 1 and in plain CPIX.
    pub const fn speke_version(self) -> Option<&'static str> {
        match self {
            Self::Speke2_0 => Some("2.0"),
            Self::Speke2_1 => Some("2.1"),
            Self::Speke1 | Self::Cpix => None,
        }
    }

    /// The header of the answer that must name the server, not empty; plain CPIX has none.
    pub const fn user_agent_header(self) -> Option<&'static str> {
        match self {
            Self::Speke1 => Some("Speke-User-Agent"),
            Self::Speke2_0 | Self::Speke2_1 => Some("X-Speke-User-Agent"),
            Self::Cpix => None,
        }
    }

    /// Whether it is SPEKE 2.0 or later, with its strict rules for schemes, contract and lists.
    pub const fn is_speke_2(self) -> bool {
        matches!(self, Self::Speke2_0 | Self::Speke2_1)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
