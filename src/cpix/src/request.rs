//! A request document: read, asked what it wants, filled in.

use zeroize::Zeroizing;

use super::Protocol;
use super::answer::{self, SuppliedKey};
use super::fault::Fault;
use super::read;
use super::settings::Settings;
use super::wanted::Wanted;
use super::xml::{self, Element, Namespace};

/// A request document that can be answered.
#[derive(Debug)]
pub struct Request {
    root: Element,
    wanted: Wanted,
}

impl Request {
    /// Reads a document. Whatever a document can be refused for, it is refused for here, so that no key is made for
    /// one that is not answered.
    ///
    /// # Errors
    /// [`Fault`] says what is wrong, in SPEKE's words, and where.
    pub fn parse(document: &[u8], protocol: Protocol, settings: &Settings) -> Result<Self, Fault> {
        let root = xml::read(document)?;
        let wanted = read::wanted(&root, protocol, settings)?;
        Ok(Self { root, wanted })
    }

    /// What the document asks for.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The document filled in. The keys stand in the order of [`Wanted::keys`]; they are encrypted when, and only when,
    /// the document names recipients.
    ///
    /// # Errors
    /// [`Fault`] of status 500 when the caller supplied another number of keys, or the operating system has no
    /// randomness to encrypt them.
    pub fn answer(self, keys: &[SuppliedKey], settings: &Settings) -> Result<Zeroizing<Vec<u8>>, Fault> {
        answer::fill(self.root, &self.wanted, keys, settings)
    }

    /// The answer without keys, for people: key values, IVs of the server's, PlayReady's checksums and what a policy
    /// demands are left out.
    ///
    /// # Errors
    /// [`Fault`] of status 500 when a system's data cannot be made.
    pub fn preview(self, settings: &Settings) -> Result<Vec<u8>, Fault> {
        answer::preview(self.root, &self.wanted, settings)
    }
}

/// The protocol that a document most likely came by, from the document alone: its version, and what only SPEKE 1 has.
///
/// # Errors
/// [`Fault`] when it is not XML.
pub fn likely_protocol(document: &[u8]) -> Result<Protocol, Fault> {
    let mut root = xml::read(document)?;
    let version = root.attribute("version").map(|version| version.trim().to_owned());
    let has_content = root.attribute("contentId").is_some();
    let has_id = root.attribute("id").is_some();
    let mut has_speke = false;
    let speke = format!("\"{}\"", Namespace::Speke.uri());
    root.for_each(&mut |element| {
        let declares = |attribute: &xml::Attribute| format!("\"{}\"", attribute.value) == speke;
        has_speke |= element.namespace == Namespace::Speke || element.attributes.iter().any(declares);
    });
    let has_rules = root.child(Namespace::Cpix, "ContentKeyUsageRuleList").is_some();
    Ok(match version.as_deref() {
        Some("2.3") if has_rules => Protocol::Speke2_0,
        Some("2.4") if has_rules => Protocol::Speke2_1,
        None if has_speke || (has_id && !has_content) => Protocol::Speke1,
        _ => Protocol::Cpix,
    })
}
