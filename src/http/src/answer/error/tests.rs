//! What refused callers read, and what the log keeps for us.

use std::cell::RefCell;

use actix_web::body::MessageBody;
use serde_json::Value as Json;

use super::*;
use keymoot_auth::{SignatureFault, Unreadable};
use keymoot_model::{AccountId, Scope};
use keymoot_protocol::CustomData;
use keymoot_testing::captured;

fn body_of(error: &ApiError) -> String {
    let bytes = error.error_response().into_body().try_into_bytes().unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_refusal_has_the_format_of_the_specification() {
    let error = ApiError::new(ErrorKind::Invalid, "Missing custom data content_id");
    assert_eq!(
        body_of(&error),
        format!(
            r#"{{"message":"Missing custom data content_id","status_code":"400","reference":{}}}"#,
            error.reference()
        )
    );
    let response = error.error_response();
    assert_eq!(response.status(), 400);
    assert_eq!(response.headers().get("content-type").unwrap(), "application/json");
}

#[test]
fn every_kind_has_a_status_the_specification_knows_or_503_with_retry_after() {
    for (kind, status) in [
        (ErrorKind::Invalid, 400),
        (ErrorKind::Denied, 401),
        (ErrorKind::NotFound, 404),
        (ErrorKind::MethodNotAllowed, 400),
        (ErrorKind::Conflict, 400),
        (ErrorKind::TooLarge, 400),
        (ErrorKind::Busy, 503),
        (ErrorKind::NoQuorum, 503),
        (ErrorKind::Internal, 500),
    ] {
        let error = ApiError::new(kind, "x");
        let response = error.error_response();
        assert_eq!(response.status(), status, "{kind:?}");
        let body: Json = serde_json::from_str(&body_of(&error)).unwrap();
        assert_eq!(body["status_code"], status.to_string());
        assert_eq!(response.headers().contains_key("retry-after"), status == 503, "{kind:?}");
        assert_eq!(error.refusal().is_some(), status == 401, "{kind:?}");
    }
}

#[test]
fn a_refusal_carries_the_challenges_it_was_given() {
    let name = HeaderName::from_static("www-authenticate");
    let challenges = ["one", "two"].map(|value| (name.clone(), HeaderValue::from_static(value)));
    let error = ApiError::unauthorized("x").with_headers(challenges.to_vec());
    let response = error.error_response();
    assert_eq!(response.headers().get_all("www-authenticate").count(), 2);
}

#[test]
fn references_differ_and_survive_every_json_reader() {
    let drawn: std::collections::HashSet<u64> = (0..1000).map(|_| draw_reference()).collect();
    assert_eq!(drawn.len(), 1000);
    assert!(drawn.iter().all(|reference| (1..1 << 53).contains(reference)));
}

#[test]
fn every_refused_caller_reads_the_same() {
    let account = AccountId::new("167").unwrap();
    let signature = |fault| Denied::Signature { account: account.clone(), scope: Scope::License, fault };
    let data = br#"{"ca_system":"OTT","account_id":"167","content_id":"a"}"#;
    let ca_system = CustomData::parse(data).unwrap().ca_system().clone();
    let denials = [
        signature(SignatureFault::UnknownAccount),
        signature(SignatureFault::NoCredential),
        signature(SignatureFault::Mismatch),
        signature(SignatureFault::Missing),
        Denied::Address { account: account.clone(), caller: "192.0.2.1".parse().unwrap() },
        Denied::CaSystem { account: account.clone(), ca_system },
    ];
    for denied in denials {
        let error = ApiError::from(AuthError::from(denied));
        assert_eq!((error.kind(), error.message()), (ErrorKind::Denied, UNAUTHORIZED));
    }
}

#[test]
fn errors_of_the_rooms_keep_their_words_and_get_their_kind() {
    let missing = ApiError::from(CustomDataError::Missing { member: "content_id" });
    assert_eq!((missing.kind(), missing.message()), (ErrorKind::Invalid, "Missing custom data content_id"));
    assert_eq!(ApiError::from(CustomDataError::TooLong { bytes_max: 1 }).kind(), ErrorKind::TooLarge);
    assert_eq!(ApiError::from(QueryError::TooLong).kind(), ErrorKind::TooLarge);
    assert_eq!(ApiError::from(QueryError::EmptyCustomData).kind(), ErrorKind::Invalid);
    assert_eq!(ApiError::from(QueryError::from(SignatureError::Form)).kind(), ErrorKind::Denied);
    assert_eq!(ApiError::from(PathError::Escape).kind(), ErrorKind::Invalid);
    assert_eq!(ApiError::from(AuthError::Busy).kind(), ErrorKind::Busy);
    assert_eq!(ApiError::from(AuthError::Stopped).kind(), ErrorKind::Busy);
    let unreadable = ApiError::from(AuthError::from(Unreadable("account 167: a checksum".to_owned())));
    assert_eq!((unreadable.kind(), unreadable.message()), (ErrorKind::Internal, "internal server error"));
}

#[test]
fn the_log_has_the_true_reason_under_the_reference_and_the_caller_does_not() {
    let made = RefCell::new(Vec::new());
    let written = captured(|| made.borrow_mut().push(ApiError::internal("disk sda1 is on fire")));
    let error = made.into_inner().pop().unwrap();
    assert!(written.contains("disk sda1 is on fire") && written.contains("WARN"), "{written}");
    assert!(written.contains(&format!("reference={}", error.reference())), "{written}");
    assert!(!body_of(&error).contains("sda1"), "{}", body_of(&error));
}
