//! From the tree to what is wanted, with everything that can be refused refused here: before a key is made.

mod contract;
mod delivery;
mod keys;
mod periods;
mod rules;
mod systems;
mod values;

use std::collections::HashMap;

pub use delivery::{RECIPIENTS_MAX, Recipient};
use keymoot_model::{ContentId, Kid};
pub(crate) use systems::element_of;

use super::fault::{Fault, FaultKind};
use super::settings::Settings;
use super::wanted::{Note, UsageRule, Wanted};
use super::xml::{Element, Namespace};
use super::{KeyKind, Protocol};

/// The lists of a document, each at most once, in the order of the schema.
pub(crate) const LISTS: [&str; 5] = [
    "DeliveryDataList",
    "ContentKeyList",
    "DRMSystemList",
    "ContentKeyPeriodList",
    "ContentKeyUsageRuleList",
];

/// Reads what a document wants.
pub(crate) fn wanted(root: &Element, protocol: Protocol, settings: &Settings) -> Result<Wanted, Fault> {
    if !root.is(Namespace::Cpix, "CPIX") {
        return Err(Fault::at(FaultKind::Root, root.place()));
    }
    check_version(root, protocol)?;
    let content = content_id(root, protocol)?;
    for list in LISTS {
        if let Some(second) = root.children_named(Namespace::Cpix, list).nth(1) {
            return Err(Fault::at(FaultKind::Repeated { what: list.to_owned() }, second.place()));
        }
    }
    let mut notes = Vec::new();
    let mut keys = keys::read(root, protocol, content.as_ref())?;
    let systems = systems::read(root, protocol, &mut keys, settings, &mut notes)?;
    keys::settle_schemes(root, protocol, &mut keys)?;
    systems::check_schemes(root, &keys)?;
    let periods = periods::read(root)?;
    let rules = rules::read(root, protocol, &keys, &periods, &mut notes)?;
    let mut rules_of: HashMap<Kid, Vec<&UsageRule>> = HashMap::new();
    rules.iter().for_each(|rule| rules_of.entry(rule.kid).or_default().push(rule));
    for key in &mut keys {
        for rule in rules_of.get(&key.kid).into_iter().flatten() {
            key.wanted.track_types.extend(rule.track_type.clone());
            key.wanted.period_ids.extend(rule.period_ids.iter().cloned());
        }
        key.wanted.period_ids.sort();
        key.wanted.period_ids.dedup();
    }
    contract::check(root, protocol, &keys, &rules, &rules_of, settings)?;
    let recipients = delivery::read(root)?;
    if settings.demands_encryption && recipients.is_empty() {
        return Err(Fault::at(FaultKind::EncryptionDemanded, root.place()));
    }
    for signature in root.children_named(Namespace::XmlSignature, "Signature") {
        let text = "the answer has no signature: what was signed is changed by it".to_owned();
        notes.push(Note { place: signature.place(), text });
    }
    let keys: Vec<_> = keys.into_iter().map(|key| key.wanted).collect();
    debug_assert!(keys.iter().all(|key| key.kind == KeyKind::Protected || key.systems.len() == 1));
    Ok(Wanted { protocol, keys, systems, periods, rules, recipients, notes })
}

fn check_version(root: &Element, protocol: Protocol) -> Result<(), Fault> {
    let version = root.attribute("version").map(str::trim).filter(|version| !version.is_empty());
    let (is_known, why) = match (protocol, version) {
        (Protocol::Speke1, _) | (Protocol::Cpix, None) => (true, ""),
        (Protocol::Speke2_0, Some(version)) => (version == "2.3", "SPEKE 2.0 has version 2.3"),
        (Protocol::Speke2_1, Some(version)) => (version == "2.4", "SPEKE 2.1 has version 2.4"),
        (Protocol::Cpix, Some(version)) => {
            (Protocol::CPIX_VERSIONS.contains(&version), "versions 2.0 to 2.4 are known")
        }
        (Protocol::Speke2_0 | Protocol::Speke2_1, None) => {
            return Err(Fault::at(FaultKind::MissingVersion, root.place()));
        }
    };
    if is_known { Ok(()) } else { Err(Fault::at(FaultKind::UnsupportedVersion, root.place()).because(why)) }
}

/// The content of the whole document; none where each key names its own.
fn content_id(root: &Element, protocol: Protocol) -> Result<Option<ContentId>, Fault> {
    let given = |attribute: &str| root.attribute(attribute).filter(|text| !text.is_empty());
    let (attribute, text, missing) = match protocol {
        Protocol::Speke1 => ("CPIX@id", given("id"), FaultKind::MissingId),
        Protocol::Speke2_0 => ("CPIX@contentId", given("contentId"), FaultKind::MissingContentId),
        Protocol::Speke2_1 => match given("contentId") {
            None if is_by_key(root) => return Ok(None),
            text => ("CPIX@contentId", text, FaultKind::MissingContentId),
        },
        // Documents from before contentId was usual name their content by their id.
        Protocol::Cpix => match (given("contentId"), given("id")) {
            (None, _) if is_by_key(root) => return Ok(None),
            (None, Some(id)) => ("CPIX@id", Some(id), FaultKind::MissingContentId),
            (text, _) => ("CPIX@contentId", text, FaultKind::MissingContentId),
        },
    };
    let text = text.ok_or_else(|| {
        let fault = Fault::at(missing, root.place());
        match protocol {
            Protocol::Speke1 => fault.because("a request without X-Speke-Version is read as SPEKE 1"),
            _ => fault,
        }
    })?;
    let content = ContentId::new(text);
    content.map(Some).map_err(|error| Fault::at(FaultKind::ContentId { attribute, error }, root.place()))
}

/// Whether the keys name their contents themselves.
fn is_by_key(root: &Element) -> bool {
    let list = root.child(Namespace::Cpix, "ContentKeyList");
    list.is_some_and(|list| list.elements().any(|key| key.attribute("contentId").is_some()))
}

/// The elements of a list.
fn list<'a>(root: &'a Element, list: &str, element: &'static str) -> impl Iterator<Item = &'a Element> {
    let list = root.child(Namespace::Cpix, list);
    list.into_iter().flat_map(move |list| list.children_named(Namespace::Cpix, element))
}

/// Refuses a document without a list, or with an empty one.
fn demand_list(root: &Element, name: &'static str, element: &'static str) -> Result<(), Fault> {
    let Some(found) = root.child(Namespace::Cpix, name) else {
        return Err(Fault::at(FaultKind::Missing { what: name }, root.place()));
    };
    if found.children_named(Namespace::Cpix, element).next().is_none() {
        return Err(Fault::at(FaultKind::Missing { what: element }, found.place()));
    }
    Ok(())
}
