//! From the tree to bytes, in UTF-8.

use zeroize::Zeroizing;

use super::{Attribute, Element, Node};

const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// The document with this root. The bytes may hold keys, so they are zeroized on drop, and made in one piece: a
/// buffer that grows would leave copies behind.
pub(crate) fn write(root: &Element) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(String::with_capacity(DECLARATION.len() + length_max(root) + 1));
    out.push_str(DECLARATION);
    put(root, &mut out);
    out.push('\n');
    Zeroizing::new(std::mem::take(&mut *out).into_bytes())
}

/// The most bytes that an element can take. A character becomes six bytes at most.
fn length_max(element: &Element) -> usize {
    let name = element.prefix.as_ref().map_or(0, |prefix| prefix.len() + 1) + element.local.len();
    let attributes =
        element.attributes.iter().map(|Attribute { name, value }| name.len() + 6 * value.len() + 4);
    let children = element.children.iter().map(|node| match node {
        Node::Element(element) => length_max(element),
        Node::Text(text) => 6 * text.len(),
        Node::Secret(text) => 6 * text.len(),
    });
    2 * name + 5 + attributes.sum::<usize>() + children.sum::<usize>()
}

fn put(element: &Element, out: &mut String) {
    out.push('<');
    put_name(element, out);
    for Attribute { name, value } in &element.attributes {
        out.push(' ');
        out.push_str(name);
        out.push_str("=\"");
        value.chars().for_each(|c| put_char(c, true, out));
        out.push('"');
    }
    if element.children.is_empty() {
        out.push_str("/>");
        return;
    }
    out.push('>');
    for node in &element.children {
        match node {
            Node::Element(element) => put(element, out),
            Node::Text(text) => text.chars().for_each(|c| put_char(c, false, out)),
            Node::Secret(text) => text.chars().for_each(|c| put_char(c, false, out)),
        }
    }
    out.push_str("</");
    put_name(element, out);
    out.push('>');
}

fn put_name(element: &Element, out: &mut String) {
    if let Some(prefix) = &element.prefix {
        out.push_str(prefix);
        out.push(':');
    }
    out.push_str(&element.local);
}

/// Line ends in attributes, and carriage returns anywhere, would be read as something else.
fn put_char(c: char, in_attribute: bool, out: &mut String) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '\r' => out.push_str("&#13;"),
        '"' if in_attribute => out.push_str("&quot;"),
        '\n' if in_attribute => out.push_str("&#10;"),
        '\t' if in_attribute => out.push_str("&#9;"),
        c => out.push(c),
    }
}
