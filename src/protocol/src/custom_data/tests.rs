//! Custom data as real clients write it, and as attackers might.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use keymoot_drm::ProtectionScheme;

fn parse(document: &Json) -> Result<CustomData, CustomDataError> {
    CustomData::parse(document.to_string().as_bytes())
}

fn refusal(document: &Json) -> String {
    parse(document).expect_err("the document was accepted").to_string()
}

/// A minimal document with `member` set, or taken away when `value` is `None`.
fn with(member: &str, value: Option<Json>) -> Json {
    let mut document = json!({"ca_system": "OTT", "account_id": "167", "content_id": "a.mp4"});
    let members = document.as_object_mut().unwrap();
    match value {
        Some(value) => members.insert(member.to_owned(), value),
        None => members.remove(member),
    };
    document
}

#[test]
fn documents_of_real_clients_are_read() {
    let ovp = br#"{"ca_system":"OVP","user_token":"<token>","account_id":1068292,"content_id":"1_rwbj3j0a","files":"1_92dfyrz5,1_9dhh6m0i"}"#;
    let ovp = CustomData::parse(ovp).unwrap();
    assert_eq!(ovp.account_id().as_str(), "1068292");
    assert_eq!(ovp.content_id().as_str(), "1_rwbj3j0a");
    assert_eq!(ovp.files(), ["1_92dfyrz5", "1_9dhh6m0i"]);
    assert_eq!(ovp.user_token(), Some("<token>"));
    assert!(ovp.ca_system().is("ovp"));
    assert!(ovp.supplied().unwrap().is_none());

    let ott = br#"{"ca_system":"OTT","user_token":"","account_id":1982551,"content_id":"0_ch70ffu7","files":"","udid":"aa5e1b6c96988d68","additional_cas_system":0}"#;
    let ott = CustomData::parse(ott).unwrap();
    assert_eq!(ott.user_token(), None);
    assert_eq!(ott.udid(), Some("aa5e1b6c96988d68"));
    assert_eq!(ott.additional_cas_system(), Some("0"));
    assert!(ott.files().is_empty());
}

#[test]
fn a_number_and_the_same_digits_as_text_are_the_same_account() {
    let number = parse(&with("account_id", Some(json!(167)))).unwrap();
    let text = parse(&with("account_id", Some(json!("167")))).unwrap();
    assert_eq!(number.account_id(), text.account_id());
}

#[test]
fn escapes_free_order_a_comma_list_and_unknown_members_pass() {
    let document = br#" { "future": {"a": [1.5, true]}, "content_id" : "a\/caf\u00e9,b",
        "account_id":"167", "ca_system":"https:\/\/cas.example\/x", "files": ["f1", " f2 "] } "#;
    let data = CustomData::parse(document).unwrap();
    assert_eq!(data.content_id().as_str(), "a/café,b");
    assert_eq!(data.ca_system().as_str(), "https://cas.example/x");
    assert_eq!(data.files(), ["f1", "f2"]);
}

#[test]
fn what_is_missing_or_empty_is_named() {
    for member in ["ca_system", "account_id", "content_id"] {
        let missing = format!("Missing custom data {member}");
        assert_eq!(refusal(&with(member, None)), missing);
        assert_eq!(refusal(&with(member, Some(Json::Null))), missing);
        assert_eq!(refusal(&with(member, Some(json!("")))), format!("custom data {member} is empty"));
    }
}

#[test]
fn wrong_types_and_forms_are_named() {
    for (member, value, message) in [
        ("content_id", json!(1.5), "custom data content_id must be a string or a whole number"),
        ("ca_system", json!(["OTT"]), "custom data ca_system must be a string"),
        ("account_id", json!(1.5), "custom data account_id must be a string or a whole number"),
        (
            "account_id",
            json!("a b"),
            "custom data account_id holds a character that is not allowed at byte 1",
        ),
        (
            "content_id",
            json!("a\nb"),
            "custom data content_id holds a character that is not allowed at byte 1",
        ),
        ("content_id", json!("x".repeat(513)), "custom data content_id is longer than 512 bytes"),
        ("files", json!(3), "custom data files must be a string or a list of strings"),
        ("files", json!([3]), "custom data files must be a string or a list of strings"),
        ("udid", json!({}), "custom data udid must be a string or a whole number"),
    ] {
        assert_eq!(refusal(&with(member, Some(value))), message);
    }
    assert!(refusal(&with("ca_system", Some(json!("O\tT")))).starts_with("custom data ca_system must be"));
    assert!(refusal(&with("ca_system", Some(json!("x".repeat(513))))).contains("at most 512 bytes"));
}

#[test]
fn a_scheme_is_read_in_any_case_and_asked_for_by_whoever_needs_it() {
    let read = |value: Json| parse(&with("scheme", Some(value))).unwrap().scheme();
    assert_eq!(read(json!("cbcs")), Ok(Some(ProtectionScheme::Cbcs)));
    assert_eq!(read(json!("CENS")), Ok(Some(ProtectionScheme::Cens)));
    assert_eq!((read(json!("")), read(Json::Null)), (Ok(None), Ok(None)));
    for wrong in [json!("aes"), json!(7), json!("cbcs ")] {
        assert!(read(wrong).unwrap_err().to_string().starts_with("custom data scheme must be"));
    }
}

#[test]
fn a_supplied_key_is_read_whole_or_refused() {
    let base64 = |bytes: &[u8]| json!(STANDARD.encode(bytes));
    let pair = |key_id: Json, key: Json| {
        let mut document = with("key_id", Some(key_id));
        document["key"] = key;
        document
    };
    let data = parse(&pair(base64(b"0123456789abcdef"), base64(b"fedcba9876543210"))).unwrap();
    assert_eq!(data.supplied(), Ok(Some((Kid::from_bytes(*b"0123456789abcdef"), b"fedcba9876543210"))));

    let good = base64(&[7; 16]);
    let form = "must be standard padded base64 of exactly 16 bytes";
    for bad in
        [json!("CsjUtytiiiiee"), json!(""), base64(&[7; 15]), base64(&[7; 17]), json!("file_external_id")]
    {
        assert_eq!(refusal(&pair(good.clone(), bad.clone())), format!("custom data key {form}"));
        assert_eq!(refusal(&pair(bad, good.clone())), format!("custom data key_id {form}"));
    }
    assert_eq!(
        refusal(&with("key", Some(good.clone()))),
        "custom data key is given without key_id; supply both or neither"
    );
    let alone = parse(&with("key_id", Some(good))).unwrap();
    assert_eq!(alone.kid(), Some(Kid::from_bytes([7; 16])), "a key id alone names a version");
    assert_eq!(
        alone.supplied().unwrap_err().to_string(),
        "custom data key_id is given without key; supply both or neither"
    );
    assert!(parse(&pair(Json::Null, Json::Null)).unwrap().kid().is_none());
}

#[test]
fn what_is_for_an_export_or_a_bulk_request_is_for_nothing_else() {
    for member in ["export", "bulk"] {
        for value in [json!(1), json!("1"), Json::Null, json!({})] {
            let mut document = with("", None);
            document[member] = value;
            let expected = format!("custom data with the member {member} is for /{member} only");
            assert_eq!(refusal(&document), expected);
        }
    }
}

#[test]
fn neither_debug_nor_errors_show_a_secret() {
    let key = STANDARD.encode(b"fedcba9876543210");
    let mut document = with("user_token", Some(json!("s3cret-token")));
    document["key"] = json!(key);
    document["key_id"] = json!(STANDARD.encode(b"0123456789abcdef"));
    let shown = format!("{:?}", parse(&document).unwrap());
    assert!(!shown.contains("s3cret") && !shown.contains(&key) && !shown.contains("fedcba"), "{shown}");
    assert!(shown.contains("30313233-3435-3637-3839-616263646566"), "{shown}");

    let error = refusal(&with("key", Some(json!("s3cret-key"))));
    assert!(!error.contains("s3cret"), "{error}");
    let broken = br#"{"user_token":"s3cret","key":"s3cret" oops}"#;
    assert!(!CustomData::parse(broken).unwrap_err().to_string().contains("s3cret"));
}

#[test]
fn a_document_over_the_limit_is_refused_before_it_is_read() {
    let long = vec![b' '; CustomData::BYTES_MAX + 1];
    assert_eq!(
        CustomData::parse(&long).unwrap_err(),
        CustomDataError::TooLong { bytes_max: CustomData::BYTES_MAX }
    );
}

proptest! {
    #[test]
    fn what_a_client_writes_is_what_is_read(account in "[A-Za-z0-9._-]{1,64}", content in "[^\\p{Cc}]{1,100}",
                                            token in "[^\0]{1,50}", kid: [u8; 16], key: [u8; 16]) {
        let data = parse(&json!({
            "key": STANDARD.encode(key), "key_id": STANDARD.encode(kid), "user_token": token,
            "content_id": content, "account_id": account, "ca_system": "OTT",
        })).unwrap();
        prop_assert_eq!(data.account_id().as_str(), account);
        prop_assert_eq!(data.content_id().as_str(), content);
        prop_assert_eq!(data.user_token(), Some(token.as_str()));
        prop_assert_eq!(data.supplied(), Ok(Some((Kid::from_bytes(kid), &key))));
    }

    #[test]
    fn extending_a_signed_document_makes_it_invalid(padding in 0_usize..64, tail: Vec<u8>) {
        let mut document = with("", None).to_string().into_bytes();
        prop_assert!(CustomData::parse(&document).is_ok());
        document.push(0x80);
        document.extend(std::iter::repeat_n(0, padding));
        document.extend(tail);
        prop_assert!(CustomData::parse(&document).is_err());
    }
}
