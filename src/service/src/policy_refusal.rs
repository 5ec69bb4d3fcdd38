//! Why the state did not change a policy.

use keymoot_model::PolicyName;
use keymoot_state::{PolicyCondition, Response};

use super::error::ServiceError;

/// Why a command did not change or delete a policy, in words that help.
pub(crate) fn policy_refusal(
    name: &PolicyName,
    refusal: &Response,
    condition: PolicyCondition,
) -> ServiceError {
    ServiceError::Conflict(match (refusal, condition) {
        (Response::NoPolicy, _) => return ServiceError::UnknownPolicy { name: name.clone() },
        (Response::PolicyMoved { version: None }, _) => format!("there is no policy {name} to change"),
        (Response::PolicyMoved { version: Some(version) }, PolicyCondition::IfVersion(wanted)) => format!(
            "policy {name} is version {version} by now, not {wanted}; read it again and repeat the change on that"
        ),
        (Response::PolicyMoved { version: Some(version) }, _) => {
            format!("policy {name} is there already, as version {version}, and says something else")
        }
        (Response::PolicyInUse { contents, is_default }, _) => {
            let attached = match contents {
                1 => "attached to 1 content".to_owned(),
                contents => format!("attached to {contents} contents"),
            };
            let uses = match (contents, is_default) {
                (0, _) => "the account's default".to_owned(),
                (_, true) => format!("the account's default and {attached}"),
                (_, false) => attached,
            };
            format!("policy {name} is in use: it is {uses}; it can be deleted once nothing uses it")
        }
        _ => return ServiceError::Protocol { command: "put-policy or delete-policy" },
    })
}
