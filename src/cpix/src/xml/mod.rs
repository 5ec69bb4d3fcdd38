//! XML as far as CPIX needs it: a small tree that is read with every limit in force, changed and written again.
//!
//! The answer to a CPIX request is the request filled in, with its prefixes, its order and what this server does
//! not know. So the document is kept as a tree, not mapped to types. quick-xml reads the tokens: it is in the product
//! already, is released several times a year, is fuzzed by its maintainers, knows no document type and expands no
//! entity. What it leaves to its callers is checked here: one root, names, characters, bounds.

mod chars;
mod encoding;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;

use zeroize::Zeroizing;

pub(crate) use reader::read;
pub use reader::{ATTRIBUTES_MAX, BYTES_MAX, DEPTH_MAX, ELEMENTS_MAX};
pub(crate) use writer::write;

/// Where an element begins in the document as it came: line and column from 1, in characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The element's name, without its prefix; empty where no element could be read.
    pub element: String,
    pub line: u32,
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.element.is_empty() {
            write!(f, "{}, ", self.element)?;
        }
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A namespace that means something here. Elements are told apart by it, never by their prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Namespace {
    Cpix,
    /// Portable Symmetric Key Container, RFC 6030: what keys stand in.
    Pskc,
    /// AWS's additions in SPEKE 1.
    Speke,
    XmlSignature,
    XmlEncryption,
    /// Any other, or none.
    Other,
}

impl Namespace {
    const KNOWN: [Self; 5] = [Self::Cpix, Self::Pskc, Self::Speke, Self::XmlSignature, Self::XmlEncryption];

    pub(crate) const fn uri(self) -> &'static str {
        match self {
            Self::Cpix => "urn:dashif:org:cpix",
            Self::Pskc => "urn:ietf:params:xml:ns:keyprov:pskc",
            Self::Speke => "urn:aws:amazon:com:speke",
            Self::XmlSignature => "http://www.w3.org/2000/09/xmldsig#",
            Self::XmlEncryption => "http://www.w3.org/2001/04/xmlenc#",
            Self::Other => "",
        }
    }

    /// The prefix that most documents have for it.
    pub(crate) const fn usual_prefix(self) -> &'static str {
        match self {
            Self::Cpix => "cpix",
            Self::Pskc => "pskc",
            Self::Speke => "speke",
            Self::XmlSignature => "ds",
            Self::XmlEncryption => "enc",
            Self::Other => "other",
        }
    }

    fn of_uri(uri: &[u8]) -> Self {
        Self::KNOWN.into_iter().find(|known| known.uri().as_bytes() == uri).unwrap_or(Self::Other)
    }
}

/// An element with all that it holds.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) prefix: Option<String>,
    pub(crate) local: String,
    pub(crate) namespace: Namespace,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) children: Vec<Node>,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// An attribute, a declaration of a namespace among them.
#[derive(Debug)]
pub(crate) struct Attribute {
    /// The name with its prefix.
    pub(crate) name: String,
    pub(crate) value: String,
}

/// What an element holds.
pub(crate) enum Node {
    Element(Element),
    Text(String),
    /// Text that is a key, zeroized on drop.
    Secret(Zeroizing<String>),
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Element(element) => fmt::Debug::fmt(element, f),
            Self::Text(text) => fmt::Debug::fmt(text, f),
            Self::Secret(_) => f.write_str("redacted"),
        }
    }
}

impl Element {
    /// An element that is new in the document.
    pub(crate) fn new(prefix: Option<&str>, local: &str, namespace: Namespace) -> Self {
        Self {
            prefix: prefix.map(str::to_owned),
            local: local.to_owned(),
            namespace,
            attributes: Vec::new(),
            children: Vec::new(),
            line: 0,
            column: 0,
        }
    }

    /// A new element in this one's namespace, with its prefix.
    pub(crate) fn sibling(&self, local: &str) -> Self {
        Self::new(self.prefix.as_deref(), local, self.namespace)
    }

    #[must_use]
    pub(crate) fn with(mut self, node: Node) -> Self {
        self.children.push(node);
        self
    }

    #[must_use]
    pub(crate) fn with_attribute(mut self, name: &str, value: &str) -> Self {
        self.set_attribute(name, value);
        self
    }

    pub(crate) fn place(&self) -> Place {
        Place { element: self.local.clone(), line: self.line, column: self.column }
    }

    pub(crate) fn is(&self, namespace: Namespace, local: &str) -> bool {
        self.namespace == namespace && self.local == local
    }

    /// The value of an attribute without prefix.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|attribute| attribute.name == name).map(|found| found.value.as_str())
    }

    pub(crate) fn set_attribute(&mut self, name: &str, value: &str) {
        match self.attributes.iter_mut().find(|attribute| attribute.name == name) {
            Some(found) => value.clone_into(&mut found.value),
            None => self.attributes.push(Attribute { name: name.to_owned(), value: value.to_owned() }),
        }
    }

    pub(crate) fn remove_attribute(&mut self, name: &str) {
        self.attributes.retain(|attribute| attribute.name != name);
    }

    pub(crate) fn elements(&self) -> impl Iterator<Item = &Self> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) | Node::Secret(_) => None,
        })
    }

    pub(crate) fn elements_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        self.children.iter_mut().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) | Node::Secret(_) => None,
        })
    }

    pub(crate) fn children_named<'a>(
        &'a self,
        namespace: Namespace,
        local: &'a str,
    ) -> impl Iterator<Item = &'a Self> {
        self.elements().filter(move |element| element.is(namespace, local))
    }

    pub(crate) fn child(&self, namespace: Namespace, local: &str) -> Option<&Self> {
        self.elements().find(|element| element.is(namespace, local))
    }

    pub(crate) fn child_mut(&mut self, namespace: Namespace, local: &str) -> Option<&mut Self> {
        self.elements_mut().find(|element| element.is(namespace, local))
    }

    pub(crate) fn remove_children(&mut self, namespace: Namespace, local: &str) {
        self.children.retain(|node| match node {
            Node::Element(element) => !element.is(namespace, local),
            Node::Text(_) | Node::Secret(_) => true,
        });
    }

    /// Puts an element behind the last child that `is_before` names, else in front of all.
    pub(crate) fn insert_behind(&mut self, element: Self, is_before: impl Fn(&Self) -> bool) {
        let last = self.children.iter().rposition(|node| match node {
            Node::Element(child) => is_before(child),
            Node::Text(_) | Node::Secret(_) => false,
        });
        self.children.insert(last.map_or(0, |last| last + 1), Node::Element(element));
    }

    /// The text directly in it.
    pub(crate) fn text(&self) -> String {
        let texts = self.children.iter().filter_map(|node| match node {
            Node::Text(text) => Some(text.as_str()),
            Node::Element(_) | Node::Secret(_) => None,
        });
        texts.collect()
    }

    /// Whether neither it nor anything in it has text.
    pub(crate) fn is_blank(&self) -> bool {
        self.children.iter().all(|node| match node {
            Node::Element(element) => element.is_blank(),
            Node::Text(text) => text.trim().is_empty(),
            Node::Secret(_) => false,
        })
    }

    pub(crate) fn set_text(&mut self, text: String) {
        self.children = vec![Node::Text(text)];
    }

    /// Calls `visit` with it and with every element in it.
    pub(crate) fn for_each(&mut self, visit: &mut impl FnMut(&mut Self)) {
        visit(self);
        for element in self.elements_mut() {
            element.for_each(visit);
        }
    }
}
