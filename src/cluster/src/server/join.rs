//! The peer port for nodes without a valid certificate: they may ask to join, or a member for the next certificate.
//! Requests are small, few at a time, and rate-limited.
//!
//! The member sends the first message: a challenge, and a proof that it holds the cluster's master
//! key. A request without a valid proof is refused before its token is checked.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{Challenge, ProofPurpose, ProofRefusal, ProofScope};
use keymoot_crypto::{PeerChannel, PeerVersion};

use crate::error::ClusterError;
use crate::members::join_client::ANSWER_TIMEOUT;
use crate::peer::proof;
use crate::peer::rate_limit::RateLimit;
use crate::server::PeerServer;
use crate::wire::frame::{self, Frame};
use crate::wire::join::{JoinReply, ProvenJoin, ProvenRenewal, RenewalReply};

/// The largest request: a certificate request, an address, a token, a proof.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// The most requests on one connection: the check, and the join itself.
const REQUESTS_MAX: usize = 2;
/// The time limit for the whole connection.
const LIFETIME: Duration = Duration::from_secs(30);
/// How long a request may wait for a quorum.
const PATIENCE: Duration = Duration::from_secs(10);
const _: () = assert!(REQUESTS_MAX as u64 * PATIENCE.as_secs() < LIFETIME.as_secs());
const _: () = assert!(PATIENCE.as_secs() < ANSWER_TIMEOUT.as_secs());
/// The most connections at the same time.
const AT_ONCE_MAX: usize = 4;
/// The most connections in [`WINDOW`].
const IN_WINDOW_MAX: usize = 20;
const WINDOW: Duration = Duration::from_secs(10);

/// Limits the connections of nodes that ask to join.
#[derive(Debug)]
pub(crate) struct JoinGate {
    at_once: Semaphore,
    recent: RateLimit,
}

impl Default for JoinGate {
    fn default() -> Self {
        Self { at_once: Semaphore::new(AT_ONCE_MAX), recent: RateLimit::new(IN_WINDOW_MAX, WINDOW) }
    }
}

/// What a node without a valid certificate came for.
#[derive(Clone, Copy)]
pub(crate) enum Door {
    /// To join.
    Joining,
    /// For its next certificate, because its own has ended.
    Renewal,
}

/// Serves a node without a valid certificate, until the connection ends.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    door: Door,
    channel: PeerChannel,
    from: SocketAddr,
    gate: &JoinGate,
    server: &PeerServer,
) -> std::io::Result<()> {
    let busy = || std::io::Error::other("too many nodes want to join at once");
    let _permit = gate.at_once.try_acquire().map_err(|_| busy())?;
    if !gate.recent.try_acquire(Instant::now()) {
        return Err(busy());
    }
    let exchange = async {
        let challenge = match channel.version {
            PeerVersion::First => None,
            _ => Some(
                proof::demand(&mut stream, &channel, &server.local.cluster, &server.local.keyring).await?,
            ),
        };
        for _ in 0..REQUESTS_MAX {
            let Some(frame) = frame::read_up_to(&mut stream, BODY_BYTES_MAX).await? else { return Ok(()) };
            let body = match (&challenge, door) {
                (None, _) => codec::encode(Kind::Frame, &refused(server, from, ProofRefusal::Unable)),
                (Some(challenge), Door::Joining) => {
                    let reply = answer(server, &channel, challenge, from, &frame.body).await;
                    codec::encode(Kind::Frame, &reply)
                }
                (Some(challenge), Door::Renewal) => {
                    let reply = renew(server, &channel, challenge, from, &frame.body).await;
                    codec::encode(Kind::Frame, &reply)
                }
            };
            let body = body.map_err(std::io::Error::other)?;
            frame::write(&mut stream, &Frame { id: frame.id, body: body.into() }).await?;
            stream.flush().await?;
        }
        Ok(())
    };
    tokio::time::timeout(LIFETIME, exchange).await?
}

async fn answer(
    server: &PeerServer,
    channel: &PeerChannel,
    challenge: &Challenge,
    from: SocketAddr,
    body: &[u8],
) -> JoinReply {
    let ProvenJoin { request, proof } = match codec::decode(Kind::Frame, body) {
        Ok(join) => join,
        Err(error) => return JoinReply::Refused(error.to_string()),
    };
    let certificate_request = request.certificate_request.as_deref().unwrap_or_default();
    let purpose = ProofPurpose::Join(certificate_request);
    let scope = ProofScope { cluster: &server.local.cluster, channel, challenge, purpose };
    match server.local.keyring.verify_proof(&scope, &proof) {
        Ok(()) => server.services.joins.join(request, None, Instant::now() + PATIENCE).await,
        Err(refusal) => refused(server, from, refusal),
    }
}

async fn renew(
    server: &PeerServer,
    channel: &PeerChannel,
    challenge: &Challenge,
    from: SocketAddr,
    body: &[u8],
) -> RenewalReply {
    let ProvenRenewal { id, certificate_request, proof } = match codec::decode(Kind::Frame, body) {
        Ok(renewal) => renewal,
        Err(error) => return RenewalReply::Refused(error.to_string()),
    };
    let purpose = ProofPurpose::Renew(&certificate_request);
    let scope = ProofScope { cluster: &server.local.cluster, channel, challenge, purpose };
    let renewed = match server.local.keyring.verify_proof(&scope, &proof) {
        Ok(()) => {
            let deadline = Instant::now() + PATIENCE;
            server.services.joins.renew(id, &certificate_request, deadline).await
        }
        Err(refusal) => Err(ClusterError::Refused(proof::proof_required(refusal))),
    };
    match renewed {
        Ok(certificate_pem) => RenewalReply::Renewed { certificate_pem },
        Err(error) => {
            server.refusal_log.note("renewal", from, &format!("node {id}: {error}"));
            RenewalReply::Refused(error.to_string())
        }
    }
}

fn refused(server: &PeerServer, from: SocketAddr, refusal: ProofRefusal) -> JoinReply {
    let reason = proof::proof_required(refusal);
    server.refusal_log.note("join", from, &reason);
    JoinReply::Refused(format!("{reason}; the token is not spent"))
}
