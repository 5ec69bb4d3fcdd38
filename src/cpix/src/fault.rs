//! What is wrong with a request, in the words that SPEKE's clients expect.
//!
//! [`Fault::text`] is the body of the answer, [`Fault::status`] its status. `Display` adds why and where, for the log
//! and for people. No fault repeats a key; of the document it repeats ids, names and versions.

use std::fmt;

use keymoot_drm::DrmError;
use keymoot_model::{IdError, Kid};

use crate::xml::Place;

/// Why a document is not answered, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    kind: Box<FaultKind>,
    place: Option<Place>,
    why: Option<String>,
}

/// The kinds of faults. Their texts are SPEKE's where SPEKE has one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    #[error("Empty CPIX document")]
    Empty,
    #[error("The CPIX document is not text: byte {at} is neither UTF-8 nor UTF-16")]
    NotText { at: usize },
    #[error("The CPIX document says that it is in {declared}; send it in UTF-8")]
    Encoding { declared: String },
    #[error("The CPIX document is not well-formed XML: {what}")]
    NotXml { what: String },
    #[error("A CPIX document must hold no {what}")]
    Forbidden { what: &'static str },
    #[error("The CPIX document has more than {max} {what}")]
    TooLarge { what: &'static str, max: usize },
    #[error("The root element must be CPIX in the namespace urn:dashif:org:cpix")]
    Root,
    #[error("Missing CPIX@contentId")]
    MissingContentId,
    #[error("Missing CPIX@id")]
    MissingId,
    #[error("Malformed {attribute}: {error}")]
    ContentId { attribute: &'static str, error: IdError },
    #[error("CPIX@contentId and ContentKey@contentId name two contents")]
    TwoContentIds,
    #[error("Missing CPIX@version")]
    MissingVersion,
    #[error("Unsupported CPIX@version")]
    UnsupportedVersion,
    #[error("Unsupported SPEKE version")]
    UnsupportedSpekeVersion,
    /// An element or attribute that must be there.
    #[error("Missing {what}")]
    Missing { what: &'static str },
    /// One that stands there twice.
    #[error("Repeated {what}")]
    Repeated { what: String },
    #[error("Malformed {what}: {form}")]
    Malformed { what: &'static str, form: &'static str },
    #[error("Missing ContentKey@commonEncryptionScheme for KID {kid}")]
    MissingScheme { kid: String },
    #[error("Unsupported ContentKey@commonEncryptionScheme for KID {kid}")]
    UnsupportedScheme { kid: String },
    #[error("Non compliant ContentKey@commonEncryptionScheme combination")]
    SchemeCombination,
    #[error("ContentKey@commonEncryptionScheme non compatible with DRMSystem {system_id}")]
    SchemeOfSystem { system_id: String },
    #[error("Malformed encryption contract")]
    MalformedContract,
    #[error("Requested CPIX encryption contract not supported")]
    UnsupportedContract,
    #[error("Missing CPIX encryption contract")]
    MissingContract,
    #[error("Unsupported DRMSystem@systemId {system_id}")]
    UnsupportedSystem { system_id: String },
    #[error("DRMSystem {system_id} has no {element}")]
    NoSuchData { system_id: String, element: String },
    #[error("{element}@kid {kid} names no ContentKey")]
    UnknownKid { element: &'static str, kid: Kid },
    #[error("KeyPeriodFilter@periodId names no ContentKeyPeriod")]
    UnknownPeriod,
    #[error("ContentKey {kid} holds a key already")]
    KeyGiven { kid: Kid },
    #[error("KID {kid} is wanted for clear AES-128 and for a DRM system")]
    ClearAndProtected { kid: Kid },
    #[error("Unusable DeliveryKey: {what}")]
    Recipient { what: &'static str },
    #[error("Keys are delivered encrypted only; send a DeliveryDataList with a certificate")]
    EncryptionDemanded,
    #[error("The account has no {what}")]
    NotConfigured { what: &'static str },
    #[error("The key server could not fill the document in")]
    Internal,
}

impl Fault {
    pub(crate) fn at(kind: FaultKind, place: Place) -> Self {
        Self { place: Some(place), ..Self::from(kind) }
    }

    #[must_use]
    pub(crate) fn because(self, why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..self }
    }

    /// The fault of a request whose `X-Speke-Version` is not known.
    pub fn unsupported_speke_version() -> Self {
        Self::from(FaultKind::UnsupportedSpekeVersion)
            .because("X-Speke-Version must be 2.0 or 2.1, or be left out for SPEKE 1")
    }

    pub fn kind(&self) -> &FaultKind {
        &self.kind
    }

    /// The status of the answer: 422, as SPEKE's clients expect, but 413 for what is too large, and 500 where the
    /// document is not to blame.
    pub fn status(&self) -> u16 {
        match *self.kind {
            FaultKind::TooLarge { what: "bytes", .. } => 413,
            FaultKind::Internal => 500,
            _ => 422,
        }
    }

    /// The body of the answer. It is one line of visible ASCII, so that it fits a header too.
    pub fn text(&self) -> String {
        self.kind.to_string().chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
    }

    /// What is wrong in detail, where the text does not say it.
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// The element that is wrong, and where it begins.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self { kind: Box::new(kind), place: None, why: None }
    }
}

impl From<DrmError> for Fault {
    /// Whether a system knows a scheme was asked before, so that its data cannot be refused for the document.
    fn from(error: DrmError) -> Self {
        Self::from(FaultKind::Internal).because(error.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())?;
        if let Some(why) = &self.why {
            write!(f, ": {why}")?;
        }
        match &self.place {
            Some(place) => write!(f, " ({place})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Fault {}
