//! Acts that take two persons, and operators' passwords and sessions, as the admin API does them.
//!
//! Whether an act waits is looked at here to ask for the approval and to say so; that nothing is done without one is
//! decided by the state, where it is applied.

use serde_json::{Value, json};

use keymoot_cluster::ClusterError;
use keymoot_state as state;
use keymoot_state::{ApprovalChange, ApprovalRecord, Response, SignInChange, Standing, TwoPersonRule};

use super::administration::{Administration, AdministrationError, OperatorGrant, OperatorProof};
use super::{ApprovalCall, Call, OperationError, SignInCall, SignInError};
use crate::clock::now_ms;

impl Administration {
    /// The approval that a call uses up, if it takes two persons.
    ///
    /// # Errors
    /// [`AdministrationError::Waits`] when there is none: it is asked for now, or was before.
    pub(super) async fn second_person(
        &self,
        grant: &OperatorGrant,
        call: &Call,
    ) -> Result<Option<Box<ApprovalRecord>>, AdministrationError> {
        let Some(act) = call.act(grant.name()) else { return Ok(None) };
        let tables = self.cluster.state();
        let goes_on = match &act {
            // Only its first step is one: the others follow from it.
            state::Act::ReplaceAuthority => {
                state::authority_change(tables).map_err(ClusterError::from)?.is_some()
            }
            // One approval is good for the files of all nodes.
            state::Act::RemoveMasterKey { id } => {
                state::key_removal_is_permitted(tables, id, now_ms()).map_err(ClusterError::from)?
            }
            _ => false,
        };
        if goes_on {
            return Ok(None);
        }
        let by = grant.name().clone();
        match state::standing_of(tables, &act, &by, now_ms()).map_err(ClusterError::from)? {
            Standing::Free => Ok(None),
            Standing::Approved(record) => Ok(Some(record)),
            Standing::Held => match self.cluster.change_approvals(ApprovalChange::Ask { act, by }).await? {
                Response::Approval(record) => Err(AdministrationError::Waits(record)),
                _ => Err(OperationError::Unexpected.into()),
            },
        }
    }

    pub(super) async fn change_approvals(
        &self,
        grant: &OperatorGrant,
        call: ApprovalCall,
    ) -> Result<Value, AdministrationError> {
        let (by, tables) = (grant.name().clone(), self.cluster.state());
        let invalid = |text: String| AdministrationError::Invalid(text);
        let change = match call {
            ApprovalCall::Approvals {} => {
                let all = state::approvals(tables).map_err(ClusterError::from)?;
                return Ok(all.iter().map(shown).collect());
            }
            ApprovalCall::TwoPersonRule {} => {
                let rule = state::two_person_rule(tables).map_err(ClusterError::from)?;
                return Ok(serde_json::to_value(rule)?);
            }
            ApprovalCall::SetTwoPersonRule { acts, within_s } => {
                let range = TwoPersonRule::WITHIN_S_RANGE;
                if !range.contains(&within_s) {
                    let text = format!("within_s must be {} to {} seconds", range.start(), range.end());
                    return Err(invalid(text));
                }
                ApprovalChange::SetRule { rule: TwoPersonRule { acts, within_s }.sorted(), by }
            }
            ApprovalCall::Approve { id } => ApprovalChange::Approve { id, by },
            ApprovalCall::Withdraw { id } => ApprovalChange::Withdraw { id, by },
            ApprovalCall::OpenExport { account, for_s } => {
                if !(1..=ApprovalCall::EXPORT_S_MAX).contains(&for_s) {
                    return Err(invalid(format!("for_s must be 1 to {}", ApprovalCall::EXPORT_S_MAX)));
                }
                if state::account(tables, &account).map_err(ClusterError::from)?.is_none() {
                    return Err(OperationError::NoAccount { id: account }.into());
                }
                ApprovalChange::OpenExport { account, for_s }
            }
            ApprovalCall::PermitKeyRemoval { id } => {
                if state::key_removal_is_permitted(tables, &id, now_ms()).map_err(ClusterError::from)? {
                    return Ok(json!({ "outcome": "unchanged" }));
                }
                ApprovalChange::PermitKeyRemoval { id }
            }
        };
        match self.cluster.change_approvals(change).await? {
            Response::Approval(record) => Ok(shown(&record)),
            Response::Done => Ok(json!({ "outcome": "done" })),
            Response::Unchanged => Ok(json!({ "outcome": "unchanged" })),
            _ => Err(OperationError::Unexpected.into()),
        }
    }

    pub(super) async fn change_sign_in(
        &self,
        grant: &OperatorGrant,
        call: SignInCall,
    ) -> Result<Value, AdministrationError> {
        let own = grant.name().clone();
        let changed = match call {
            SignInCall::SetOwnPassword { password, current, new_codes } => {
                password.check().map_err(|error| AdministrationError::Invalid(error.to_string()))?;
                if matches!(grant.proof, OperatorProof::Session(_)) {
                    let missing = "in a session, state the password that is set as current";
                    let current = current.ok_or_else(|| AdministrationError::Invalid(missing.to_owned()))?;
                    if !self.desk.knows_password(&own, current, grant.from).await? {
                        return Err(SignInError::Wrong(Some(own)).into());
                    }
                }
                let uri = self.desk.set_password(own.clone(), own, password, new_codes).await?;
                return Ok(password_set(uri.as_ref()));
            }
            SignInCall::SetPassword { name, .. } if name == own => {
                let text = "this is your own password: set it with /v1/operators/self/password";
                return Err(AdministrationError::Invalid(text.to_owned()));
            }
            SignInCall::SetPassword { name, password } => {
                password.check().map_err(|error| AdministrationError::Invalid(error.to_string()))?;
                let uri = self.desk.set_password(name, own, password, true).await?;
                return Ok(password_set(uri.as_ref()));
            }
            SignInCall::Sessions { name } => {
                let mut all = state::operator_sessions(self.cluster.state()).map_err(ClusterError::from)?;
                let now_ms = now_ms();
                all.retain(|session| {
                    session.ends_at_ms() > now_ms
                        && name.as_ref().is_none_or(|name| session.operator == *name)
                });
                return Ok(serde_json::to_value(all)?);
            }
            SignInCall::EndSession { name, session } => {
                self.cluster.change_sign_in(SignInChange::End { name, digest: session }).await?
            }
            SignInCall::EndOwnSession {} => match grant.proof {
                OperatorProof::Session(digest) => {
                    self.cluster.change_sign_in(SignInChange::End { name: own, digest: Some(digest) }).await?
                }
                OperatorProof::Certificate(_) => false,
            },
        };
        Ok(json!({ "outcome": if changed { "done" } else { "unchanged" } }))
    }
}

/// What is told of a password that was set: what an authenticator app takes, this one time.
fn password_set(uri: Option<&keymoot_crypto::SecretBytes>) -> Value {
    let uri = uri.map(|uri| String::from_utf8_lossy(uri.expose()));
    json!({ "outcome": "done", "otpauth": uri })
}

/// An approval as operators see it.
fn shown(record: &ApprovalRecord) -> Value {
    let mut shown = serde_json::to_value(record).unwrap_or_default();
    if let Some(members) = shown.as_object_mut() {
        let roles: Vec<&str> = record.act.approvers().iter().map(|role| role.name()).collect();
        members.insert("words".to_owned(), record.act.to_string().into());
        members.insert("approvers".to_owned(), roles.into());
        members.insert("is_open".to_owned(), record.is_open(now_ms()).into());
    }
    shown
}
