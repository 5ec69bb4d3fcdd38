//! The operator's side of a backup: requests it from a node piece by piece, with a few requests
//! ahead.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::ops::admin_client::{AdminClient, AdminError};
use crate::peer::link::{Link, Pending};
use crate::wire::message::{Reply, Request};

use super::header::BackupHeader;

/// The time limit for reaching a quorum and counting the node's records.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(600);
/// The time limit for one piece.
const PIECE_TIMEOUT: Duration = Duration::from_secs(60);
/// The number of pieces that are requested ahead.
const AHEAD: usize = 4;

/// A backup that is being downloaded.
pub struct BackupDownload {
    link: Link,
    first: Option<Bytes>,
    pending: VecDeque<Pending>,
}

impl AdminClient {
    /// Begins a backup: with `local` of this node's state, else of everything acknowledged before.
    /// The header comes first.
    ///
    /// # Errors
    /// When the node cannot be reached, finds no quorum, or does not hold a sound state.
    pub async fn begin_backup(&self, local: bool) -> Result<(BackupHeader, BackupDownload), AdminError> {
        let link = self.link().clone();
        let first = match link.call(Request::BackupBegin { local }, BEGIN_TIMEOUT).await? {
            Reply::BackupBegun(first) => first,
            other => return Err(refused(other)),
        };
        let (header, _) = BackupHeader::read(&mut first.as_ref())
            .map_err(|fault| AdminError::Refused(fault.to_string()))?;
        let pending = (0..AHEAD).map(|_| link.send(Request::BackupNext)).collect();
        Ok((header, BackupDownload { link, first: Some(first), pending }))
    }
}

impl BackupDownload {
    /// The next bytes of the file; `None` when it is complete.
    ///
    /// # Errors
    /// When the connection or the node fails; the bytes so far are then not a valid backup.
    pub async fn next(&mut self) -> Result<Option<Bytes>, AdminError> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        let Some(piece) = self.pending.pop_front() else { return Ok(None) };
        match piece.reply(PIECE_TIMEOUT).await? {
            Reply::BackupPiece(Some(piece)) => {
                self.pending.push_back(self.link.send(Request::BackupNext));
                Ok(Some(piece))
            }
            Reply::BackupPiece(None) => {
                self.pending.clear();
                Ok(None)
            }
            other => Err(refused(other)),
        }
    }
}

fn refused(reply: Reply) -> AdminError {
    match reply {
        Reply::Failed(reason) => AdminError::of(reason),
        _ => AdminError::Refused("the node answered another question; does it run the same version?".into()),
    }
}
