//! The signature base (RFC 9421, 2.5): the text that an HTTP message signature is made over.
//!
//! Component identifiers and parameters are written anew from what was parsed, as the RFC has it, so
//! that two spellings of one list sign the same. A component that is listed twice, that this server
//! does not derive, or that the request does not have, makes the whole base fail: a base with a
//! line left out would prove less than it says.

use sfv::{BareItem, FieldType as _, InnerList, Item, KeyRef, ListEntry, StringRef};

use super::Envelope;

/// Why there is no base.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseError {
    /// A component is no string, or carries a parameter that is not understood here.
    #[error("a covered component must be a plain name, without parameters")]
    Component,
    /// A component stands twice.
    #[error("the component {0} is covered twice")]
    Twice(String),
    /// The request does not have it.
    #[error("the component {0} is covered, but the request has none")]
    Absent(String),
}

/// Where the lines of a base come from: a request, or an answer.
pub trait Components {
    /// The value of the component, or `None` when there is none of that name.
    fn component(&self, item: &Item, name: &str) -> Option<String>;
}

impl Components for Envelope {
    fn component(&self, item: &Item, name: &str) -> Option<String> {
        if !item.params.is_empty() {
            return None;
        }
        match name {
            "@method" => Some(self.method.clone()),
            "@target-uri" => Some(self.target_uri()),
            "@authority" => Some(self.authority.clone()),
            "@scheme" => Some(self.scheme.to_owned()),
            "@path" => Some(self.path.clone()),
            "@query" => Some(format!("?{}", self.query.as_deref().unwrap_or_default())),
            _ if name.starts_with('@') => None,
            _ => self.header(name),
        }
    }
}

/// The base of the components and parameters in `covered`.
///
/// # Errors
/// [`BaseError`], naming the component at fault.
pub fn base(covered: &InnerList, message: &impl Components) -> Result<String, BaseError> {
    let mut text = String::new();
    let mut seen = Vec::with_capacity(covered.items.len());
    for item in &covered.items {
        let identifier = item.serialize();
        if seen.contains(&identifier) {
            return Err(BaseError::Twice(identifier));
        }
        let name = name_of(item).ok_or(BaseError::Component)?;
        let value = message.component(item, name).ok_or_else(|| BaseError::Absent(identifier.clone()))?;
        // A line end inside a value could pass for another component.
        if value.contains(['\n', '\r']) {
            return Err(BaseError::Absent(identifier));
        }
        text.push_str(&format!("{identifier}: {value}\n"));
        seen.push(identifier);
    }
    let parameters = parameters_text(covered).ok_or(BaseError::Component)?;
    text.push_str(&format!("\"@signature-params\": {parameters}"));
    Ok(text)
}

/// The covered components and parameters as they stand in a base and in `Signature-Input`.
pub fn parameters_text(covered: &InnerList) -> Option<String> {
    vec![ListEntry::InnerList(covered.clone())].serialize()
}

/// A list of components in the making, for those who sign. What cannot stand in one makes it `None`.
pub struct Cover(InnerList);

impl Cover {
    /// These components in their order, each of the message itself or of the request it answers.
    pub fn of(components: impl IntoIterator<Item = (&'static str, bool)>) -> Option<Self> {
        let item = |(name, of_request): (&str, bool)| {
            let mut item = Item::new(BareItem::String(StringRef::from_str(name).ok()?.to_owned()));
            if of_request {
                item.params.insert(KeyRef::from_str("req").ok()?.to_owned(), BareItem::Boolean(true));
            }
            Some(item)
        };
        Some(Self(InnerList::new(components.into_iter().map(item).collect::<Option<Vec<_>>>()?)))
    }

    /// With a parameter that is text.
    pub fn text(self, name: &str, value: &str) -> Option<Self> {
        let value = BareItem::String(StringRef::from_str(value).ok()?.to_owned());
        self.with(name, value)
    }

    /// With a parameter that is a number of seconds.
    pub fn seconds(self, name: &str, value: u64) -> Option<Self> {
        let value = BareItem::Integer(sfv::Integer::try_from(value).ok()?);
        self.with(name, value)
    }

    pub fn into_list(self) -> InnerList {
        self.0
    }

    fn with(mut self, name: &str, value: BareItem) -> Option<Self> {
        self.0.params.insert(KeyRef::from_str(name).ok()?.to_owned(), value);
        Some(self)
    }
}

/// The name of a component.
pub fn name_of(item: &Item) -> Option<&str> {
    match &item.bare_item {
        BareItem::String(name) => Some(name.as_str()),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::Bytes;
    use sfv::{List, Parser};

    use super::*;

    /// The request of RFC 9421, appendix B.2.
    pub(crate) fn rfc_request() -> Envelope {
        let headers = [
            ("host", "example.com"),
            ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
            ("content-type", "application/json"),
            ("content-length", "18"),
        ];
        Envelope {
            method: "POST".to_owned(),
            scheme: "https",
            authority: "example.com".to_owned(),
            path: "/foo".to_owned(),
            query: Some("param=Value&Pet=dog".to_owned()),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: Bytes::from_static(br#"{"hello": "world"}"#),
            received_at_s: 1_618_884_473,
        }
    }

    /// Reads `("a" "b");created=1`.
    pub(crate) fn covered(text: &str) -> InnerList {
        let list: List = Parser::new(text).parse().unwrap();
        match list.into_iter().next() {
            Some(ListEntry::InnerList(list)) => list,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn derived_components_are_as_the_specification_has_them() {
        let text = r#"("@method" "@target-uri" "@authority" "@scheme" "@path" "@query");created=1"#;
        let lines = [
            "\"@method\": POST",
            "\"@target-uri\": https://example.com/foo?param=Value&Pet=dog",
            "\"@authority\": example.com",
            "\"@scheme\": https",
            "\"@path\": /foo",
            "\"@query\": ?param=Value&Pet=dog",
            &format!("\"@signature-params\": {text}"),
        ];
        assert_eq!(base(&covered(text), &rfc_request()).unwrap(), lines.join("\n"));
    }

    #[test]
    fn what_cannot_be_derived_or_stands_twice_makes_the_base_fail() {
        let fails = |text: &str| base(&covered(text), &rfc_request()).unwrap_err();
        assert!(matches!(fails(r#"("@path" "@path")"#), BaseError::Twice(_)));
        assert!(matches!(fails(r#"("x-none")"#), BaseError::Absent(_)));
        assert!(matches!(fails(r#"("@status")"#), BaseError::Absent(_)));
        assert!(matches!(fails(r#"("date";sf)"#), BaseError::Absent(_)));
        assert_eq!(fails("(date)"), BaseError::Component);
    }

    #[test]
    fn a_line_end_in_a_header_cannot_pass_for_another_component() {
        let mut request = rfc_request();
        request.headers.push(("x".to_owned(), "1\n\"@method\": GET".to_owned()));
        assert!(base(&covered(r#"("x")"#), &request).is_err());
    }
}
