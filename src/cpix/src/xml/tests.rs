//! What is read, what is refused, and that what is written is read again.

use proptest::prelude::*;

use super::*;

fn text_of(document: &[u8]) -> String {
    String::from_utf8(write(&read(document).unwrap()).to_vec()).unwrap()
}

/// The refusal of a document, with its place.
fn refusal(document: impl AsRef<[u8]>) -> String {
    read(document.as_ref()).unwrap_err().to_string()
}

#[test]
fn a_document_comes_back_with_its_prefixes_its_order_and_its_white_space() {
    let document = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<x:CPIX xmlns:x=\"urn:dashif:org:cpix\" b='2' \
                    a=\"&lt;&quot;&#10;\">\n\t<x:One/><Two xmlns=\"urn:other\" x:k=\"1\">a&amp;b<![CDATA[<c>]]>&#x41;</Two><!-- gone --></x:CPIX>";
    let written = text_of(document.as_bytes());
    assert_eq!(
        written,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<x:CPIX xmlns:x=\"urn:dashif:org:cpix\" b=\"2\" \
         a=\"&lt;&quot;&#10;\">\n\t<x:One/><Two xmlns=\"urn:other\" x:k=\"1\">a&amp;b&lt;c&gt;A</Two></x:CPIX>\n"
    );
    assert_eq!(text_of(written.as_bytes()), written);
}

#[test]
fn namespaces_are_told_by_uri_and_never_by_prefix() {
    let root = read(b"<pskc:CPIX xmlns:pskc='urn:dashif:org:cpix'><cpix:A xmlns:cpix='urn:ietf:params:xml:ns:keyprov:pskc'/></pskc:CPIX>").unwrap();
    assert!(root.is(Namespace::Cpix, "CPIX"));
    assert!(root.child(Namespace::Pskc, "A").is_some() && root.child(Namespace::Cpix, "A").is_none());
    let root = read(b"<CPIX xmlns='urn:dashif:org:cpix'><A xmlns=''/></CPIX>").unwrap();
    assert!(root.is(Namespace::Cpix, "CPIX") && root.child(Namespace::Other, "A").is_some());
}

#[test]
fn utf_8_and_utf_16_are_read_whatever_the_document_says_of_itself() {
    let document = "<?xml version=\"1.0\" encoding=\"utf-16\"?><a b=\"\u{e9}\u{1f600}\"/>";
    let expected = text_of(document.as_bytes());
    assert!(expected.contains("<a b=\"\u{e9}\u{1f600}\"/>"), "{expected}");
    let marked = [b"\xef\xbb\xbf".as_slice(), document.as_bytes()].concat();
    assert_eq!(text_of(&marked), expected);
    for (mark, turn) in [
        (&b"\xfe\xff"[..], u16::to_be_bytes as fn(u16) -> [u8; 2]),
        (b"\xff\xfe", u16::to_le_bytes),
        (b"", u16::to_be_bytes),
        (b"", u16::to_le_bytes),
    ] {
        let bytes: Vec<u8> = document.encode_utf16().flat_map(turn).collect();
        assert_eq!(text_of(&[mark, &bytes].concat()), expected);
    }
    let latin = "<?xml version='1.0' encoding='ISO-8859-1'?><a b='x'/>";
    assert!(text_of(latin.as_bytes()).contains("<a b=\"x\"/>"), "ASCII is the same in it");
    assert_eq!(
        refusal(latin.replace("'x'", "'\u{e9}'")),
        "The CPIX document says that it is in iso-8859-1; send it in UTF-8"
    );
    assert!(refusal(b"<a b='\xe9'/>").contains("byte 6 is neither UTF-8 nor UTF-16"));
    assert!(refusal(b"\xff\xfe<\0a").contains("neither"));
}

#[test]
fn bombs_and_bulk_are_refused_before_they_unfold() {
    let bomb = "<!DOCTYPE a [<!ENTITY b \"cc\"><!ENTITY d \"&b;&b;\">]><a>&d;</a>";
    assert_eq!(refusal(bomb), "A CPIX document must hold no document type (line 1, column 1)");
    assert!(
        refusal("<a>&d;</a>")
            .contains("a reference to an entity that XML does not define (a, line 1, column 4)")
    );
    assert!(refusal("<a b='&d;'/>").contains("not well-formed"));
    assert!(
        refusal("<a><?php x?></a>").contains("must hold no processing instruction (a, line 1, column 4)")
    );
    assert!(refusal("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>").contains("document type"));
    let deep = format!("{}{}", "<a>".repeat(DEPTH_MAX + 1), "</a>".repeat(DEPTH_MAX + 1));
    assert_eq!(refusal(deep), "The CPIX document has more than 24 levels (a, line 1, column 73)");
    let many = format!("<a>{}</a>", "<b/>".repeat(ELEMENTS_MAX));
    assert!(refusal(many).contains("more than 20000 elements"));
    let attributes: String = (0..=ATTRIBUTES_MAX).map(|number| format!(" a{number}=''")).collect();
    assert!(refusal(format!("<a{attributes}/>")).contains("more than 32 attributes of one element"));
    let namespaces: String = (0..=ATTRIBUTES_MAX).map(|number| format!(" xmlns:a{number}='u'")).collect();
    assert!(read(format!("<a{namespaces}/>").as_bytes()).is_err());
    let fault = read(&vec![b' '; BYTES_MAX + 1]).unwrap_err();
    assert_eq!(
        (fault.status(), fault.text()),
        (413, format!("The CPIX document has more than {BYTES_MAX} bytes"))
    );
}

#[test]
fn what_is_not_well_formed_is_refused_with_its_place() {
    for (document, what) in [
        ("", "Empty CPIX document"),
        (" \n", "Empty CPIX document"),
        ("a", "text outside of the root element"),
        ("<a/>b", "text outside of the root element"),
        ("<a/>&amp;", "text outside of the root element"),
        ("<a/><b/>", "a second root element (line 1, column 5)"),
        ("<a>\n <b></a>", "(b, line 2, column 5)"),
        ("<a>\n<b>", "the element b is not closed (b, line 2, column 1)"),
        ("<p:a/>", "the prefix of a is not declared"),
        ("<a p:b='1'/>", "the prefix of b is not declared"),
        ("<a b='1' b='2'/>", "not well-formed"),
        ("<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>", "the attribute b stands there twice"),
        ("<a xmlns:p=''/>", "a prefix that is declared for no namespace"),
        ("<a xmlns:p='&#117;'/>", "in the name of a namespace that no URI has"),
        ("<a xmlns:p='u>'/>", "in the name of a namespace that no URI has"),
        ("<a xmlns='u\"'/>", "in the name of a namespace that no URI has"),
        ("<a xmlns='u\n'/>", "in the name of a namespace that no URI has"),
        ("<a b='<'/>", "`<` in the attribute b"),
        ("<a b=1/>", "not well-formed"),
        ("<1a/>", "a name with a character that names cannot have"),
        ("<a:b:c xmlns:a='u'/>", "a name with a character that names cannot have"),
        ("<a>]]></a>", "`]]>` in text"),
        ("<a>\u{1}</a>", "the character U+0001"),
        ("<a b='&#1;'/>", "the character U+0001"),
        ("<a>&#0;</a>", "a reference"),
        ("<a><!-- -- --></a>", "not well-formed"),
        (" <?xml version='1.0'?><a/>", "at the beginning"),
        ("<a", "not well-formed"),
    ] {
        let refusal = refusal(document);
        assert!(refusal.contains(what), "{document:?}: {refusal}");
    }
}

proptest! {
    #[test]
    fn whatever_is_read_is_written_so_that_it_reads_the_same(
        document in "(<a( b='[&;#0-9a-z\"<]{0,4}')?>|</a>|<b/>|&(amp|lt|#13|#xA0);|[ -~\r\n\u{e9}]){0,12}"
    ) {
        let wrapped = format!("<r>{document}</r>");
        if let Ok(root) = read(wrapped.as_bytes()) {
            let written = write(&root);
            let again = read(&written).unwrap();
            prop_assert_eq!(write(&again), written);
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, text in "[<>/&;'\"=!?\\[\\]a:x -]{0,60}") {
        let _ = read(&bytes);
        let _ = read(text.as_bytes());
    }
}
