//! `keymoot cluster token`: tokens that let one new node in each.

use std::time::Duration;

use clap::{Args, Subcommand};
use humantime::format_duration;

use crate::cli::args::ConfigArg;
use crate::cli::clock::now_ms;
use crate::cli::operator::{Operator, say, unexpected};
use crate::cli::time_span::TimeSpan;
use keymoot_cluster::{AdminRequest, AdminResponse};
use keymoot_command::Column::{Left, Right};
use keymoot_command::{Failure, Table};
use keymoot_crypto::{token_id_of, token_id_text};
use keymoot_model::MasterKeyVerifier;
use keymoot_service::admin::{NewToken, Operation, OperationOutcome, TokenLife};
use keymoot_state::JoinTokenRecord;

/// `keymoot cluster token`.
#[derive(Clone, Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token that lets one node in, and print it. It is shown this once.
    Create(TokenCreateArgs),
    /// List the tokens, without their secrets.
    List(ConfigArg),
    /// Make a token that was not used yet worth nothing.
    Revoke(RevokeArgs),
}

/// `keymoot cluster token create`.
#[derive(Clone, Debug, Args)]
pub struct TokenCreateArgs {
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// For how long it is good.
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub ttl: TimeSpan,
    /// The zone of the node that it lets in, whatever that node says.
    #[arg(long, value_name = "ZONE")]
    pub zone: Option<String>,
    /// The node stays a learner: it replicates and serves reads, and does not vote.
    #[arg(long)]
    pub learner: bool,
    /// The node is a witness, for a site that must hold no master key: it votes and holds the log, serves no client
    /// and joins without a keyring. Only an operator with the role security may make such a token.
    #[arg(long, conflicts_with = "learner")]
    pub witness: bool,
}

/// `keymoot cluster token revoke`.
#[derive(Clone, Debug, Args)]
pub struct RevokeArgs {
    /// The token's id, as `keymoot cluster token list` shows it.
    pub id: String,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node cannot be reached or refuses.
pub async fn run(command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create(args) => create(args).await,
        TokenCommand::List(config) => list(config).await,
        TokenCommand::Revoke(args) => revoke(args).await,
    }
}

async fn create(args: TokenCreateArgs) -> Result<(), Failure> {
    let life = TokenLife::new(args.ttl.0).map_err(Failure::usage)?;
    let operator = Operator::new(&args.config)?;
    let authority = operator.authority_fingerprint();
    let authority = authority.ok_or_else(|| Failure::misuse("cluster.ca_file holds no certificate"))?;
    let cluster = operator.config.cluster.name.clone();
    let new = match args.witness {
        true => {
            let verifier = active_verifier(&operator).await?;
            NewToken::draw_for_witness(cluster, authority, verifier, life, args.zone)
        }
        false => NewToken::draw(cluster, authority, life, args.zone, args.learner),
    };
    let new = new.map_err(Failure::runtime)?;
    operator.perform(new.addition()).await?;
    let member = operator.member_address().await?;
    let token = &new.token;
    // The token alone on standard output, so that a script can take it from there.
    say(&format!("{}\n", token.expose().as_str()));
    let (what, with, keyring) = match args.witness {
        true => ("one witness", "without a keyring", ""),
        false => ("one node", "with a copy of the keyring", " --keyring FILE"),
    };
    eprintln!(
        "token {} lets {what} in, for {}. On the new machine, {with}:\n  \
         keymoot cluster join --token TOKEN --member {} --dir DIR{keyring} --listen ADDRESS",
        token_id_text(&token.id),
        format_duration(Duration::from_secs(life.as_s())),
        member
    );
    Ok(())
}

/// What tells a witness who holds the master key that the leader wraps under.
async fn active_verifier(operator: &Operator) -> Result<MasterKeyVerifier, Failure> {
    let AdminResponse::Verifiers(verifiers) = operator.ask(AdminRequest::Verifiers).await? else {
        return Err(unexpected());
    };
    verifiers.into_iter().next().ok_or_else(|| {
        Failure::because("the cluster knows no witnesses yet")
            .hint("raise its feature level with keymoot cluster upgrade, and repeat this a second later")
    })
}

async fn list(config: ConfigArg) -> Result<(), Failure> {
    let operator = Operator::new(&config)?;
    let AdminResponse::JoinTokens(tokens) = operator.ask(AdminRequest::JoinTokens).await? else {
        return Err(unexpected());
    };
    // A node of an earlier version knows of no witnesses.
    let witnesses = match operator.ask(AdminRequest::WitnessTokens).await {
        Ok(AdminResponse::WitnessTokens(tokens)) => tokens,
        _ => Vec::new(),
    };
    say(&table(&tokens, &witnesses, now_ms()));
    Ok(())
}

async fn revoke(args: RevokeArgs) -> Result<(), Failure> {
    let id = token_id_of(&args.id)
        .ok_or_else(|| Failure::misuse("a token's id is 16 hexadecimal digits: see token list"))?;
    let operator = Operator::new(&args.config)?;
    say(match operator.perform(Operation::RevokeToken { id }).await? {
        OperationOutcome::Unchanged => "the token was revoked before\n",
        _ => "the token is worth nothing now\n",
    });
    Ok(())
}

fn table(tokens: &[JoinTokenRecord], witnesses: &[JoinTokenRecord], now_ms: u64) -> String {
    let mut table = Table::new([Left("TOKEN"), Left("STATE"), Right("GOOD FOR"), Left("ROLE"), Left("ZONE")]);
    let of_nodes = tokens.iter().map(|token| (token, if token.learner { "learner" } else { "voter" }));
    for (token, role) in of_nodes.chain(witnesses.iter().map(|token| (token, "witness"))) {
        let left = Duration::from_secs(token.expires_at_ms.saturating_sub(now_ms) / 1000);
        let state = match &token.spent {
            Some(spent) => format!("used by node {}", spent.node),
            None if token.revoked => "revoked".to_owned(),
            None if left.is_zero() => "expired".to_owned(),
            None => "open".to_owned(),
        };
        let left = if state == "open" { format_duration(left).to_string() } else { "-".to_owned() };
        let zone = token.zone.as_deref().unwrap_or("-");
        table.row([token_id_text(&token.id), state, left, role.to_owned(), zone.to_owned()]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use keymoot_state::TokenSpent;

    #[test]
    fn the_list_says_what_became_of_each() {
        let token = |id| JoinTokenRecord {
            id: [id; 8],
            secret_digest: [9; 32],
            expires_at_ms: 61_000,
            learner: false,
            zone: None,
            revoked: false,
            spent: None,
        };
        let tokens = [
            token(1),
            JoinTokenRecord { spent: Some(TokenSpent { node: 4, key_digest: [0; 32] }), ..token(2) },
            JoinTokenRecord { revoked: true, learner: true, zone: Some("west".into()), ..token(3) },
        ];
        let text = table(&tokens, &[token(4)], 1000);
        assert!(text.contains("0404040404040404  open                  1m  witness  -\n"), "{text}");
        assert!(text.contains("0101010101010101  open                  1m  voter    -\n"), "{text}");
        assert!(text.contains("0202020202020202  used by node 4         -  "), "{text}");
        assert!(text.contains("0303030303030303  revoked                -  learner  west\n"), "{text}");
        assert!(table(&tokens, &[], 100_000).contains("0101010101010101  expired"));
    }
}
