use actix_web::test::TestRequest;

use super::*;

#[test]
fn the_version_is_what_one_header_says() {
    let of = |path, headers: &[&'static str]| {
        let request = headers.iter().fold(TestRequest::post(), |request, value| {
            request.append_header((Protocol::VERSION_HEADER, *value))
        });
        speke_version(path, &request.to_http_request())
    };
    assert_eq!(of(SpekePath::Any, &[]), Some(Protocol::Speke1));
    assert_eq!(of(SpekePath::Versioned, &[]), None);
    for path in [SpekePath::Any, SpekePath::Versioned] {
        assert_eq!(of(path, &["2.0"]), Some(Protocol::Speke2_0));
        assert_eq!(of(path, &["2.1"]), Some(Protocol::Speke2_1));
        assert_eq!(of(path, &["3.0"]), None);
        assert_eq!(of(path, &["2.0", "2.1"]), None);
    }
}

#[test]
fn the_answer_names_version_and_server_as_the_protocol_has_it() {
    let header = |protocol, name: &str| {
        let answer = respond(protocol, Zeroizing::new(Vec::new()));
        answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let agent = Some(USER_AGENT.to_owned());
    assert_eq!(header(Protocol::Speke1, "speke-user-agent"), agent);
    assert_eq!(header(Protocol::Speke1, "x-speke-version"), None);
    assert_eq!(header(Protocol::Speke2_1, "x-speke-version").as_deref(), Some("2.1"));
    assert_eq!(header(Protocol::Speke2_0, "x-speke-user-agent"), agent);
    assert_eq!(header(Protocol::Cpix, "x-speke-user-agent"), None);
    assert_eq!(header(Protocol::Cpix, "content-type").as_deref(), Some("application/xml"));
}
