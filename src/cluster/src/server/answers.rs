//! Responses to requests that need no order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::raft::{TransferLeaderRequest, VoteRequest};
use tokio::time::Instant;

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{PeerVersion, ProofRefusal};
use keymoot_model::NodeId;
use keymoot_state::{Proposal, TokenKind};

use crate::members::join::Proven;
use crate::peer::leader_client::Unanswered;
use crate::server::PeerServer;
use crate::wire::message::{Reply, Request};
use crate::wire::raft_codec;
use crate::wire::raft_types::TypeConfig;
use crate::write::command_rights::{check_forwarded, check_witness};
use crate::write::committed::Committed;

/// The time limit for a membership change here; the requester waits as long, and retries.
const CHANGE_DEADLINE: Duration = Duration::from_secs(10);

pub(super) struct Asker {
    pub(super) node: NodeId,
    /// SHA-256 of the public key in its certificate.
    pub(super) key: Option<[u8; 32]>,
    pub(super) from: SocketAddr,
    /// Whether it is a witness, by its key.
    pub(super) is_witness: bool,
    /// The protocol version that both ends know.
    pub(super) version: PeerVersion,
    /// Whether the peer proved a master key.
    pub(super) proof: Result<(), ProofRefusal>,
}

pub(super) async fn answer(server: &Arc<PeerServer>, asker: Asker, request: Request) -> Reply {
    match request {
        Request::Vote { pre_vote, vote, last, transfer } => {
            let mut rpc = VoteRequest::new(raft_codec::vote(&vote), last.as_ref().map(raft_codec::log_id));
            rpc.leadership_transfer = transfer;
            vote_reply(server, rpc, pre_vote).await
        }
        Request::TransferLeader { .. } if server.endpoint.damage.damage().is_some() => {
            Reply::Transferred(false)
        }
        Request::TransferLeader { from, to, last } => {
            let rpc = TransferLeaderRequest::new(
                raft_codec::vote(&from),
                to,
                last.as_ref().map(raft_codec::log_id),
            );
            match server.endpoint.raft.handle_transfer_leader(rpc).await {
                Ok(answer) => Reply::Transferred(answer.is_ok()),
                Err(fatal) => Reply::Failed(fatal.to_string()),
            }
        }
        Request::Propose(encoded) => forwarded(server, &asker, encoded).await,
        Request::ReadIndex | Request::ReadIndexOf(_) => {
            match server.services.barrier.read_index.read_for_peer().await {
                Ok(index) => Reply::ReadIndex { index },
                Err(unanswered) => not_leader(&unanswered),
            }
        }
        Request::Admin(request) => {
            Reply::Admin(server.services.admin.administer(request, asker.node, asker.from).await)
        }
        Request::ChangeMembers(request) => {
            match server.services.members.change_here(request, Instant::now() + CHANGE_DEADLINE).await {
                Ok(plan) => Reply::Planned(Box::new(plan)),
                Err(unanswered) => not_leader(&unanswered),
            }
        }
        Request::Ping => Reply::Pong,
        Request::Report(report) => {
            server.fence.note_progress(asker.node, &report);
            server.services.reports.hear(asker.node, *report);
            Reply::Report(Box::new(server.services.reports.own()))
        }
        Request::AuditConsistency(asked) => {
            Reply::AuditConsistency(server.services.admin.audit.reader.consistency(asked).await)
        }
        Request::FitnessToLead => Reply::FitnessToLead(server.services.members.fitness()),
        Request::Join(request) => {
            let deadline = Instant::now() + CHANGE_DEADLINE;
            let proven = Proven { id: asker.node, key_digest: asker.key.unwrap_or_default() };
            Reply::Joined(Box::new(
                server.services.joins.join(*request, TokenKind::Node, Some(proven), deadline).await,
            ))
        }
        Request::Append { .. }
        | Request::SnapshotBegin { .. }
        | Request::SnapshotChunk(_)
        | Request::SnapshotEnd
        | Request::BackupBegin { .. }
        | Request::BackupNext
        | Request::Supports(_) => Reply::Failed("answered in order, elsewhere".into()),
    }
}

/// Appends another node's proposal, if the node has the right to it.
async fn forwarded(server: &PeerServer, asker: &Asker, encoded: Bytes) -> Reply {
    let from = asker.node;
    let checked = match asker.is_witness {
        true => check_witness(&encoded, from),
        false => check_forwarded(&encoded, from, asker.proof, &server.local.keyring),
    };
    if let Err(error) = checked {
        server.refusal_log.note("proposal", asker.from, &format!("node {from}: {error}"));
        return Reply::Failed(error.to_string());
    }
    let hold = &server.services.forwarder.hold;
    // The other node soon finds the same contradiction, and then refuses with its text.
    if hold.is_held()
        && !codec::decode::<Proposal>(Kind::Entry, &encoded)
            .is_ok_and(|proposal| hold.check_commands(&proposal.commands).is_ok())
    {
        return Reply::NotLeader;
    }
    match server.services.forwarder.appender.append(encoded).await {
        Ok(Committed { responses, log_index: Some(index) }) if asker.version >= PeerVersion::Fourth => {
            Reply::AppliedAt { index, responses }
        }
        Ok(committed) => Reply::Applied(committed.responses),
        Err(unanswered) => not_leader(&unanswered),
    }
}

fn not_leader(unanswered: &Unanswered) -> Reply {
    match unanswered {
        Unanswered::Retry => Reply::NotLeader,
        Unanswered::DiskFull => Reply::DiskFull,
        Unanswered::Stopped => Reply::Failed("raft has stopped".into()),
    }
}

async fn vote_reply(server: &PeerServer, rpc: VoteRequest<TypeConfig>, pre_vote: bool) -> Reply {
    // A leader that transfers its leadership has given up its lease itself.
    if server.endpoint.is_voting_too_early() && !rpc.leadership_transfer {
        return Reply::Failed("just started: it may have promised a lease before".into());
    }
    let voted = if pre_vote {
        server.endpoint.raft.pre_vote(rpc).await
    } else {
        server.endpoint.raft.vote(rpc).await
    };
    match voted {
        Ok(response) => Reply::Voted {
            vote: raft_codec::stored_vote(&response.vote),
            granted: response.vote_granted,
            last: response.last_log_id.as_ref().map(raft_codec::position),
        },
        Err(error) => Reply::Failed(error.to_string()),
    }
}
