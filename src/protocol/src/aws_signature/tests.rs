//! The vectors of AWS's published test suite for Signature Version 4, and what is refused.

use super::*;

/// Credentials and time of the suite.
const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const NOW_S: u64 = 1_440_938_160;
const WINDOW: SignatureWindow = SignatureWindow { lifetime_s: 300, clock_skew_s: 30 };

struct Vector {
    method: &'static str,
    path: &'static str,
    query: Option<&'static str>,
    headers: &'static [(&'static str, &'static str)],
    signed: &'static str,
    body: &'static str,
    signature: &'static str,
}

const VANILLA: Vector = Vector {
    method: "GET",
    path: "/",
    query: None,
    headers: &[],
    signed: "host;x-amz-date",
    body: "",
    signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
};

fn vectors() -> Vec<(&'static str, Vector)> {
    vec![
        ("get-vanilla", VANILLA),
        (
            "get-vanilla-query-order-key-case",
            Vector {
                query: Some("Param2=value2&Param1=value1"),
                signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
                ..VANILLA
            },
        ),
        (
            "get-header-value-trim",
            Vector {
                headers: &[("my-header1", " value1"), ("my-header2", " \"a   b   c\"")],
                signed: "host;my-header1;my-header2;x-amz-date",
                signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
                ..VANILLA
            },
        ),
        (
            "get-unreserved",
            Vector {
                path: "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
                signature: "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
                ..VANILLA
            },
        ),
        (
            "get-space",
            Vector {
                path: "/example%20space/",
                signature: "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
                ..VANILLA
            },
        ),
        (
            "get-utf8",
            Vector {
                path: "/%E1%88%B4",
                signature: "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
                ..VANILLA
            },
        ),
        ("get-slash", Vector { path: "//", ..VANILLA }),
        (
            "post-vanilla",
            Vector {
                method: "POST",
                signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
                ..VANILLA
            },
        ),
        (
            "post-header-value-case",
            Vector {
                method: "POST",
                headers: &[("my-header1", "VALUE1")],
                signed: "host;my-header1;x-amz-date",
                signature: "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
                ..VANILLA
            },
        ),
        (
            "post-x-www-form-urlencoded",
            Vector {
                method: "POST",
                headers: &[("content-type", "application/x-www-form-urlencoded")],
                signed: "content-type;host;x-amz-date",
                body: "Param1=value1",
                signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
                ..VANILLA
            },
        ),
    ]
}

fn authorization(vector: &Vector) -> String {
    format!(
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders={}, Signature={}",
        vector.signed, vector.signature
    )
}

fn envelope(vector: &Vector) -> Envelope {
    let own = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
    let mut headers: Vec<(String, String)> =
        own.iter().chain(vector.headers).map(|(name, value)| ((*name).into(), (*value).into())).collect();
    headers.push(("authorization".to_owned(), authorization(vector)));
    Envelope {
        method: vector.method.to_owned(),
        scheme: "https",
        authority: "example.amazonaws.com".to_owned(),
        path: vector.path.to_owned(),
        query: vector.query.map(str::to_owned),
        headers,
        body: vector.body.into(),
        received_at_s: NOW_S,
    }
}

fn changed(change: impl FnOnce(&mut Envelope)) -> Result<Option<AwsSignature>, AwsSignatureError> {
    let mut envelope = envelope(&VANILLA);
    change(&mut envelope);
    AwsSignature::read(&envelope, WINDOW)
}

fn set(envelope: &mut Envelope, name: &str, value: &str) {
    envelope.headers.retain(|(own, _)| own != name);
    envelope.headers.push((name.to_owned(), value.to_owned()));
}

#[test]
fn the_published_vectors_verify_and_with_another_secret_they_do_not() {
    for (name, vector) in vectors() {
        let read = AwsSignature::read(&envelope(&vector), WINDOW).unwrap().unwrap();
        assert!(read.verify(SECRET), "{name}");
        assert!(!read.verify(b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEZ"), "{name}");
        assert_eq!((read.created_s, read.host.as_str()), (NOW_S, "example.amazonaws.com"), "{name}");
    }
}

#[test]
fn whatever_is_covered_cannot_be_changed() {
    type Change = fn(&mut Envelope);
    let changes: [(&str, Change); 6] = [
        ("method", |envelope| envelope.method = "PUT".to_owned()),
        ("path", |envelope| envelope.path = "/x".to_owned()),
        ("query", |envelope| envelope.query = Some("a=1".to_owned())),
        ("host", |envelope| set(envelope, "host", "other.example")),
        ("date", |envelope| set(envelope, "x-amz-date", "20150830T123601Z")),
        ("body", |envelope| envelope.body = "x".into()),
    ];
    for (what, change) in changes {
        assert!(!changed(change).unwrap().unwrap().verify(SECRET), "{what}");
    }
    assert!(changed(|_| ()).unwrap().unwrap().verify(SECRET));
}

#[test]
fn what_proves_nothing_is_refused_by_name() {
    use AwsSignatureError as E;
    let refused = |change: &dyn Fn(&mut Envelope)| changed(change).unwrap_err();
    let at =
        |seconds: i64| refused(&|envelope| envelope.received_at_s = NOW_S.saturating_add_signed(seconds));
    assert_eq!((at(331), at(-31)), (E::Untimely, E::Untimely));
    assert!(changed(|envelope| envelope.received_at_s = NOW_S + 330).is_ok());
    assert_eq!(
        refused(&|envelope| set(envelope, "x-amz-content-sha256", "UNSIGNED-PAYLOAD")),
        E::Uncovered("x-amz-content-sha256".into())
    );
    let with = |vector: Vector, name: &str, value: &str| {
        let mut envelope = envelope(&vector);
        set(&mut envelope, name, value);
        AwsSignature::read(&envelope, WINDOW)
    };
    let hashed = || Vector { signed: "host;x-amz-content-sha256;x-amz-date", ..VANILLA };
    assert_eq!(with(hashed(), "x-amz-content-sha256", "UNSIGNED-PAYLOAD").unwrap_err(), E::Body);
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert!(with(hashed(), "x-amz-content-sha256", empty).is_ok());
    for (signed, missing) in [("host", "x-amz-date"), ("x-amz-date", "host")] {
        let vector = Vector { signed, ..VANILLA };
        let refused = AwsSignature::read(&envelope(&vector), WINDOW).unwrap_err();
        assert_eq!(refused, E::Uncovered(missing.into()));
    }
    let absent = Vector { signed: "host;x-amz-date;x-other", ..VANILLA };
    assert_eq!(AwsSignature::read(&envelope(&absent), WINDOW).unwrap_err(), E::Absent("x-other".into()));
    for bad in ["20150831T123600Z", "2015-08-30T12:36:00Z", "20150830T993600Z", ""] {
        assert_eq!(refused(&|envelope| set(envelope, "x-amz-date", bad)), E::Date, "{bad}");
    }
    assert_eq!(refused(&|envelope| envelope.path = "/a/../b".to_owned()), E::Path);
}

#[test]
fn a_header_that_is_not_of_the_form_is_refused_and_one_of_another_kind_is_none() {
    let read = |text: &str| changed(|envelope| set(envelope, "authorization", text));
    let right = authorization(&VANILLA);
    for wrong in [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=a",
        &right.replace("aws4_request", "aws5_request"),
        &right.replace("AKIDEXAMPLE/", ""),
        &right.replace("host;x-amz-date", "x-amz-date;host"),
        &right.replace("host;x-amz-date", "host;host;x-amz-date"),
        &right.replace("host;", "Host;"),
        &right.replace("5fa0", "5FA0"),
        &right.replace("5fa0", ""),
        &format!("{right}, Signature=00"),
        &format!("{right}, Other=1"),
        &format!("{right}{}", " ".repeat(5000) + "x"),
    ] {
        assert_eq!(read(wrong).unwrap_err(), AwsSignatureError::Form, "{wrong}");
    }
    for other in ["Basic YTpi", "Bearer AWS4-HMAC-SHA256"] {
        assert!(read(other).unwrap().is_none(), "{other}");
    }
}

#[test]
fn an_access_key_names_a_credential_or_an_account_with_it() {
    let account = keymoot_model::AccountId::new("167").unwrap();
    let of = |id: &str| {
        let text = authorization(&VANILLA).replace("AKIDEXAMPLE", id);
        let mut envelope = envelope(&VANILLA);
        set(&mut envelope, "authorization", &text);
        AccessKey::of(&envelope).unwrap()
    };
    assert_eq!(of("AKID"), AccessKey::Id("AKID".to_owned()));
    assert!(of("AKID").means(&account, "AKID") && !of("AKID").means(&account, "other"));
    assert!(of("167/AKID").means(&account, "AKID") && !of("168/AKID").means(&account, "AKID"));
}
