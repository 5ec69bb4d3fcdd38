//! The peer port for nodes without a valid certificate: they may ask to join, or a member for the next certificate.
//! Requests are small, few at a time, and rate-limited.
//!
//! Whoever proves no master key takes no place from who does: until a request with a valid proof comes, a
//! connection is one of those that anybody can open ([`UnprovedPeer`]), and only what is proved passes the gate.
//!
//! The member sends the first message: a challenge, and a proof that it holds the cluster's master
//! key. A request without a valid proof is refused before its token is checked; that of a witness has none, and only a
//! token for a witness is looked for.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{Challenge, ProofPurpose, ProofRefusal, ProofScope};
use keymoot_crypto::{PeerChannel, PeerVersion};
use keymoot_model::NodeId;
use keymoot_state::TokenKind;

use crate::members::join_client::ANSWER_TIMEOUT;
use crate::peer::proof;
use crate::peer::rate_limit::RateLimit;
use crate::server::unproved::UnprovedPeer;
use crate::server::{GREETING_TIMEOUT, PeerServer};
use crate::wire::frame::{self, Frame};
use crate::wire::join::{JoinReply, JoinRequest, ProvenJoin, ProvenRenewal, RenewalReply};

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
/// The most requests at the same time, of those that proved a master key and of those that did not.
const AT_ONCE_MAX: usize = 4;
/// The most such requests in [`WINDOW`].
const IN_WINDOW_MAX: usize = 20;
const WINDOW: Duration = Duration::from_secs(10);
/// The answer to one request too many.
const BUSY: &str = "too many nodes ask at once; try again in a minute";

/// Limits the requests of nodes that ask to join, or for a certificate. Those that proved a master key have places of their
/// own: anybody can ask as a witness does, which proves none, and would take them all.
#[derive(Debug, Default)]
pub(crate) struct JoinGate {
    proved: Places,
    unproved: Places,
}

#[derive(Debug)]
struct Places {
    at_once: Semaphore,
    recent: RateLimit,
}

impl Default for Places {
    fn default() -> Self {
        Self { at_once: Semaphore::new(AT_ONCE_MAX), recent: RateLimit::new(IN_WINDOW_MAX, WINDOW) }
    }
}

impl JoinGate {
    /// A place, if there is one.
    fn enter(&self, has_proved: bool) -> Option<SemaphorePermit<'_>> {
        let places = if has_proved { &self.proved } else { &self.unproved };
        places.at_once.try_acquire().ok().filter(|_| places.recent.try_acquire(Instant::now()))
    }

    /// The same, and counts what finds none.
    fn enter_at(&self, server: &PeerServer, has_proved: bool) -> Option<SemaphorePermit<'_>> {
        let place = self.enter(has_proved);
        if place.is_none() {
            server.refusal_log.count("rate");
        }
        place
    }
}

/// What a node without a valid certificate came for.
#[derive(Clone, Copy)]
pub(crate) enum Door {
    /// To join.
    Joining,
    /// To join as a witness, which has no master key.
    Witness,
    /// For its next certificate, because its own has ended.
    Renewal,
}

/// Serves a node without a valid certificate, until the connection ends.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    door: Door,
    channel: PeerChannel,
    (from, unproved): (SocketAddr, UnprovedPeer),
    gate: &JoinGate,
    server: &PeerServer,
) -> std::io::Result<()> {
    if server.local.is_witness() {
        return Err(std::io::Error::other("a witness admits nobody"));
    }
    let mut unproved = Some(unproved);
    let exchange = async {
        let challenge = match channel.version {
            PeerVersion::First => None,
            _ => Some(proof::demand(&mut stream, &channel, &server.local.prover()).await?),
        };
        for _ in 0..REQUESTS_MAX {
            let request = frame::read_up_to(&mut stream, BODY_BYTES_MAX);
            let request = match &mut unproved {
                Some(unproved) => unproved.during(GREETING_TIMEOUT, request).await?,
                None => request.await?,
            };
            let Some(frame) = request else { return Ok(()) };
            let body = match (&challenge, door) {
                (None, _) => codec::encode(Kind::Frame, &refused(server, from, ProofRefusal::Unable)),
                (Some(challenge), Door::Joining) => {
                    let reply = match proved_join(server, &channel, challenge, from, &frame.body) {
                        Ok(request) => {
                            unproved = None;
                            let reply = admit(server, gate, request).await;
                            if let JoinReply::Refused(reason) = &reply {
                                server.refusal_log.log("join", from, reason);
                            }
                            reply
                        }
                        Err(reply) => reply,
                    };
                    codec::encode(Kind::Frame, &reply)
                }
                (Some(_), Door::Witness) => {
                    codec::encode(Kind::Frame, &admit_witness(server, gate, from, &frame.body).await)
                }
                (Some(challenge), Door::Renewal) => {
                    let reply = match read_renewal(server, &channel, challenge, &frame.body) {
                        Ok(renewal) => {
                            unproved = unproved.filter(|_| renewal.proven.is_err());
                            renew(server, gate, renewal).await
                        }
                        Err(reply) => reply,
                    };
                    if let RenewalReply::Refused(reason) = &reply {
                        server.refusal_log.note("renewal", from, reason);
                    }
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

/// The request, if it comes with a valid proof of a master key.
fn proved_join(
    server: &PeerServer,
    channel: &PeerChannel,
    challenge: &Challenge,
    from: SocketAddr,
    body: &[u8],
) -> Result<JoinRequest, JoinReply> {
    let ProvenJoin { request, proof }: ProvenJoin =
        codec::decode(Kind::Frame, body).map_err(|error| JoinReply::Refused(error.to_string()))?;
    let certificate_request = request.certificate_request.as_deref().unwrap_or_default();
    let purpose = ProofPurpose::Join(certificate_request);
    let scope = ProofScope { cluster: &server.local.cluster, channel, challenge, purpose };
    let verdict = server.local.keyring.verify_proof(&scope, &proof);
    verdict.map_err(|refusal| refused(server, from, refusal))?;
    Ok(request)
}

/// Lets a proved request in, if not too many come.
async fn admit(server: &PeerServer, gate: &JoinGate, request: JoinRequest) -> JoinReply {
    let Some(_permit) = gate.enter_at(server, true) else { return JoinReply::Refused(BUSY.to_owned()) };
    server.services.joins.join(request, TokenKind::Node, None, Instant::now() + PATIENCE).await
}

/// Answers a node that proved no master key: only a token for a witness counts.
async fn admit_witness(server: &PeerServer, gate: &JoinGate, from: SocketAddr, body: &[u8]) -> JoinReply {
    let request: JoinRequest = match codec::decode(Kind::Frame, body) {
        Ok(request) => request,
        Err(error) => return JoinReply::Refused(error.to_string()),
    };
    let Some(_permit) = gate.enter_at(server, false) else { return JoinReply::Refused(BUSY.to_owned()) };
    let deadline = Instant::now() + PATIENCE;
    let reply = server.services.joins.join(request, TokenKind::Witness, None, deadline).await;
    if let JoinReply::Refused(reason) = &reply {
        server.refusal_log.note("join", from, reason);
    }
    reply
}

/// What a node asks for whose certificate has ended.
struct AskedRenewal {
    id: NodeId,
    certificate_request: Vec<u8>,
    /// Whether a valid proof of a master key came with it: a witness has none.
    proven: Result<(), ProofRefusal>,
}

fn read_renewal(
    server: &PeerServer,
    channel: &PeerChannel,
    challenge: &Challenge,
    body: &[u8],
) -> Result<AskedRenewal, RenewalReply> {
    let ProvenRenewal { id, certificate_request, proof } =
        codec::decode(Kind::Frame, body).map_err(|error| RenewalReply::Refused(error.to_string()))?;
    let purpose = ProofPurpose::Renew(&certificate_request);
    let scope = ProofScope { cluster: &server.local.cluster, channel, challenge, purpose };
    let proven = server.local.keyring.verify_proof(&scope, &proof);
    Ok(AskedRenewal { id, certificate_request, proven })
}

/// Signs a node's next certificate, if not too many come.
async fn renew(
    server: &PeerServer,
    gate: &JoinGate,
    AskedRenewal { id, certificate_request, proven }: AskedRenewal,
) -> RenewalReply {
    let place = gate.enter_at(server, proven.is_ok());
    let Some(_permit) = place else { return RenewalReply::Refused(BUSY.to_owned()) };
    match server.services.joins.renew(id, &certificate_request, proven, Instant::now() + PATIENCE).await {
        Ok(certificate_pem) => RenewalReply::Renewed { certificate_pem },
        Err(error) => RenewalReply::Refused(format!("node {id}: {error}")),
    }
}

fn refused(server: &PeerServer, from: SocketAddr, refusal: ProofRefusal) -> JoinReply {
    let reason = proof::proof_required(refusal);
    server.refusal_log.note("join", from, &reason);
    JoinReply::Refused(format!("{reason}; the token is not spent"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_proved_nothing_takes_no_place_of_a_node_that_did() {
        let gate = JoinGate::default();
        while gate.enter(false).is_some() {}
        for _ in 0..IN_WINDOW_MAX {
            assert!(gate.enter(true).is_some());
        }
        assert!(gate.enter(true).is_none(), "these are not without end, either");
        let gate = JoinGate::default();
        let held: Vec<_> = (0..AT_ONCE_MAX).map(|_| gate.enter(false).unwrap()).collect();
        assert!(gate.enter(false).is_none() && gate.enter(true).is_some());
        drop(held);
    }
}
