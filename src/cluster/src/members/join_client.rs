//! The new node's side of joining: tries one member after another, over TLS that pins the token's
//! authority.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use keymoot_codec as codec;
use keymoot_codec::Kind;
use keymoot_crypto::{KeyringProof, ProofPurpose};
use keymoot_crypto::{PeerChannel, PeerVersion};
use keymoot_model::ClusterName;
use keymoot_tls::server_name_of;

use crate::peer::proof::{self, Prover};
use crate::peer::route::name_wrong_port;
use crate::wire::frame::{self, Frame};
use crate::wire::join::{JoinReply, JoinRequest, ProvenJoin};

/// The time limit for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit for an answer: the member waits for a quorum.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a member returned no answer.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The member cannot be reached, or its certificate is not of the token's authority.
    #[error("{member}: {source}")]
    Unreachable {
        /// The address that was dialled.
        member: String,
        source: std::io::Error,
    },
    /// The member did not answer in time.
    #[error("{member} did not answer in time")]
    TooLate {
        /// The address that was dialled.
        member: String,
    },
    /// The member speaks the first version of the protocol. Nothing was sent.
    #[error(
        "{member} runs an earlier version of Keymoot, which asks for no proof of the master key: join at a \
         member that runs this version, or upgrade that one first; the token was not sent"
    )]
    TooOld {
        /// The address that was dialled.
        member: String,
    },
    /// The member holds none of the master keys in the new node's keyring. Nothing was sent.
    #[error(
        "{member} does not prove any master key of this keyring: join with a copy of the keyring that the \
         cluster's nodes use, and at a member that is no witness; the token was not sent"
    )]
    Unproven {
        /// The address that was dialled.
        member: String,
    },
}

/// Sends a request to join to the member at `address`. Nothing is sent before the member's
/// certificate was checked and it has proved a master key to `own`. A witness proves none itself.
///
/// # Errors
/// [`JoinError`] when there is no answer; the request may have been carried out all the same, and
/// may be repeated.
pub async fn ask_to_join(
    address: &str,
    tls: Arc<rustls::ClientConfig>,
    own: &Prover,
    request: &JoinRequest,
) -> Result<JoinReply, JoinError> {
    let failed = |source| JoinError::Unreachable { member: address.to_owned(), source };
    let late = |_| JoinError::TooLate { member: address.to_owned() };
    let mut stream = connect(address, &own.cluster, tls).await?;
    let channel =
        keymoot_tls::peer_channel(stream.get_ref().1).map_err(std::io::Error::other).map_err(failed)?;
    if channel.version == PeerVersion::First {
        return Err(JoinError::TooOld { member: address.to_owned() });
    }
    let asking = async {
        let purpose = ProofPurpose::Join(request.certificate_request.as_deref().unwrap_or_default());
        let Some(proof) = prove(&mut stream, &channel, own, purpose).await? else {
            return Ok(None);
        };
        if own.is_witness() {
            return ask(&mut stream, request).await.map(Some);
        }
        ask(&mut stream, &ProvenJoin { request: request.clone(), proof }).await.map(Some)
    };
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, asking).await.map_err(late)?.map_err(failed)?;
    answer.ok_or_else(|| JoinError::Unproven { member: address.to_owned() })
}

/// Connects to whichever member is at `address`.
pub(super) async fn connect(
    address: &str,
    cluster: &ClusterName,
    tls: Arc<rustls::ClientConfig>,
) -> Result<TlsStream<TcpStream>, JoinError> {
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // The name is not checked: any node of the cluster will do.
        let name = server_name_of(1, cluster).map_err(std::io::Error::other)?;
        TlsConnector::from(tls).connect(name, stream).await.map_err(name_wrong_port)
    };
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
    let member = || address.to_owned();
    let connected = connected.map_err(|_| JoinError::TooLate { member: member() })?;
    connected.map_err(|source| JoinError::Unreachable { member: member(), source })
}

/// The proof for the request; `None` for a member that does not prove itself.
pub(super) async fn prove<S: AsyncRead + Unpin>(
    stream: &mut S,
    channel: &PeerChannel,
    own: &Prover,
    purpose: ProofPurpose<'_>,
) -> std::io::Result<Option<KeyringProof>> {
    let heard = proof::hear_demand(stream, channel, own).await?;
    Ok(heard.verdict.is_ok().then(|| heard.proof(channel, own, purpose)))
}

pub(super) async fn ask<S: AsyncRead + AsyncWrite + Unpin, A: DeserializeOwned>(
    stream: &mut S,
    request: &impl Serialize,
) -> std::io::Result<A> {
    let body = codec::encode(Kind::Frame, request).map_err(std::io::Error::other)?;
    frame::write(stream, &Frame { id: 1, body: body.into() }).await?;
    stream.flush().await?;
    let closed =
        || std::io::Error::other("it closed the connection; too many nodes may want to join at once");
    let answer = frame::read(stream).await?.ok_or_else(closed)?;
    codec::decode(Kind::Frame, &answer.body).map_err(std::io::Error::other)
}
