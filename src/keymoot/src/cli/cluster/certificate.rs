//! `keymoot cluster certificate`: the keys that nodes prove themselves with, and taking that away.

use clap::{Args, Subcommand};

use super::change::How;
use crate::cli::args::ConfigArg;
use crate::cli::confirm::confirm;
use crate::cli::operator::{Operator, say, unexpected};
use keymoot_cluster::{AdminRequest, AdminResponse};
use keymoot_command::Column::{Left, Right};
use keymoot_command::{Failure, Table};
use keymoot_model::NodeId;
use keymoot_service::admin::{Operation, OperationOutcome};
use keymoot_state::NodeKeyRecord;

/// So many bytes of a key's digest are shown, which tells the keys of a cluster apart.
const SHOWN_BYTES: usize = 8;

/// `keymoot cluster certificate`.
#[derive(Clone, Debug, Subcommand)]
pub enum CertificateCommand {
    /// List the key that each node's certificates are for, and which were revoked.
    List(ConfigArg),
    /// Have the node of the configuration make its next certificate now, as it does by itself in time.
    Renew(ConfigArg),
    /// Revoke every certificate of a node, for good: its peers close its connections and refuse it, and it ends.
    Revoke(RevokeArgs),
}

/// `keymoot cluster certificate revoke`.
#[derive(Clone, Debug, Args)]
pub struct RevokeArgs {
    /// The node's id.
    pub node: NodeId,
    /// How.
    #[command(flatten)]
    pub how: How,
    /// Even if the voters that stay up are no majority: nothing is written then, and the node cannot be removed.
    #[arg(long)]
    pub force: bool,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node cannot be reached or refuses.
pub async fn run(command: CertificateCommand) -> Result<(), Failure> {
    match command {
        CertificateCommand::List(config) => list(config).await,
        CertificateCommand::Renew(config) => renew(config).await,
        CertificateCommand::Revoke(args) => revoke(args).await,
    }
}

async fn list(config: ConfigArg) -> Result<(), Failure> {
    let operator = Operator::new(&config)?;
    let AdminResponse::NodeKeys(keys) = operator.ask(AdminRequest::NodeKeys).await? else {
        return Err(unexpected());
    };
    say(&table(&keys));
    Ok(())
}

async fn renew(config: ConfigArg) -> Result<(), Failure> {
    let operator = Operator::new(&config)?;
    let AdminResponse::CertificateRenewed = operator.ask(AdminRequest::RenewCertificate).await? else {
        return Err(unexpected());
    };
    say("renewed; new connections to peers use it\n");
    Ok(())
}

async fn revoke(args: RevokeArgs) -> Result<(), Failure> {
    let RevokeArgs { node, how, force } = args;
    let operator = Operator::new(&how.config)?;
    say(&format!(
        "every certificate of node {node} is worth nothing then, for good; it still counts as a member until it is \
         removed: keymoot cluster remove {node}\n"
    ));
    confirm(how.yes, "Revoke them?")?;
    say(match operator.perform(Operation::RevokeCertificate { node, force }).await? {
        OperationOutcome::Unchanged => "they were revoked before\n",
        _ => "done\n",
    });
    Ok(())
}

fn table(keys: &[NodeKeyRecord]) -> String {
    let mut table = Table::new([Right("NODE"), Left("KEY"), Left("STATE")]);
    for key in keys {
        let digest: String = key.digest.iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect();
        let state = match key.revoked_at_ms {
            Some(_) => "revoked",
            None if key.witness => "registered as a witness",
            None => "registered",
        };
        table.row([key.node.to_string(), digest, state.to_owned()]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_whose_certificates_were_revoked() {
        let key = |node, revoked_at_ms| NodeKeyRecord {
            node,
            digest: [0xab; 32],
            registered_at_ms: 1,
            revoked_at_ms,
            witness: node == 3,
        };
        let text = table(&[key(1, None), key(3, None), key(12, Some(2))]);
        assert!(text.contains("   3  abababababababab  registered as a witness\n"), "{text}");
        assert!(text.contains("   1  abababababababab  registered\n"), "{text}");
        assert!(text.contains("  12  abababababababab  revoked\n"), "{text}");
    }
}
