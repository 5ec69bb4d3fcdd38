//! From bytes to the tree, within bounds that hold before anything is allocated for what is beyond them.

use quick_xml::XmlVersion;
use quick_xml::events::{self, BytesRef, BytesStart, Event};
use quick_xml::name::{PrefixDeclaration, QName, ResolveResult};
use quick_xml::reader::NsReader;

use super::chars::{is_allowed, is_name};
use super::{Attribute, Element, Namespace, Node, Place, encoding};
use crate::fault::{Fault, FaultKind};

/// The longest document. One of 500 keys with three systems each is about two thirds of it.
pub const BYTES_MAX: usize = 1024 * 1024;
/// The deepest nesting; a document with encrypted keys has nine levels.
pub const DEPTH_MAX: usize = 24;
/// The most elements.
pub const ELEMENTS_MAX: usize = 20_000;
/// The most attributes of one element, declarations of namespaces among them.
pub const ATTRIBUTES_MAX: usize = 32;

/// Reads a document; the result is its root.
pub(crate) fn read(bytes: &[u8]) -> Result<Element, Fault> {
    if bytes.len() > BYTES_MAX {
        return Err(FaultKind::TooLarge { what: "bytes", max: BYTES_MAX }.into());
    }
    let text = encoding::text(bytes)?;
    if text.trim().is_empty() {
        return Err(FaultKind::Empty.into());
    }
    Reader::new(&text).root()
}

struct Reader<'a> {
    text: &'a str,
    xml: NsReader<&'a [u8]>,
    /// The elements that are open, the root first.
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
    lines: Lines<'a>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let mut xml = NsReader::from_str(text);
        xml.config_mut().check_comments = true;
        xml.resolver_mut().set_max_declarations_per_element(ATTRIBUTES_MAX);
        Self { text, xml, open: Vec::new(), root: None, elements: 0, lines: Lines::new(text) }
    }

    fn root(mut self) -> Result<Element, Fault> {
        loop {
            let at = usize::try_from(self.xml.buffer_position()).unwrap_or(usize::MAX);
            let here = self.lines.advance_to(at);
            let event = self.xml.read_event().map_err(|error| self.malformed(&error.to_string(), here))?;
            if matches!(event, Event::Eof) {
                break;
            }
            self.take(event, here)?;
        }
        if let Some(open) = self.open.last() {
            let what = format!("the element {} is not closed", open.local);
            return Err(Fault::at(FaultKind::NotXml { what }, open.place()));
        }
        self.root.ok_or_else(|| FaultKind::NotXml { what: "there is no element".to_owned() }.into())
    }

    fn take(&mut self, event: Event<'_>, here: (u32, u32)) -> Result<(), Fault> {
        match event {
            Event::Start(tag) => self.start(&tag, here)?,
            Event::Empty(tag) => {
                self.start(&tag, here)?;
                self.end();
            }
            Event::End(_) => self.end(),
            Event::Text(text) => {
                let text = text.xml10_content().map_err(|error| self.malformed(&error.to_string(), here))?;
                if text.contains("]]>") {
                    return Err(self.malformed("`]]>` in text", here));
                }
                self.text(&text, here)?;
            }
            Event::CData(text) => {
                let text = text.xml10_content().map_err(|error| self.malformed(&error.to_string(), here))?;
                self.demand_element(here)?;
                self.text(&text, here)?;
            }
            Event::GeneralRef(reference) => {
                self.demand_element(here)?;
                let Some(stands_for) = character(&reference) else {
                    return Err(self.malformed("a reference to an entity that XML does not define", here));
                };
                self.text(stands_for.encode_utf8(&mut [0; 4]), here)?;
            }
            Event::Decl(_) if here != (1, 1) => {
                return Err(self.malformed("an XML declaration that is not at the beginning", here));
            }
            Event::Decl(declaration) => {
                if let Some(declared) = declaration.encoding() {
                    let declared = declared.map_err(|error| self.malformed(&error.to_string(), here))?;
                    encoding::refuse_foreign(&declared, self.text)?;
                }
            }
            Event::DocType(_) => return Err(self.forbidden("document type", here)),
            Event::PI(_) => return Err(self.forbidden("processing instruction", here)),
            // Comments say nothing to a machine, and some packagers stumble over them in lists.
            Event::Comment(_) | Event::Eof => {}
        }
        Ok(())
    }

    fn demand_element(&self, here: (u32, u32)) -> Result<(), Fault> {
        if self.open.is_empty() {
            Err(self.malformed("text outside of the root element", here))
        } else {
            Ok(())
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>, (line, column): (u32, u32)) -> Result<(), Fault> {
        let here = (line, column);
        self.elements += 1;
        if self.open.is_empty() && self.root.is_some() {
            return Err(self.malformed("a second root element", here));
        }
        if self.elements > ELEMENTS_MAX {
            return Err(self.too_large("elements", ELEMENTS_MAX, here));
        }
        if self.open.len() >= DEPTH_MAX {
            return Err(self.too_large("levels", DEPTH_MAX, here));
        }
        let (prefix, local) = self.name(tag.name(), here)?;
        let namespace = match self.xml.resolver().resolve_element(tag.name()).0 {
            ResolveResult::Bound(namespace) => Namespace::of_uri(namespace.0),
            ResolveResult::Unbound => Namespace::Other,
            ResolveResult::Unknown(_) => {
                return Err(self.malformed(&format!("the prefix of {local} is not declared"), here));
            }
        };
        let attributes = self.attributes(tag, here)?;
        let children = Vec::new();
        self.open.push(Element { prefix, local, namespace, attributes, children, line, column });
        Ok(())
    }

    fn end(&mut self) {
        let Some(element) = self.open.pop() else { return };
        match self.open.last_mut() {
            Some(parent) => parent.children.push(Node::Element(element)),
            None => self.root = Some(element),
        }
    }

    fn text(&mut self, text: &str, here: (u32, u32)) -> Result<(), Fault> {
        self.check_characters(text, here)?;
        match self.open.last_mut() {
            Some(parent) => match parent.children.last_mut() {
                // References cut a text into pieces.
                Some(Node::Text(before)) => before.push_str(text),
                _ => parent.children.push(Node::Text(text.to_owned())),
            },
            None if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() => {}
            None => return Err(self.malformed("text outside of the root element", here)),
        }
        Ok(())
    }

    fn attributes(&self, tag: &BytesStart<'_>, here: (u32, u32)) -> Result<Vec<Attribute>, Fault> {
        let mut attributes = Vec::new();
        let mut expanded: Vec<(Vec<u8>, String)> = Vec::new();
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|error| self.malformed(&error.to_string(), here))?;
            if attributes.len() >= ATTRIBUTES_MAX {
                return Err(self.too_large("attributes of one element", ATTRIBUTES_MAX, here));
            }
            let (prefix, local) = self.name(attribute.key, here)?;
            if attribute.value.contains(&b'<') {
                return Err(self.malformed(&format!("`<` in the attribute {local}"), here));
            }
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|error| self.malformed(&error.to_string(), here))?;
            self.check_characters(&value, here)?;
            self.check_namespaces(&attribute, &value, &local, &mut expanded, here)?;
            let name = match prefix {
                Some(prefix) => format!("{prefix}:{local}"),
                None => local,
            };
            attributes.push(Attribute { name, value: value.into_owned() });
        }
        Ok(attributes)
    }

    /// Checks what the attribute declares, or that its prefix is declared and it stands there once by any prefix.
    fn check_namespaces(
        &self,
        attribute: &events::attributes::Attribute<'_>,
        value: &str,
        local: &str,
        expanded: &mut Vec<(Vec<u8>, String)>,
        here: (u32, u32),
    ) -> Result<(), Fault> {
        match attribute.key.as_namespace_binding() {
            Some(PrefixDeclaration::Named(_)) if value.is_empty() => {
                return Err(self.malformed("a prefix that is declared for no namespace", here));
            }
            // No URI holds these. A reference would be read by some and taken literally by others, and the rest would be
            // written as references.
            Some(_) if attribute.value.iter().any(|byte| matches!(byte, b'&' | b'>' | b'"' | 0..=b' ')) => {
                return Err(self.malformed("a character in the name of a namespace that no URI has", here));
            }
            None if attribute.key.prefix().is_some() => {}
            _ => return Ok(()),
        }
        let ResolveResult::Bound(namespace) = self.xml.resolver().resolve_attribute(attribute.key).0 else {
            return Err(self.malformed(&format!("the prefix of {local} is not declared"), here));
        };
        let name = (namespace.0.to_vec(), local.to_owned());
        if expanded.contains(&name) {
            return Err(self.malformed(&format!("the attribute {local} stands there twice"), here));
        }
        expanded.push(name);
        Ok(())
    }

    /// The two parts of a name.
    fn name(&self, name: QName<'_>, here: (u32, u32)) -> Result<(Option<String>, String), Fault> {
        let text = String::from_utf8_lossy(name.0);
        let (prefix, local) = match text.split_once(':') {
            Some((prefix, local)) => (Some(prefix), local),
            None => (None, &*text),
        };
        if !is_name(local) || prefix.is_some_and(|prefix| !is_name(prefix)) {
            return Err(self.malformed("a name with a character that names cannot have", here));
        }
        Ok((prefix.map(str::to_owned), local.to_owned()))
    }

    fn check_characters(&self, text: &str, here: (u32, u32)) -> Result<(), Fault> {
        match text.chars().find(|c| !is_allowed(*c)) {
            Some(c) => Err(self.malformed(&format!("the character U+{:04X}", u32::from(c)), here)),
            None => Ok(()),
        }
    }

    /// What is wrong, and where: the innermost element that is open, the line and the column.
    fn malformed(&self, what: &str, here: (u32, u32)) -> Fault {
        // Texts of the library may repeat what stands in the document.
        let what = what.chars().filter(|c| !c.is_control()).take(160).collect();
        Fault::at(FaultKind::NotXml { what }, self.place(here))
    }

    fn forbidden(&self, what: &'static str, here: (u32, u32)) -> Fault {
        Fault::at(FaultKind::Forbidden { what }, self.place(here))
    }

    fn too_large(&self, what: &'static str, max: usize, here: (u32, u32)) -> Fault {
        Fault::at(FaultKind::TooLarge { what, max }, self.place(here))
    }

    fn place(&self, (line, column): (u32, u32)) -> Place {
        Place { element: self.open.last().map_or_else(String::new, |open| open.local.clone()), line, column }
    }
}

/// What a reference stands for: one of XML's own names, or a number.
fn character(reference: &BytesRef<'_>) -> Option<char> {
    match &*reference.decode().ok()? {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "apos" => Some('\''),
        "quot" => Some('"'),
        _ => reference.resolve_char_ref().ok().flatten(),
    }
}

/// Counts lines as the reader goes forward, so that a long document is not counted again for each element.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    column: u32,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, line: 1, column: 1 }
    }

    fn advance_to(&mut self, at: usize) -> (u32, u32) {
        for c in self.text.get(self.at..at).unwrap_or_default().chars() {
            match c {
                '\n' => (self.line, self.column) = (self.line.saturating_add(1), 1),
                _ => self.column = self.column.saturating_add(1),
            }
        }
        self.at = at;
        (self.line, self.column)
    }
}
