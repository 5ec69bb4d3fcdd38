//! `keymoot content`: what an account has, page by page, without any key; and giving new documents other keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use serde_json::json;

use super::Failure;
use super::args::{ConfigArg, OutputFormat};
use super::operator::{Operator, block_on, say, unexpected};
use keymoot_cluster::{AdminRequest, AdminResponse, ContentsQuery};
use keymoot_command::{Column, Table};
use keymoot_model::{AccountId, ContentId};
use keymoot_service::admin::Operation;
use keymoot_state::{ContentVersion, ContentsPage};

/// `keymoot content`.
#[derive(Clone, Debug, Subcommand)]
pub enum ContentCommand {
    /// List contents with their tracks, versions and key ids, a page at a time.
    List(ContentListArgs),
    /// Give new SPEKE and CPIX documents of a content other keys, from the account's current seed. They come under key ids
    /// that the server makes, so that no old key id gets another key; see docs/speke.md.
    Rotate(ContentRotateArgs),
}

/// `keymoot content rotate`.
#[derive(Clone, Debug, Args)]
pub struct ContentRotateArgs {
    /// The account.
    pub account: AccountId,
    /// The content.
    pub content: ContentId,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
}

/// `keymoot content list`.
#[derive(Clone, Debug, Args)]
pub struct ContentListArgs {
    /// The account.
    pub account: AccountId,
    /// Only this content.
    #[arg(long, value_name = "ID")]
    pub content: Option<ContentId>,
    /// The mark that the page before ended with.
    #[arg(long, value_name = "MARK")]
    pub after: Option<String>,
    /// The most versions on the page.
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// The configuration of one of the nodes.
    #[command(flatten)]
    pub config: ConfigArg,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Runs the command.
///
/// # Errors
/// [`Failure`] when the node cannot be reached or refuses.
pub fn run(command: ContentCommand) -> Result<(), Failure> {
    match command {
        ContentCommand::List(args) => block_on(list(args)),
        ContentCommand::Rotate(args) => block_on(rotate(args)),
    }
}

async fn rotate(ContentRotateArgs { account, content, config }: ContentRotateArgs) -> Result<(), Failure> {
    let operator = Operator::new(&config)?;
    operator.perform(Operation::RotateDocuments { account, content: content.clone() }).await?;
    say(&format!(
        "content {content} is rotated: documents that ask for its keys from now on get new ones, under new key ids.\n\
         What was encrypted before stays playable\n"
    ));
    Ok(())
}

async fn list(args: ContentListArgs) -> Result<(), Failure> {
    let after = args.after.as_deref().map(|mark| URL_SAFE_NO_PAD.decode(mark)).transpose().map_err(|_| {
        Failure::misuse("--after is no mark of a page").hint("give it as the page before printed it")
    })?;
    let operator = Operator::new(&args.config)?;
    let query =
        ContentsQuery { account: args.account, content: args.content, after, versions_max: args.limit };
    let AdminResponse::Contents(page) = operator.ask(AdminRequest::Contents(query)).await? else {
        return Err(unexpected());
    };
    say(&match args.output {
        OutputFormat::Table => table(&page),
        OutputFormat::Json => as_json(&page),
    });
    Ok(())
}

fn mark(page: &ContentsPage) -> Option<String> {
    page.next.as_ref().map(|mark| URL_SAFE_NO_PAD.encode(mark))
}

fn table(page: &ContentsPage) -> String {
    let mut table = Table::new([
        Column::Left("CONTENT"),
        Column::Left("TRACK"),
        Column::Right("VERSION"),
        Column::Left("KEY ID"),
        Column::Left("KIND"),
    ]);
    for version in &page.versions {
        table.row([
            version.content.to_string(),
            version.track.to_string(),
            version.version.to_string(),
            version.kid.map(|kid| kid.to_string()).unwrap_or_default(),
            kind(version),
        ]);
    }
    let more = mark(page).map(|mark| format!("there is more: --after {mark}\n"));
    format!("{table}{}", more.unwrap_or_default())
}

fn kind(version: &ContentVersion) -> String {
    match (version.rotates_s, version.period, version.is_current) {
        (Some(0), ..) => "rotates".to_owned(),
        (Some(length_s), ..) => format!("rotates every {length_s} s"),
        (None, Some(period), _) => period.to_string(),
        (None, None, true) => "current".to_owned(),
        (None, None, false) => "old".to_owned(),
    }
}

fn as_json(page: &ContentsPage) -> String {
    let versions = page.versions.iter().map(|version| {
        json!({
            "content": version.content,
            "track": version.track,
            "version": version.version,
            "key_id": version.kid.map(|kid| kid.to_string()),
            "is_current": version.is_current,
            "is_supplied": version.is_supplied,
            "period": version.period.map(|period| json!({"length_s": period.length_s, "index": period.index})),
            "rotates_s": version.rotates_s,
            "created_at_ms": version.created_at_ms,
        })
    });
    format!("{:#}\n", json!({"versions": versions.collect::<Vec<_>>(), "next": mark(page)}))
}
