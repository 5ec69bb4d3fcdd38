//! `keymoot cpix`: says what is wrong with a request document, and what would be answered. Asks no cluster.

mod args;
mod print;

use std::io::Read as _;
use std::path::Path;

use super::Failure;
use super::operator::say;
use args::{CheckArgs, CheckOutput};
use keymoot_cpix::{BYTES_MAX, Fault, Protocol, Request, Settings, likely_protocol};
use keymoot_drm::LicenseUrl;
use keymoot_model::AccountId;
use keymoot_service::{document_settings, load_accounts};

pub use args::CpixCommand;

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the document cannot be read, or would be refused.
pub fn run(command: CpixCommand) -> Result<(), Failure> {
    let CpixCommand::Check(args) = command;
    let document = read(&args.file)?;
    let settings = settings(&args)?;
    let protocol = match args.protocol {
        Some(protocol) => protocol.into(),
        None => likely_protocol(&document).map_err(|fault| refused(&fault, None, false))?,
    };
    let parse = || Request::parse(&document, protocol, &settings);
    let request = parse().map_err(|fault| refused(&fault, Some(protocol), args.protocol.is_some()))?;
    let answer = || {
        let preview = parse().and_then(|request| request.preview(&settings));
        preview.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(Failure::runtime)
    };
    say(&match args.output {
        CheckOutput::Table => format!("{}\n{}", print::table(request.wanted()), answer()?),
        CheckOutput::Json => print::json(request.wanted()),
        CheckOutput::Xml => answer()?,
    });
    Ok(())
}

/// The document: from a file, or from standard input for `-`. One byte more than may be is read, so that the reader says
/// that it is too long.
fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let mut document = Vec::new();
    let most = BYTES_MAX as u64 + 1;
    let read = match file.to_str() {
        Some("-") => std::io::stdin().lock().take(most).read_to_end(&mut document),
        _ => std::fs::File::open(file).and_then(|file| file.take(most).read_to_end(&mut document)),
    };
    read.map_err(|error| Failure::because(format!("cannot read {}: {error}", file.display())))?;
    Ok(document)
}

/// Where players are sent whose account names no license server.
const LICENSE_BASE: &str = "https://keys.example";

fn settings(args: &CheckArgs) -> Result<Settings, Failure> {
    if let Some(file) = &args.accounts_file {
        return declared(file, &args.account);
    }
    let license_url = args.playready_la_url.as_deref().map(LicenseUrl::new).transpose();
    Ok(Settings {
        fairplay_uri: args.fairplay_uri.clone(),
        aes128_uri: Some(args.aes128_uri.clone()),
        clear_key_urls: args.clear_key_urls.clone(),
        playready_license_url: license_url.map_err(Failure::usage)?,
        ..Settings::new(args.account.clone())
    })
}

/// What a declaration says of the account.
fn declared(file: &Path, id: &AccountId) -> Result<Settings, Failure> {
    let declaration = load_accounts(file).map_err(Failure::usage)?;
    let account = declaration.accounts.iter().find(|entry| entry.id == *id).ok_or_else(|| {
        Failure::misuse(format!("{} declares no account {id}", file.display()))
            .hint("--account names the account")
    })?;
    let documents = account.documents.clone().unwrap_or_default();
    document_settings(account.into(), &documents, LICENSE_BASE, true).map_err(Failure::misuse)
}

/// The refusal as the packager would get it, then why and where.
fn refused(fault: &Fault, protocol: Option<Protocol>, is_given: bool) -> Failure {
    let status = fault.status();
    let failure = Failure::misuse(fault.to_string());
    match protocol {
        Some(protocol) if !is_given => failure.hint(format!(
            "it would be answered with status {status}; read as {protocol}, which --protocol can change"
        )),
        _ => failure.hint(format!("it would be answered with status {status}")),
    }
}

#[cfg(test)]
mod tests;
