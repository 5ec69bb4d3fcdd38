//! Published vectors of the signature, and the shapes of requests and answers.

use super::*;

#[test]
fn the_signature_agrees_with_the_published_vectors() {
    let signer = Signer::new("167", "OVP", "test-signing-key");
    let data = br#"{"ca_system":"OVP","account_id":"167","content_id":"a.mp4","files":""}"#;
    assert_eq!(signer.signature(data), "h405UlVg8QQxG/HGOJlJs4EY3T0=");
    let data = r#"{"ca_system":"OTT","account_id":167,"content_id":"café.ism","files":""}"#;
    assert_eq!(signer.with_key("k3y").signature(data.as_bytes()), "HJMjfjkDjPo51Z2xNSl2EH+NDH8=");
}

#[test]
fn a_get_carries_its_custom_data_in_the_query_and_a_post_in_the_body() {
    let signer = Signer::new("167", "OVP", "k");
    let data = signer.custom_data("a", &[]);
    let get = String::from_utf8(signer.request("GET", "/p", &data)).unwrap();
    assert!(get.starts_with("GET /p?custom_data=") && get.ends_with("\r\n\r\n"), "{get}");
    let post = String::from_utf8(signer.request("POST", "/p", &data)).unwrap();
    assert!(post.starts_with("POST /p?signature=") && post.ends_with('}'), "{post}");
}

#[test]
fn keys_are_read_from_an_object_and_from_an_array_of_one() {
    let object = r#"{"key":"AAAAAAAAAAAAAAAAAAAAAA==","key_id":"AQAAAAAAAAAAAAAAAAAAAA==","content_id":"a","file":null}"#;
    let answer = |body: String| Answer { status: 200, headers: vec![], body: body.into_bytes() };
    let key = KeyAnswer::from_answer(&answer(object.to_owned())).unwrap();
    assert_eq!(key.bytes().unwrap().1[0], 1);
    assert_eq!(KeyAnswer::from_answer(&answer(format!("[{object}]"))).unwrap(), key);
    assert!(KeyAnswer::from_answer(&answer(format!("[{object},{object}]"))).is_err());
    assert!(KeyAnswer::from_answer(&answer(object.replace("AQAA", ""))).is_err());
}

#[test]
fn a_pssh_box_has_its_length_in_front_and_its_data_behind() {
    let whole = pssh_box("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "aGk=").unwrap();
    assert_eq!(hex(&whole), "000000227073736800000000edef8ba979d64acea3c827dcd51d21ed000000026869");
    assert!(pssh_box("edef8ba9", "aGk=").is_err());
    assert!(pssh_box("edef8ba9-79d6-4ace-a3c8-27dcd51d21ed", "?").is_err());
}
