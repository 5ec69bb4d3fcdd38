//! Prefixes for what is added: the document's own where they hold everywhere, else new ones at the root.

use std::collections::BTreeSet;

use crate::xml::{Attribute, Element, Namespace};

/// The prefixes of the namespaces that are added to.
pub(super) struct Prefixes {
    pub(super) pskc: String,
    /// Empty when nothing is encrypted.
    pub(super) enc: String,
    /// Empty but in SPEKE 1.
    pub(super) speke: String,
}

/// The prefix of a namespace, declared at the root if the document has none.
///
/// It is never the default namespace: there are clients that look for `pskc:PlainValue` as text.
pub(super) fn of(root: &mut Element, namespace: Namespace) -> String {
    let mut below = BTreeSet::new();
    for element in root.elements_mut() {
        element.for_each(&mut |element| below.extend(declared(element).map(|(prefix, _)| prefix.to_owned())));
    }
    let own = declared(root)
        .find(|(prefix, uri)| *uri == namespace.uri() && !below.contains(*prefix))
        .map(|(prefix, _)| prefix.to_owned());
    if let Some(own) = own {
        return own;
    }
    let taken: BTreeSet<String> = declared(root).map(|(prefix, _)| prefix.to_owned()).chain(below).collect();
    let usual = namespace.usual_prefix();
    let mut prefix = usual.to_owned();
    let mut number = 1_u32;
    while taken.contains(&prefix) {
        prefix = format!("{usual}{number}");
        number += 1;
    }
    let name = format!("xmlns:{prefix}");
    root.attributes.push(Attribute { name, value: namespace.uri().to_owned() });
    prefix
}

fn declared(element: &Element) -> impl Iterator<Item = (&str, &str)> {
    element.attributes.iter().filter_map(|attribute| {
        attribute.name.strip_prefix("xmlns:").map(|prefix| (prefix, attribute.value.as_str()))
    })
}
