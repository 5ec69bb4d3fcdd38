//! `keymoot operator`: who administers the cluster, and what proves them.

pub mod args;
mod credential;
mod list;
mod password;

use std::path::PathBuf;
use std::time::Duration;

use super::Failure;
use super::admin_api::AdminApi;
use super::args::ConfigArg;
use super::operator::{Operator, block_on, say, unexpected};
use args::{AddArgs, CertificateArgs, NameArgs, OperatorCommand, RenewArgs, RevokeArgs, RolesArgs};
use credential::NewCredential;
use keymoot_cluster::{AdminRequest, AdminResponse, EnrolledCertificate, OperatorEnrolment};
use keymoot_crypto::secret_file;
use keymoot_service::admin::{Call, OperatorCall};

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node cannot be reached or refuses, or a file cannot be written.
pub fn run(command: OperatorCommand) -> Result<(), Failure> {
    match command {
        OperatorCommand::Add(args) if args.by_keyring => block_on(add_by_keyring(args)),
        OperatorCommand::Add(args) => block_on(add(args)),
        OperatorCommand::List(args) => block_on(list::run(args)),
        OperatorCommand::Whoami(who) => block_on(list::whoami(who)),
        OperatorCommand::Roles(args) => block_on(roles(args)),
        OperatorCommand::Certificate(args) => block_on(certificate(args)),
        OperatorCommand::Renew(args) => block_on(renew(args)),
        OperatorCommand::Revoke(args) => block_on(revoke(args)),
        OperatorCommand::Acknowledge(args) => block_on(acknowledge(args)),
        OperatorCommand::Password(args) => block_on(password::set(args)),
        OperatorCommand::Sessions(args) => block_on(password::sessions(args)),
        OperatorCommand::EndSession(args) => block_on(password::end(args)),
    }
}

async fn add(args: AddArgs) -> Result<(), Failure> {
    let new = NewCredential::begin(&args.certificate, args.name.as_str())?;
    let (certificate_request, certificate) = new.pems()?;
    let call = OperatorCall::AddOperator {
        name: args.name,
        roles: args.roles,
        certificate_request,
        certificate,
        life_s: Some(args.certificate.life.0.as_secs()),
    };
    let signed: EnrolledCertificate = ask(&args.who, call).await?;
    new.finish(&signed)
}

async fn add_by_keyring(args: AddArgs) -> Result<(), Failure> {
    let operator = Operator::by_keyring(args.who.config.as_deref())?;
    let new = NewCredential::begin(&args.certificate, args.name.as_str())?;
    let certificate = new.wish()?;
    let name = args.name.clone();
    let enrolment = OperatorEnrolment { name: args.name, roles: args.roles, certificate };
    let answer = operator.ask(AdminRequest::EnrolOperator(Box::new(enrolment))).await?;
    let AdminResponse::OperatorEnrolled(signed) = answer else { return Err(unexpected()) };
    new.finish(&signed)?;
    eprintln!(
        "the cluster's status says so until an operator acknowledges it: keymoot operator acknowledge {name}"
    );
    Ok(())
}

async fn roles(args: RolesArgs) -> Result<(), Failure> {
    let RolesArgs { name, roles, who } = args;
    let done = format!("operator {name} has other roles now\n");
    change(&who, OperatorCall::SetRoles { name, roles }, &done, "these are the operator's roles already\n")
        .await
}

async fn certificate(args: CertificateArgs) -> Result<(), Failure> {
    let new = NewCredential::begin(&args.certificate, args.name.as_str())?;
    let (certificate_request, certificate) = new.pems()?;
    let call = OperatorCall::AddOperatorCertificate {
        name: args.name,
        certificate_request,
        certificate,
        life_s: Some(args.certificate.life.0.as_secs()),
    };
    let signed: EnrolledCertificate = ask(&args.who, call).await?;
    new.finish(&signed)
}

async fn renew(args: RenewArgs) -> Result<(), Failure> {
    let (before, file, signed) = renew_own(&args.who, args.life.0).await?;
    say(&credential::written(&file, &signed));
    eprintln!(
        "the one before stays good until its end; revoke it with keymoot operator revoke {} --certificate {}",
        before.credential.name, before.credential.fingerprint
    );
    Ok(())
}

/// Makes the next credential of the operator who asks, in place of the file.
pub(super) async fn renew_own(
    who: &ConfigArg,
    life: Duration,
) -> Result<(AdminApi, PathBuf, EnrolledCertificate), Failure> {
    let (api, file) = who.api()?;
    let key = credential::new_key()?;
    let call = OperatorCall::RenewOwnCertificate {
        certificate_request: key.request_pem().map_err(Failure::runtime)?,
        life_s: Some(life.as_secs()),
    };
    let signed = api.call(&Call::Operator(call)).await?;
    let signed: EnrolledCertificate = serde_json::from_value(signed).map_err(Failure::runtime)?;
    let text = key.credential(&signed.certificate_pem, &signed.authority_pem);
    secret_file::replace(&file, text.as_bytes()).map_err(Failure::runtime)?;
    Ok((api, file, signed))
}

/// Whether the node knows the operator.
pub(super) async fn is_known(who: &ConfigArg) -> bool {
    let Ok((api, _)) = who.api() else { return false };
    api.call(&Call::Operator(OperatorCall::OwnOperator {})).await.is_ok()
}

async fn revoke(args: RevokeArgs) -> Result<(), Failure> {
    let RevokeArgs { name, certificate, who } = args;
    let (call, done) = match certificate {
        Some(fingerprint) => {
            let done = format!("the certificate of operator {name} opens nothing any more\n");
            (OperatorCall::RevokeOperatorCertificate { name, fingerprint }, done)
        }
        None => {
            let done = format!("operator {name} is revoked, with every credential\n");
            (OperatorCall::RevokeOperator { name }, done)
        }
    };
    change(&who, call, &done, "it was revoked before\n").await
}

async fn acknowledge(args: NameArgs) -> Result<(), Failure> {
    let NameArgs { name, who } = args;
    let done = format!("operator {name} is acknowledged\n");
    change(&who, OperatorCall::AcknowledgeOperator { name }, &done, "there is nothing to acknowledge\n").await
}

async fn change(who: &ConfigArg, call: OperatorCall, done: &str, unchanged: &str) -> Result<(), Failure> {
    let answer: serde_json::Value = ask(who, call).await?;
    let is_unchanged = answer.get("outcome").is_some_and(|outcome| outcome == "unchanged");
    say(if is_unchanged { unchanged } else { done });
    Ok(())
}

async fn ask<T: serde::de::DeserializeOwned>(who: &ConfigArg, call: OperatorCall) -> Result<T, Failure> {
    let (api, _) = who.api()?;
    let answer = api.call(&Call::Operator(call)).await?;
    serde_json::from_value(answer).map_err(Failure::runtime)
}
