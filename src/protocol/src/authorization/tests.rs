//! The vector of RFC 7616, and what is no offer.

use proptest::prelude::*;

use super::*;

const NOW_S: u64 = 1_800_000_000;

fn nonces() -> DigestNonces {
    DigestNonces::new(b"the cluster's own", 300)
}

fn envelope(authorization: &str) -> Envelope {
    Envelope {
        method: "GET".to_owned(),
        path: "/cenc/encryption".to_owned(),
        query: Some("custom_data=e30".to_owned()),
        headers: vec![("authorization".to_owned(), authorization.to_owned())],
        received_at_s: NOW_S,
        ..Envelope::default()
    }
}

/// An answer as a client makes it.
fn answer(user: &str, password: &[u8], nonce: &str) -> String {
    let fields = DigestFields {
        username: user.to_owned(),
        realm: REALM.to_owned(),
        nonce: nonce.to_owned(),
        count: "00000001".to_owned(),
        client_nonce: "c".to_owned(),
        method: "GET".to_owned(),
        uri: "/cenc/encryption?custom_data=e30".to_owned(),
        response: String::new(),
    };
    format!(
        "Digest username=\"{user}\", realm=\"{REALM}\", uri=\"{}\", algorithm=SHA-256, nonce=\"{nonce}\", \
         nc=00000001, cnonce=\"c\", qop=auth, response=\"{}\"",
        fields.uri,
        fields.expected(password)
    )
}

#[test]
fn rfc_7616_3_9_1_sha_256_answers_alike() {
    let fields = DigestFields {
        username: "Mufasa".to_owned(),
        realm: "http-auth@example.org".to_owned(),
        nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v".to_owned(),
        count: "00000001".to_owned(),
        client_nonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ".to_owned(),
        method: "GET".to_owned(),
        uri: "/dir/index.html".to_owned(),
        response: String::new(),
    };
    assert_eq!(
        fields.expected(b"Circle of Life"),
        "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
    );
}

#[test]
fn an_answer_verifies_with_its_password_only() {
    let header = answer("167/pw", b"s3cret", &nonces().issue(NOW_S));
    let Some(Authorization::Digest(read)) = Authorization::read(&envelope(&header), Some(&nonces())) else {
        panic!("not read");
    };
    assert!(read.verify(b"s3cret") && !read.verify(b"other"));
    assert!(read.name.credential.as_deref() == Some("pw") && read.created_s == NOW_S);
}

#[test]
fn an_answer_for_another_address_is_no_offer() {
    let header = answer("167", b"s3cret", &nonces().issue(NOW_S));
    let elsewhere = Envelope { path: "/widevine/encryption".to_owned(), ..envelope(&header) };
    assert!(Authorization::read(&elsewhere, Some(&nonces())).is_none());
    for wrong in [("qop=auth", "qop=auth-int"), ("SHA-256", "MD5"), ("00000001", "1"), ("keymoot", "other")] {
        let header = header.replace(wrong.0, wrong.1);
        assert!(Authorization::read(&envelope(&header), Some(&nonces())).is_none(), "{wrong:?}");
    }
}

#[test]
fn a_challenge_of_another_cluster_or_of_long_ago_is_stale() {
    let foreign = DigestNonces::new(b"another cluster's", 300);
    for nonce in [foreign.issue(NOW_S), nonces().issue(NOW_S - 301), nonces().issue(NOW_S + 301), "x".into()]
    {
        let header = answer("167", b"s3cret", &nonce);
        let read = Authorization::read(&envelope(&header), Some(&nonces()));
        assert!(matches!(read, Some(Authorization::Stale)), "{nonce}");
    }
}

#[test]
fn basic_reads_name_and_password_at_the_first_colon() {
    let header = format!("bAsIc {}", STANDARD.encode("167/pw:a:b"));
    let Some(Authorization::Basic(read)) = Authorization::read(&envelope(&header), None) else {
        panic!("not read");
    };
    assert!(read.verify(b"a:b") && !read.verify(b"a") && !read.verify(b""));
}

#[test]
fn headers_of_others_are_no_offers() {
    for header in ["Bearer abc", "Basic", "Basic !", "Basic YWJj", "Digest", "Digest a", "Negotiate x", ""] {
        assert!(Authorization::read(&envelope(header), Some(&nonces())).is_none(), "{header:?}");
    }
    assert!(parameters("a=1, a=2").is_none(), "a parameter given twice decides nothing");
    assert!(parameters("a=\"1\" b=2").is_none());
}

proptest! {
    #[test]
    fn any_header_is_read_or_passed_over(header in "\\PC{0,120}", digest in "[a-z]{1,4}=\\PC{0,40}") {
        let _ = Authorization::read(&envelope(&header), Some(&nonces()));
        let _ = Authorization::read(&envelope(&format!("Digest {digest}")), Some(&nonces()));
    }

    #[test]
    fn quoted_texts_read_back(text in "\\PC{0,40}") {
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let read = parameters(&format!("a=\"{quoted}\", b=1")).unwrap();
        prop_assert_eq!(&read["a"], &text);
        prop_assert_eq!(&read["b"], "1");
    }
}
