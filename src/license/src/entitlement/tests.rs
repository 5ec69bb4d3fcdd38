use std::time::{Duration, Instant};

use super::*;
use keymoot_crypto::secret_file;
use keymoot_model::{Consistency, ResponseShape};
use keymoot_outgoing::OutgoingLimits;
use keymoot_outgoing::ServerUrl;
use keymoot_protocol::CustomData;
use keymoot_testing::stand_in as server;

const SIGNED: &str = r#"{"ca_system":"CAS","account_id":167,"content_id":"film","files":"a,b",
    "user_token":"s3cret-token","udid":"device-1","additional_cas_system":7}"#;

fn account(id: &str) -> Account {
    Account {
        id: AccountId::new(id).unwrap(),
        ca_systems: Vec::new(),
        credentials: Vec::new(),
        allow_list: Vec::new(),
        consistency: Consistency::Linearizable,
        response_shape: ResponseShape::ByPath,
        license_url: None,
        created_at_ms: 0,
        minimum_scheme: None,
        allow_unsigned_packagers: false,
        playready_la_url: None,
    }
}

fn entry(adapter: AdapterKind, url: Option<ServerUrl>) -> EntitlementEntry {
    EntitlementEntry {
        account: AccountId::new("167").unwrap(),
        ca_system: Some("cas".to_owned()),
        adapter,
        url,
        bearer_file: None,
        timeout_ms: 1000,
        requests_max: 2,
        cache_s: 0,
        policy: None,
        license_duration_s: None,
        playback_duration_s: None,
        rental_duration_s: None,
    }
}

fn deciding(entries: &[EntitlementEntry]) -> Entitlements {
    let outgoing = Outgoing::new(OutgoingLimits::default(), None).unwrap();
    Entitlements::new(entries, outgoing, Arc::new(Metrics::new().unwrap())).unwrap()
}

/// Decides about the viewer of the custom data `signed`, on behalf of the account that signed it.
async fn decide(by: &Entitlements, signed: &str) -> Result<Entitled, NotEntitled> {
    let data = CustomData::parse(signed.as_bytes()).unwrap();
    let account = account(data.account_id().as_str());
    let viewer = Viewer {
        account: &account,
        content: data.content_id(),
        ca_system: data.ca_system(),
        user_token: data.user_token(),
        udid: data.udid(),
        files: data.files(),
        additional_cas_system: data.additional_cas_system(),
        client: "192.0.2.7".parse().unwrap(),
    };
    by.decide(viewer).await
}

/// Asks a back end that answers `body` with status 200.
async fn answered(adapter: AdapterKind, body: &str) -> (Result<Entitled, NotEntitled>, String) {
    let answer =
        format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (url, served) = server(1, answer.leak()).await;
    let decided = decide(&deciding(&[entry(adapter, Some(url))]), SIGNED).await;
    (decided, served.await.unwrap().remove(0))
}

fn seconds(number: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(number)
}

fn is_unusable(decided: &Result<Entitled, NotEntitled>) -> bool {
    matches!(decided, Err(NotEntitled::Unusable(_)))
}

#[tokio::test]
async fn the_cas_is_told_who_it_is_and_its_terms_are_taken() {
    let answer = r#"{"allow":true,"policy":"gold","license_duration_s":60,"rental_duration_s":7}"#;
    let (decided, asked) = answered(AdapterKind::Http, answer).await;
    let terms = Entitled {
        policy: Some(PolicyName::new("gold").unwrap()),
        license_duration_s: seconds(60),
        playback_duration_s: None,
        rental_duration_s: seconds(7),
    };
    assert_eq!(decided, Ok(terms));
    let body = asked.split("\r\n\r\n").nth(1).unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let expected = serde_json::json!({
        "account_id": "167", "ca_system": "CAS", "content_id": "film", "files": ["a", "b"],
        "user_token": "s3cret-token", "udid": "device-1", "additional_cas_system": "7",
        "client_address": "192.0.2.7",
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn an_answer_that_is_no_clear_yes_gives_nothing() {
    assert_eq!(
        answered(AdapterKind::Http, r#"{"allow":false,"policy":"gold"}"#).await.0,
        Err(NotEntitled::Refused)
    );
    for bad in [
        "",
        "true",
        "{}",
        "null",
        r#"{"allow":1}"#,
        r#"{"allow":"true"}"#,
        r#"{"allow":true,"allow":true}"#,
        r#"{"allow":true}{"#,
        r#"{"allow":true,"policy":""}"#,
        r#"{"allow":true,"policy":null}"#,
        r#"{"allow":true,"policy":"a b"}"#,
        r#"{"allow":true,"license_duration_s":0}"#,
        r#"{"allow":true,"license_duration_s":-1}"#,
        r#"{"allow":true,"license_duration_s":null}"#,
        r#"{"allow":true,"license_duration_s":1.5}"#,
        r#"{"allow":true,"playback_duration_s":4294967296}"#,
        r#"{"allow":true,"rental_duration_s":"60"}"#,
        r#"{"allow":true,"license_duration":60}"#,
    ] {
        let (decided, _) = answered(AdapterKind::Http, bad).await;
        assert!(is_unusable(&decided), "{bad}: {decided:?}");
    }
}

#[tokio::test]
async fn a_platform_says_no_with_empty_terms() {
    let (decided, asked) = answered(
        AdapterKind::Ovp,
        r#"{"policy":"p1","duration":3600,"absolute_duration":"86400","objectType":"X","licenseParams":[]}"#,
    )
    .await;
    let terms = decided.unwrap();
    assert_eq!((terms.playback_duration_s, terms.license_duration_s), (seconds(3600), seconds(86_400)));
    assert!(asked.starts_with("POST /ask/service/drm_drmlicenseaccess/action/getAccess "), "{asked}");
    assert!(
        asked.ends_with(
            r#"{"ks":"s3cret-token","entryId":"film","flavorIds":"a,b","referrer":"","format":1}"#
        )
    );
    for no in [
        r#"{"policy":"","duration":0,"absolute_duration":0}"#,
        r#"{"policy":"p1","duration":0,"absolute_duration":9}"#,
        r#"{"policy":"p1","duration":9,"absolute_duration":0}"#,
        r#"{"code":"INVALID_KS","message":"s3cret","objectType":"KalturaAPIException"}"#,
    ] {
        assert_eq!(answered(AdapterKind::Ovp, no).await.0, Err(NotEntitled::Refused), "{no}");
    }
    for bad in [
        r#"{"policy":"p1","duration":9}"#,
        r#"{"policy":"p1","duration":-1,"absolute_duration":9}"#,
        "[]",
        "<xml/>",
    ] {
        let (decided, _) = answered(AdapterKind::Ovp, bad).await;
        assert!(is_unusable(&decided), "{bad}: {decided:?}");
    }
}

#[tokio::test]
async fn an_ott_back_end_answers_bare_or_wrapped() {
    let terms = r#"{"policy":"p1","duration":9,"absolute_duration":10}"#;
    let (bare, asked) = answered(AdapterKind::Ott, terms).await;
    let (wrapped, _) =
        answered(AdapterKind::Ott, &format!("{{\"executionTime\":0.1,\"result\":{terms}}}")).await;
    assert_eq!(bare.as_ref().unwrap().license_duration_s, seconds(10));
    assert_eq!(bare, wrapped);
    assert!(asked.contains(r#""files":"a,b","udid":"device-1","additional_cas_system":"7""#), "{asked}");
    let error = r#"{"result":{"error":{"code":"3032","message":"s3cret"}}}"#;
    assert_eq!(answered(AdapterKind::Ott, error).await.0, Err(NotEntitled::Refused));
    for bad in [r#"{"result":{}}"#, "{}", r#"{"result":null}"#] {
        assert!(is_unusable(&answered(AdapterKind::Ott, bad).await.0), "{bad}");
    }
}

#[tokio::test]
async fn a_back_end_that_fails_hangs_or_points_elsewhere_gives_nothing() {
    for (answer, error) in [
        ("HTTP/1.1 500 No\r\nContent-Length: 14\r\n\r\n{\"allow\":true}", NotEntitled::Status(500)),
        ("HTTP/1.1 201 No\r\nContent-Length: 14\r\n\r\n{\"allow\":true}", NotEntitled::Status(201)),
        (
            "HTTP/1.1 302 No\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            NotEntitled::Status(302),
        ),
        ("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", NotEntitled::Refused),
    ] {
        let (url, _served) = server(1, answer).await;
        assert_eq!(decide(&deciding(&[entry(AdapterKind::Http, Some(url))]), SIGNED).await, Err(error));
    }
    let (url, _served) = server(1, "").await;
    let slow = EntitlementEntry { timeout_ms: 100, ..entry(AdapterKind::Http, Some(url)) };
    let began = Instant::now();
    assert_eq!(decide(&deciding(&[slow]), SIGNED).await.unwrap_err().outcome(), "timeout");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn only_the_configured_back_end_of_the_account_is_used() {
    let terms = |policy: &str| EntitlementEntry {
        policy: Some(PolicyName::new(policy).unwrap()),
        ..entry(AdapterKind::Static, None)
    };
    let other = EntitlementEntry { ca_system: None, ..terms("other") };
    let by = deciding(&[terms("own"), other]);
    let policy =
        async |signed: &str| decide(&by, signed).await.map(|terms| terms.policy.unwrap().to_string());
    assert_eq!(policy(SIGNED).await, Ok("own".to_owned()));
    assert_eq!(policy(&SIGNED.replace("CAS", "OTT")).await, Ok("other".to_owned()));
    for (from, to) in [("\"CAS\"", "\"https://cas.example.com/\""), ("167", "168")] {
        assert_eq!(policy(&SIGNED.replace(from, to)).await, Err(NotEntitled::NoBackEnd), "{to}");
    }
    assert_eq!(decide(&deciding(&[]), SIGNED).await, Err(NotEntitled::NoBackEnd));
}

#[tokio::test]
async fn who_was_entitled_is_remembered_for_the_same_question_only_and_a_refusal_never() {
    let yes = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 14\r\n\r\n{\"allow\":true}";
    let (url, served) = server(2, yes).await;
    let by = deciding(&[EntitlementEntry { cache_s: 60, ..entry(AdapterKind::Http, Some(url)) }]);
    assert!(decide(&by, SIGNED).await.is_ok());
    assert!(decide(&by, SIGNED).await.is_ok());
    assert!(decide(&by, &SIGNED.replace("s3cret-token", "another")).await.is_ok());
    let asked = served.await.unwrap();
    assert!(asked[0].contains("s3cret-token") && asked[1].contains("another"), "the second was remembered");
    assert!(decide(&by, SIGNED).await.is_ok(), "it is remembered while nobody answers");
    assert!(!decide(&by, &SIGNED.replace("device-1", "device-2")).await.unwrap_err().is_refusal());

    let (url, served) = server(2, "HTTP/1.1 403 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").await;
    let by = deciding(&[EntitlementEntry { cache_s: 60, ..entry(AdapterKind::Http, Some(url)) }]);
    for _ in 0..2 {
        assert_eq!(decide(&by, SIGNED).await, Err(NotEntitled::Refused));
    }
    assert_eq!(served.await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_token_of_its_own_is_shown_and_never_printed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    secret_file::create(&file, b"b3arer\n").unwrap();
    let (url, served) = server(1, "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"allow\":true}").await;
    let own = EntitlementEntry { bearer_file: Some(file.clone()), ..entry(AdapterKind::Http, Some(url)) };
    assert!(decide(&deciding(std::slice::from_ref(&own)), SIGNED).await.is_ok());
    assert!(served.await.unwrap()[0].to_ascii_lowercase().contains("authorization: bearer b3arer\r\n"));

    std::fs::write(&file, "b3 arer").unwrap();
    let outgoing = Outgoing::new(OutgoingLimits::default(), None).unwrap();
    let error = Entitlements::new(&[own], outgoing, Arc::new(Metrics::new().unwrap())).err().unwrap();
    assert!(error.to_string().contains("visible ASCII") && !error.to_string().contains("b3"), "{error}");
}

#[tokio::test]
async fn every_decision_is_counted() {
    let by = deciding(&[entry(AdapterKind::Static, None)]);
    decide(&by, SIGNED).await.unwrap();
    decide(&by, &SIGNED.replace("CAS", "OTT")).await.unwrap_err();
    let count = |labels: &[&str]| by.metrics.entitlements_total.with_label_values(labels).get();
    assert_eq!((count(&["static", "entitled"]), count(&["none", "no_back_end"])), (1, 1));
}
