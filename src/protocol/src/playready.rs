//! What a packager asks in SOAP, read from an untrusted body.
//!
//! The best known client does not escape the program's name for XML, so the document need not be
//! well-formed around it. The name is therefore taken out first, from between its tags, and only what
//! is left must be XML: without a document type, so without entities to expand; without processing
//! instructions; of bounded depth and number of elements. The body's size is bounded by the listener.

use std::borrow::Cow;
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::Event;

use keymoot_model::{ContentId, IdError};

/// The deepest nesting read; a request has seven levels.
pub const DEPTH_MAX: usize = 16;
/// The most elements read; a request has some ten.
pub const ELEMENTS_MAX: usize = 64;

/// The element that names the content.
const PROGRAM: &str = "ProgramIdentifier";
/// Where it stands, below the envelope.
const ELEMENT_PATH: [&str; 6] = [
    "Envelope",
    "Body",
    "AcquirePackagingData",
    "challenge",
    "StreamProtectionRequests",
    "StreamInformation",
];
const _: () = assert!(ELEMENT_PATH.len() < DEPTH_MAX && DEPTH_MAX <= ELEMENTS_MAX);

/// PlayReady's own id, as requests name it.
const PLAYREADY: &str = "9a04f079-9840-4286-ab92-e65be0885f95";

/// Why a body is no such request. The message is fit for the caller and holds nothing of the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackagingRequestError {
    #[error("the request must be text in UTF-8")]
    NotText,
    /// No program, or several.
    #[error("the request must hold one ProgramIdentifier element, not {found}")]
    Programs {
        /// How many tags of it there are.
        found: usize,
    },
    /// The program's element is somewhere else.
    #[error("ProgramIdentifier must stand in {}", ELEMENT_PATH.join("/"))]
    Misplaced,
    /// Not XML around the program's name.
    #[error("the request is not well-formed XML")]
    NotXml,
    /// A document type or processing instruction.
    #[error("the request must hold no document type and no processing instruction")]
    Forbidden,
    /// Nested too deep, or too many elements.
    #[error("the request has more than {DEPTH_MAX} levels or {ELEMENTS_MAX} elements")]
    TooLarge,
    /// Keys of another system.
    #[error("ProtectionSystemId must be PlayReady's, {PLAYREADY}")]
    System,
    /// Keys that hold later in the program.
    #[error("OffsetFromProgramStart must be P0S: the key of a program holds from its start")]
    Offset,
    /// The program's name cannot be a content's.
    #[error("ProgramIdentifier: {0}")]
    Content(IdError),
}

use PackagingRequestError as Error;

/// A request for packaging data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackagingRequest {
    /// The content, which the client calls program.
    pub content: ContentId,
}

impl PackagingRequest {
    /// Reads a SOAP document.
    ///
    /// # Errors
    /// [`PackagingRequestError`] says what is wrong with it.
    pub fn parse(body: &[u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(body).map_err(|_| Error::NotText)?;
        let text = text.trim_start_matches('\u{feff}');
        let name = program(text)?;
        let (before, given, after) = (text.get(..name.start), text.get(name.clone()), text.get(name.end..));
        let (Some(before), Some(given), Some(after)) = (before, given, after) else {
            return Err(Error::NotXml);
        };
        check(&[before, after].concat())?;
        Ok(Self { content: ContentId::new(unescaped(given)).map_err(Error::Content)? })
    }
}

/// A name that is XML text is what it stands for; one that is not was never escaped.
fn unescaped(given: &str) -> Cow<'_, str> {
    match unescape(given) {
        Ok(text) if !given.contains('<') => text,
        _ => given.into(),
    }
}

/// Where the program's name is, between the one pair of its tags.
fn program(text: &str) -> Result<Range<usize>, Error> {
    let (mut opened, mut closed, mut found) = (None, None, 0_usize);
    for (at, _) in text.match_indices(PROGRAM) {
        let (Some(before), Some(behind)) = (text.get(..at), text.get(at + PROGRAM.len()..)) else { continue };
        let before = match before.strip_suffix(':') {
            Some(prefixed) => prefixed.trim_end_matches(|c: char| c.is_alphanumeric() || "_-.".contains(c)),
            None => before,
        };
        if let Some(before) = before.strip_suffix("</") {
            closed = Some(before.len());
        } else if before.ends_with('<') && behind.starts_with(|c: char| c == '>' || c.is_ascii_whitespace()) {
            opened = behind.find('>').map(|end| at + PROGRAM.len() + end + 1);
        } else {
            continue;
        }
        found += 1;
    }
    match (opened, closed) {
        (Some(start), Some(end)) if found == 2 && start <= end => Ok(start..end),
        _ => Err(Error::Programs { found: found.div_ceil(2) }),
    }
}

/// Checks the document with the program's name taken out.
fn check(xml: &str) -> Result<(), Error> {
    let mut reader = Reader::from_str(xml);
    let (mut path, mut elements, mut seen) = (Vec::<String>::new(), 0, false);
    loop {
        match reader.read_event().map_err(|_| Error::NotXml)? {
            Event::Start(tag) => {
                let name = String::from_utf8_lossy(tag.local_name().as_ref()).into_owned();
                if name == PROGRAM {
                    if path != ELEMENT_PATH {
                        return Err(Error::Misplaced);
                    }
                    seen = true;
                }
                path.push(name);
                elements += 1;
            }
            Event::Empty(_) => elements += 1,
            Event::End(_) => drop(path.pop()),
            Event::Text(text) => {
                let text = text.decode().map_err(|_| Error::NotXml)?;
                check_text(path.last().map(String::as_str), text.trim())?;
            }
            Event::DocType(_) | Event::PI(_) => return Err(Error::Forbidden),
            Event::Eof => break,
            _ => {}
        }
        if path.len() > DEPTH_MAX || elements > ELEMENTS_MAX {
            return Err(Error::TooLarge);
        }
    }
    match (path.is_empty(), seen) {
        (false, _) => Err(Error::NotXml),
        (true, false) => Err(Error::Misplaced),
        (true, true) => Ok(()),
    }
}

/// Looks at the texts that decide something.
fn check_text(element: Option<&str>, text: &str) -> Result<(), Error> {
    match element {
        Some("ProtectionSystemId") if !text.eq_ignore_ascii_case(PLAYREADY) => Err(Error::System),
        Some("OffsetFromProgramStart") if !["P0S", "PT0S", "P0D"].contains(&text) => Err(Error::Offset),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As Shaka Packager 3.8.0 writes it.
    fn request(program: &str) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soap:Envelope \
             xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><AcquirePackagingData \
             xmlns=\"http://schemas.microsoft.com/DRM/2007/03/protocols\"><challenge \
             xmlns=\"http://schemas.microsoft.com/DRM/2007/03/protocols/AcquirePackagingData/v1.0\">\
             <ProtectionSystems><ProtectionSystemId>9A04F079-9840-4286-AB92-E65BE0885F95</ProtectionSystemId>\
             </ProtectionSystems><StreamProtectionRequests><StreamInformation>\
             <ProgramIdentifier>{program}</ProgramIdentifier><OffsetFromProgramStart>P0S</OffsetFromProgramStart>\
             </StreamInformation></StreamProtectionRequests></challenge></AcquirePackagingData></soap:Body>\
             </soap:Envelope>"
        )
    }

    fn program_of(document: &str) -> Result<String, Error> {
        PackagingRequest::parse(document.as_bytes()).map(|request| request.content.as_str().to_owned())
    }

    #[test]
    fn the_program_is_the_content_escaped_or_not() {
        for (given, meant) in [
            ("film.mp4", "film.mp4"),
            ("a&b <c>", "a&b <c>"),
            ("a &amp; b", "a & b"),
            ("a &amp; b & c", "a &amp; b & c"),
            ("a</b>", "a</b>"),
            ("café", "café"),
        ] {
            assert_eq!(program_of(&request(given)).as_deref(), Ok(meant));
        }
    }

    #[test]
    fn prefixes_attributes_and_white_space_change_nothing() {
        let document = request("film").replace("<ProgramIdentifier>", "<v1:ProgramIdentifier a='1'>");
        let document = document.replace("</ProgramIdentifier>", "</v1:ProgramIdentifier >");
        assert_eq!(program_of(&document).as_deref(), Ok("film"));
        let spaced = request("film").replace("><", ">\n  <");
        assert_eq!(program_of(&format!("\u{feff}{spaced}")).as_deref(), Ok("film"));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let twice = request("a</ProgramIdentifier><ProgramIdentifier>b");
        assert_eq!(program_of(&twice), Err(Error::Programs { found: 2 }));
        let hidden = request("").replace("<ProgramIdentifier></ProgramIdentifier>", "");
        let hidden =
            hidden.replace("<soap:Body>", "<!--<ProgramIdentifier>x</ProgramIdentifier>--><soap:Body>");
        assert_eq!(program_of(&hidden), Err(Error::Misplaced));
        let moved = request("").replace("StreamInformation", "Other");
        assert_eq!(program_of(&moved), Err(Error::Misplaced));
        for document in ["", "<a/>", "ProgramIdentifier", "<ProgramIdentifier>a"] {
            assert!(matches!(program_of(document), Err(Error::Programs { .. })), "{document}");
        }
    }

    #[test]
    fn document_types_depth_and_number_are_bounded() {
        let with = |inside: &str| request("a").replace("<soap:Body>", &format!("{inside}<soap:Body>"));
        let doctype = request("a").replace("?><", "?><!DOCTYPE a [<!ENTITY b \"c\">]><");
        assert_eq!(program_of(&doctype), Err(Error::Forbidden));
        assert_eq!(program_of(&with("<?php ?>")), Err(Error::Forbidden));
        let deep = with(&format!("{}{}", "<a>".repeat(20), "</a>".repeat(20)));
        assert_eq!(program_of(&deep), Err(Error::TooLarge));
        assert_eq!(program_of(&with(&"<a/>".repeat(80))), Err(Error::TooLarge));
        for cut in ["</soap:Envelope>", "</challenge>", "</StreamInformation>"] {
            assert_eq!(program_of(&request("a").replace(cut, "")), Err(Error::NotXml), "{cut}");
        }
        assert_eq!(PackagingRequest::parse(b"\xff"), Err(Error::NotText));
    }

    #[test]
    fn other_systems_later_keys_and_names_that_are_none_are_refused() {
        let other = request("a").replace("9A04F079", "EDEF8BA9");
        assert_eq!(program_of(&other), Err(Error::System));
        assert_eq!(program_of(&request("a").replace("P0S", "PT10S")), Err(Error::Offset));
        assert!(matches!(program_of(&request("")), Err(Error::Content(_))));
        assert!(matches!(program_of(&request("a\nb")), Err(Error::Content(_))));
    }

    proptest! {
        #[test]
        fn any_name_without_the_tag_is_taken_as_it_is_or_unescaped(name in "[a-z &<>;/\"']{1,40}") {
            if let Ok(read) = program_of(&request(&name)) {
                prop_assert!(read == name || unescape(&name).is_ok_and(|text| text == read));
            }
        }
    }
}
