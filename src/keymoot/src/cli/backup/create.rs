//! `keymoot backup create`: from any node, while the cluster serves.

use super::args::BackupCreateArgs;
use super::output::Output;
use super::progress::Progress;
use crate::cli::operator::{Operator, say, unexpected};
use keymoot_cluster::{AdminClient, AdminError, AdminRequest, AdminResponse};
use keymoot_command::Failure;
use keymoot_service::admin::Operation;
use keymoot_state::{GoodBackup, SCHEDULED_BACKUPS};

/// Takes a backup and writes it.
pub(super) async fn run(args: BackupCreateArgs) -> Result<(), Failure> {
    let operator = Operator::new(&args.config)?;
    let mut output = Output::begin(&args.output, args.force)?;
    let client = client(&operator, &args).await?;
    let (header, mut pieces) = client.begin_backup(args.local).await.map_err(|error| failed(error, &args))?;
    let mut progress = Progress::new(args.verbose);
    while let Some(piece) = pieces.next().await.map_err(|error| failed(error, &args))? {
        output.write(&piece)?;
        progress.add(piece.len());
    }
    let rate = progress.finish();
    let file = output.finish(operator.keyring())?;
    let signed = header.signed_under.is_some();
    let told = format!(
        "cluster {} as of entry {}, from node {}: {} records, {} content keys\n{} bytes: {rate}\n",
        header.cluster,
        header.applied.index,
        header.node,
        header.record_count(),
        header.key_count(),
        progress.bytes(),
    );
    if matches!(args.output.to_str(), Some("-")) {
        eprint!("{told}");
    } else {
        let ids: Vec<&str> = header.master_keys.iter().map(|(id, _)| id.as_str()).collect();
        say(&format!("{told}written to {}\n", args.output.display()));
        say(&format!("to open it you need the keyring with {}; keep that elsewhere\n", ids.join(", ")));
    }
    if !signed {
        eprintln!(
            "warning: the backup is not signed, because node {} runs an earlier version; restoring it takes --unsigned",
            header.node
        );
    }
    if let Some(file) = file.filter(|_| !args.local) {
        let path = std::path::absolute(&args.output).unwrap_or(args.output);
        note(&operator, file.good(&path)).await;
    }
    Ok(())
}

/// Tells the cluster of a good backup, so that its age can be watched on every node and after a restart.
async fn note(operator: &Operator, good: GoodBackup) {
    let noting = async {
        let AdminResponse::Status(status) = operator.ask(AdminRequest::Status).await? else {
            return Err(unexpected());
        };
        if status.feature_level < SCHEDULED_BACKUPS {
            return Err(Failure::because(format!(
                "that takes feature level {SCHEDULED_BACKUPS}, and it is at {}: see keymoot cluster upgrade",
                status.feature_level
            )));
        }
        operator.perform(Operation::NoteBackup(good)).await.map(drop)
    };
    let noted: Result<(), Failure> = noting.await;
    if let Err(failure) = noted {
        eprintln!("the backup is good, but the cluster does not know of it: {}", failure.message());
    }
}

/// A connection to the node that was asked for; its address is what the configured node knows.
async fn client(operator: &Operator, args: &BackupCreateArgs) -> Result<AdminClient, Failure> {
    let own = operator.config.node.id;
    let Some(node) = args.node.filter(|node| *node != own) else {
        return operator.client(own, &operator.config.cluster.peer_address().to_string());
    };
    let AdminResponse::Status(status) = operator.ask(AdminRequest::Status).await? else {
        return Err(unexpected());
    };
    match status.members.iter().find(|member| member.id == node) {
        Some(member) => operator.client(node, &member.peer_address),
        None => Err(Failure::because(format!("the cluster has no node {node}"))
            .hint("see keymoot cluster status for those it has")),
    }
}

fn failed(error: AdminError, args: &BackupCreateArgs) -> Failure {
    let hint = match (&error, args.local) {
        (AdminError::Unproven(_), _) => return Failure::because(error.to_string()),
        (AdminError::Link(_), _) => "does the node run? take the backup from another one with --node",
        (_, false) => "without a quorum, --local takes what one node has",
        (_, true) => "take the backup from another node with --node",
    };
    Failure::because(error.to_string()).hint(hint)
}
