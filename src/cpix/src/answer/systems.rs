//! `DRMSystem`: the values of the elements that the document has, or of all when it has none.

use std::collections::HashMap;

use keymoot_model::Kid;

use super::Filling;
use super::prefixes::Prefixes;
use crate::fault::Fault;
use crate::read::element_of;
use crate::settings::Settings;
use crate::signalling::{SignalledKey, SystemValues};
use crate::signals::SystemSignals;
use crate::wanted::{Wanted, WantedKey};
use crate::xml::{Element, Namespace, Node};
use crate::{DrmSystem, SystemElement};

pub(super) fn fill(
    root: &mut Element,
    wanted: &Wanted,
    fillings: &[Filling<'_>],
    tells_policy: bool,
    prefixes: &Prefixes,
    settings: &Settings,
) -> Result<(), Fault> {
    let by_kid: HashMap<Kid, (&WantedKey, Filling<'_>)> =
        wanted.keys.iter().zip(fillings).map(|(key, filling)| (key.kid, (key, *filling))).collect();
    let Some(list) = root.child_mut(Namespace::Cpix, "DRMSystemList") else { return Ok(()) };
    let elements = list.elements_mut().filter(|element| element.is(Namespace::Cpix, "DRMSystem"));
    for (element, asked) in elements.zip(&wanted.systems) {
        let Some((key, filling)) = by_kid.get(&asked.kid) else { continue };
        let signalled = SignalledKey {
            wanted: key,
            kid: filling.kid(),
            key: filling.key().map(|key| key.expose()),
            iv: filling.iv(key),
        };
        let values = SystemValues::new(asked.system, &signalled, settings)?;
        fill_elements(element, asked.system, &asked.elements, &values, prefixes)?;
        if tells_policy && let Some(signals) = filling.signals() {
            tell(element, signals.systems.get(&asked.system).unwrap_or(&SystemSignals::default()));
        }
    }
    Ok(())
}

fn fill_elements(
    element: &mut Element,
    system: DrmSystem,
    asked: &[SystemElement],
    values: &SystemValues<'_>,
    prefixes: &Prefixes,
) -> Result<(), Fault> {
    if element.elements().next().is_none() {
        element.children.clear();
        for asked in asked {
            let mut child = made(element, *asked, prefixes);
            child.set_text(values.value(*asked)?);
            element.children.push(Node::Element(child));
        }
        return Ok(());
    }
    for child in element.elements_mut() {
        match element_of(child)? {
            Some(asked) if system.has(asked) => child.set_text(values.value(asked)?),
            _ => {}
        }
    }
    Ok(())
}

/// An element that the document left to this server, in the namespace and with the words of its protocol.
fn made(parent: &Element, element: SystemElement, prefixes: &Prefixes) -> Element {
    let speke = |local| Element::new(Some(&prefixes.speke), local, Namespace::Speke);
    match element {
        SystemElement::Pssh => parent.sibling("PSSH"),
        SystemElement::ContentProtectionData => parent.sibling("ContentProtectionData"),
        SystemElement::HlsMedia => parent.sibling("HLSSignalingData").with_attribute("playlist", "media"),
        SystemElement::HlsMaster => parent.sibling("HLSSignalingData").with_attribute("playlist", "master"),
        SystemElement::SmoothHeader if !prefixes.speke.is_empty() => speke("ProtectionHeader"),
        SystemElement::SmoothHeader => parent.sibling("SmoothStreamingProtectionHeaderData"),
        SystemElement::UriExtXKey => parent.sibling("URIExtXKey"),
        SystemElement::KeyFormat => speke("KeyFormat"),
        SystemElement::KeyFormatVersions => speke("KeyFormatVersions"),
    }
}

/// What licenses of the system demand: as the policy says, added or in place of what the encryptor expected. Where the
/// policy says nothing, an expectation stays, and an empty attribute goes: it would say nothing.
fn tell(element: &mut Element, signals: &SystemSignals) {
    tell_attribute(element, "HLSAllowedCPC", signals.hls_allowed_cpc.as_deref());
    if let Some(data) = element.child_mut(Namespace::Cpix, "ContentProtectionData") {
        tell_attribute(data, "robustness", signals.robustness.as_deref());
    }
}

fn tell_attribute(element: &mut Element, name: &str, value: Option<&str>) {
    match (value, element.attribute(name)) {
        (Some(value), _) => element.set_attribute(name, value),
        (None, Some(given)) if given.trim().is_empty() => element.remove_attribute(name),
        (None, _) => {}
    }
}
