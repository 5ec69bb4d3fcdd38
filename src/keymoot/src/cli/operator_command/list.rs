//! `keymoot operator list` and `whoami`.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use humantime::format_duration;

use super::args::ListArgs;
use super::ask;
use crate::cli::Failure;
use crate::cli::args::{ConfigArg, OutputFormat};
use crate::cli::operator::say;
use keymoot_command::{Column, Table};
use keymoot_service::admin::OperatorCall;
use keymoot_state::{OperatorCertificate, OperatorCredential, OperatorRecord, Voucher};

const DAY_S: u64 = 24 * 3600;

/// Lists all.
pub(super) async fn run(args: ListArgs) -> Result<(), Failure> {
    let all: Vec<OperatorRecord> = ask(&args.who, OperatorCall::Operators {}).await?;
    say(&match args.output {
        OutputFormat::Table => table(&all, now_s()),
        OutputFormat::Json => format!("{:#}\n", serde_json::json!(all)),
    });
    Ok(())
}

/// Shows the operator who asks.
pub(super) async fn whoami(who: ConfigArg) -> Result<(), Failure> {
    let own: OperatorRecord = ask(&who, OperatorCall::OwnOperator {}).await?;
    say(&table(&[own], now_s()));
    Ok(())
}

fn table(all: &[OperatorRecord], now_s: u64) -> String {
    let mut table =
        Table::new(["OPERATOR", "ROLES", "STATE", "ADDED BY", "CERTIFICATE", "GOOD FOR"].map(Column::Left));
    for operator in all {
        let roles: Vec<&str> = operator.roles.iter().map(|role| role.name()).collect();
        let state = if operator.revoked_at_ms.is_some() { "revoked" } else { "active" };
        let certificates: Vec<&OperatorCertificate> = operator
            .credentials
            .iter()
            .map(|credential| {
                let OperatorCredential::Certificate(own) = credential;
                own
            })
            .collect();
        let none = [("-".to_owned(), "-".to_owned())];
        let listed: Vec<(String, String)> =
            certificates.iter().map(|own| (own.fingerprint.to_string(), good_for(own, now_s))).collect();
        let rows = if listed.is_empty() { &none[..] } else { &listed };
        for (index, (fingerprint, left)) in rows.iter().enumerate() {
            let first = |text: String| if index == 0 { text } else { String::new() };
            table.row([
                first(operator.name.to_string()),
                first(roles.join(",")),
                first(state.to_owned()),
                first(vouched(&operator.voucher)),
                fingerprint.clone(),
                left.clone(),
            ]);
        }
    }
    table.to_string()
}

fn good_for(certificate: &OperatorCertificate, now_s: u64) -> String {
    if certificate.revoked_at_ms.is_some() {
        return "revoked".to_owned();
    }
    match certificate.expires_at_s.saturating_sub(now_s) {
        0 => "expired".to_owned(),
        left if left >= DAY_S => format!("{} days", left / DAY_S),
        left => format_duration(Duration::from_secs(left)).to_string(),
    }
}

fn vouched(voucher: &Voucher) -> String {
    match voucher {
        Voucher::Operator(name) => name.to_string(),
        Voucher::Founder => "founder".to_owned(),
        Voucher::Keyring { node, acknowledged_by: None } => format!("keyring at node {node}"),
        Voucher::Keyring { node, acknowledged_by: Some(by) } => {
            format!("keyring at node {node}, known to {by}")
        }
    }
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_model::{Fingerprint, OperatorName, Role};

    #[test]
    fn the_list_says_what_opens_and_what_does_not() {
        let certificate = |byte, expires_at_s, revoked_at_ms| {
            let fingerprint = Fingerprint::from_bytes([byte; 32]);
            let own = OperatorCertificate { fingerprint, expires_at_s, issued_at_ms: 0, revoked_at_ms };
            OperatorCredential::Certificate(own)
        };
        let alice = OperatorRecord {
            name: OperatorName::new("alice").unwrap(),
            roles: vec![Role::Viewer, Role::Security],
            credentials: vec![
                certificate(1, 10 * DAY_S, None),
                certificate(2, 10 * DAY_S, Some(1)),
                certificate(3, 1, None),
            ],
            added_at_ms: 0,
            revoked_at_ms: None,
            voucher: Voucher::Keyring { node: 3, acknowledged_by: None },
        };
        let text = table(&[alice], 100);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("alice     viewer,security  active  keyring at node 3"), "{text}");
        assert!(lines[1].ends_with("9 days") && lines[2].ends_with("revoked"), "{text}");
        assert!(lines[3].ends_with("expired"), "{text}");
    }
}
