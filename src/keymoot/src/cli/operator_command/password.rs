//! `keymoot operator password`, `sessions` and `end-session`.

use std::io::IsTerminal as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use zeroize::Zeroizing;

use super::args::{EndSessionArgs, PasswordArgs, SessionsArgs};
use crate::cli::Failure;
use crate::cli::args::{ConfigArg, OutputFormat};
use crate::cli::clock::instant;
use crate::cli::operator::say;
use keymoot_command::{Column, Table};
use keymoot_crypto::secret_file;
use keymoot_service::admin::{Call, Password, SignInCall};
use keymoot_state::OperatorSession;

async fn ask(who: &ConfigArg, call: SignInCall) -> Result<Value, Failure> {
    let (api, _) = who.api()?;
    api.call(&Call::SignIn(call)).await
}

/// Sets the own password, or somebody else's first one.
pub(super) async fn set(args: PasswordArgs) -> Result<(), Failure> {
    let PasswordArgs { name, password_file, new_codes, who } = args;
    let own = who.api()?.0.credential.name.clone();
    let password = read(password_file.as_deref())?;
    let call = match own == name {
        true => SignInCall::SetOwnPassword { password, current: None, new_codes },
        false => SignInCall::SetPassword { name: name.clone(), password },
    };
    let answer = ask(&who, call).await?;
    say(&format!("the password of operator {name} is set, and sessions from before have ended\n"));
    if let Some(uri) = answer.get("otpauth").and_then(Value::as_str) {
        eprintln!("keymoot: for an authenticator app, shown this one time:");
        say(&Zeroizing::new(format!("{uri}\n")));
    }
    if own != name {
        eprintln!("keymoot: {name} must set another password at the first sign-in");
    }
    Ok(())
}

fn read(file: Option<&Path>) -> Result<Password, Failure> {
    let text = match file {
        Some(file) => {
            let secret = secret_file::read(file).map_err(Failure::usage)?;
            let text = std::str::from_utf8(secret.expose())
                .map_err(|_| Failure::misuse(format!("{} is no text", file.display())))?;
            Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        None => typed()?,
    };
    let password = Password::new(text);
    password.check().map_err(Failure::usage)?;
    Ok(password)
}

/// Asks twice, and shows nothing.
fn typed() -> Result<Zeroizing<String>, Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::misuse("there is no terminal to ask for the password at")
            .hint("pass --password-file FILE, a file of mode 0600 that holds it"));
    }
    let ask =
        |question: &str| rpassword::prompt_password(question).map(Zeroizing::new).map_err(Failure::runtime);
    let first = ask("New password: ")?;
    let second = ask("The same again: ")?;
    if *first != *second {
        return Err(Failure::because("the two differ, and nothing was changed"));
    }
    Ok(first)
}

/// Lists the sessions that are open.
pub(super) async fn sessions(args: SessionsArgs) -> Result<(), Failure> {
    let answer = ask(&args.who, SignInCall::Sessions { name: args.name }).await?;
    let all: Vec<OperatorSession> = serde_json::from_value(answer).map_err(Failure::runtime)?;
    say(&match args.output {
        OutputFormat::Json => format!("{:#}\n", serde_json::json!(all)),
        OutputFormat::Table => table(&all),
    });
    Ok(())
}

/// Ends one session, or all of an operator.
pub(super) async fn end(args: EndSessionArgs) -> Result<(), Failure> {
    let EndSessionArgs { name, session, who } = args;
    let answer = ask(&who, SignInCall::EndSession { name: name.clone(), session }).await?;
    let is_unchanged = answer.get("outcome").is_some_and(|outcome| outcome == "unchanged");
    say(&match (is_unchanged, session) {
        (true, _) => format!("operator {name} has no such session\n"),
        (false, Some(_)) => format!("the session of operator {name} has ended\n"),
        (false, None) => format!("every session of operator {name} has ended\n"),
    });
    Ok(())
}

fn table(all: &[OperatorSession]) -> String {
    let columns = ["OPERATOR", "FROM", "BEGAN", "LAST USED", "ENDS UNUSED", "SESSION"].map(Column::Left);
    let mut table = Table::new(columns);
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    for session in all.iter().filter(|session| session.ends_at_ms() / 1000 > now_s) {
        table.row([
            session.operator.to_string(),
            session.from.clone(),
            instant(session.began_at_ms),
            instant(session.seen_at_ms),
            instant(session.ends_at_ms()),
            session.digest.to_string(),
        ]);
    }
    table.to_string()
}
