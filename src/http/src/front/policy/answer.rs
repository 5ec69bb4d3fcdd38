//! What a request about policies is answered. The member `policy` is what PUT takes again.

use actix_web::HttpResponse;
use actix_web::http::header::ETAG;
use serde_json::{Value, json};

use crate::request::conditions::tag;
use keymoot_model::{ContentId, PolicyName, TimeStamp};
use keymoot_service::ListedPolicy;

/// One policy, with its tag.
pub(super) fn policy(listed: &ListedPolicy) -> HttpResponse {
    HttpResponse::Ok().insert_header((ETAG, tag(listed.record.version))).json(object(listed))
}

/// All policies, and the name of the one attached to a content that was asked for.
pub(super) fn list(
    listed: &[ListedPolicy],
    attached: Option<(&ContentId, Option<PolicyName>)>,
) -> HttpResponse {
    let default = listed.iter().find(|listed| listed.is_default).map(|listed| &listed.record.policy.name);
    let mut answer = json!({
        "default": default,
        "policies": listed.iter().map(object).collect::<Vec<_>>(),
    });
    if let (Some((content, attached)), Some(members)) = (attached, answer.as_object_mut()) {
        let holds = attached.as_ref().or(default);
        let content = json!({ "content_id": content, "attached": attached, "holds": holds });
        members.insert("content".to_owned(), content);
    }
    HttpResponse::Ok().json(answer)
}

/// What a delete is answered.
pub(super) fn deleted(name: &PolicyName) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "deleted": name }))
}

/// Which policy a content has by itself now.
pub(super) fn attached(content: &ContentId, name: Option<&PolicyName>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "content_id": content, "attached": name }))
}

/// Which policy contents without one of their own have now.
pub(super) fn default(name: Option<&PolicyName>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "default": name }))
}

fn object(listed: &ListedPolicy) -> Value {
    let ListedPolicy { record, contents, is_default } = listed;
    let changed_at = TimeStamp::from_unix_ms(record.changed_at_ms);
    json!({
        "policy": record.policy.to_json(),
        "version": record.version,
        "changed_at": changed_at.map(|at| at.to_string()),
        "contents": contents,
        "is_default": is_default,
    })
}
