//! The new node's side: asks one member after another, over TLS that pins the token's authority.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::codec::{self, Kind};
use crate::crypto::{ClusterName, server_name_of};

use super::frame::{self, Frame};
use super::join::{JoinReply, JoinRequest};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take: the member waits for a quorum.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a member gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// It cannot be reached, or is not who the token says.
    #[error("{member}: {source}")]
    Unreachable {
        /// The address that was dialled.
        member: String,
        /// Why.
        source: std::io::Error,
    },
    /// It did not answer in time.
    #[error("{member} did not answer in time")]
    TooLate {
        /// The address that was dialled.
        member: String,
    },
}

/// Asks the member at `address`. Nothing is said before its certificate was checked.
///
/// # Errors
/// [`JoinError`]; the request may have been carried out all the same, and may be repeated.
pub async fn ask_to_join(
    address: &str,
    cluster: &ClusterName,
    tls: Arc<rustls::ClientConfig>,
    request: &JoinRequest,
) -> Result<JoinReply, JoinError> {
    let failed = |source| JoinError::Unreachable { member: address.to_owned(), source };
    let late = |_| JoinError::TooLate { member: address.to_owned() };
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        // The name is not what is checked: any node of the cluster will do.
        let name = server_name_of(1, cluster).map_err(std::io::Error::other)?;
        TlsConnector::from(tls).connect(name, stream).await
    };
    let mut stream =
        tokio::time::timeout(CONNECT_TIMEOUT, connecting).await.map_err(late)?.map_err(failed)?;
    let asking = async {
        let body = codec::encode(Kind::Frame, request).map_err(std::io::Error::other)?;
        frame::write(&mut stream, &Frame { id: 1, body: body.into() }).await?;
        stream.flush().await?;
        let closed =
            || std::io::Error::other("it closed the connection; too many nodes may want to join at once");
        let answer = frame::read(&mut stream).await?.ok_or_else(closed)?;
        codec::decode(Kind::Frame, &answer.body).map_err(std::io::Error::other)
    };
    tokio::time::timeout(ANSWER_TIMEOUT, asking).await.map_err(late)?.map_err(failed)
}
