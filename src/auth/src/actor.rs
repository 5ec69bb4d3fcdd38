//! The authenticator as an actor, one on each HTTP worker's arbiter.
//!
//! A thin shell: it owns no rule. Its mailbox is bounded, and a request that finds it full is told
//! so at once instead of waiting in a queue that nobody sees.

use std::sync::Arc;

use actix::{Actor, Addr, Context, Handler, Message, dev::SendError};
use tokio::sync::oneshot;

use super::{Authenticator, Denied, Grant, LedgerError, NonceLedger, Request, Spent, Unreadable, Verified};

/// Why a request got no grant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error(transparent)]
    Denied(#[from] Denied),
    /// Whether it is to be let in cannot be told on this node.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Whether it was shown before could not be found out.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// More requests wait than the mailbox holds; try again shortly.
    #[error("the authenticator's mailbox is full")]
    Busy,
    /// The worker is shutting down; another node or a later try will answer.
    #[error("the authenticator has stopped")]
    Stopped,
}

/// The actor. Talk to it through an [`AuthHandle`].
pub struct AuthActor {
    authenticator: Authenticator,
}

impl Actor for AuthActor {
    type Context = Context<Self>;
}

/// One request and where its answer goes. Actix's own replies come only with `send`, which waits
/// when the mailbox is full; `try_send` with a reply of our own refuses instead.
struct Authenticate {
    request: Arc<Request>,
    reply: oneshot::Sender<Result<Verified, AuthError>>,
}

impl Message for Authenticate {
    type Result = ();
}

impl Handler<Authenticate> for AuthActor {
    type Result = ();

    fn handle(&mut self, message: Authenticate, _: &mut Context<Self>) {
        // Nobody waits for the answer to a caller that has hung up.
        if !message.reply.is_closed() {
            let answer = self.authenticator.verify(&message.request);
            // It may still hang up now; then nobody is left to be told.
            drop(message.reply.send(answer));
        }
    }
}

/// Asks the authenticator of this worker. Clones share one place in the mailbox's queue, because
/// actix lets every sender of its own exceed the bound by one message.
#[derive(Clone)]
pub struct AuthHandle {
    address: Arc<Addr<AuthActor>>,
    ledger: Arc<dyn NonceLedger>,
}

impl AuthHandle {
    /// Starts an actor on the current arbiter. About `mailbox_max` requests may wait in its mailbox;
    /// zero counts as one, because actix takes it for no bound.
    pub fn start(authenticator: Authenticator, ledger: Arc<dyn NonceLedger>, mailbox_max: usize) -> Self {
        let address = AuthActor::create(|context| {
            context.set_mailbox_capacity(mailbox_max.max(1));
            AuthActor { authenticator }
        });
        Self { address: Arc::new(address), ledger }
    }

    /// Authenticates a request. One that carries a nonce is granted once its nonce is spent for the
    /// whole cluster: until then no node can tell it from a replay.
    ///
    /// # Errors
    /// [`AuthError::Denied`] when it is refused, [`AuthError::Unreadable`] when this node cannot tell,
    /// [`AuthError::Ledger`] when the cluster does not
    /// answer, [`AuthError::Busy`] when the mailbox is full and [`AuthError::Stopped`] when the worker
    /// shuts down.
    pub async fn authenticate(&self, request: impl Into<Arc<Request>>) -> Result<Grant, AuthError> {
        let request = request.into();
        let (reply, answer) = oneshot::channel();
        match self.address.try_send(Authenticate { request, reply }) {
            Ok(()) => self.spend(answer.await.map_err(|_| AuthError::Stopped)??).await,
            Err(SendError::Full(_)) => Err(AuthError::Busy),
            Err(SendError::Closed(_)) => Err(AuthError::Stopped),
        }
    }

    async fn spend(&self, verified: Verified) -> Result<Grant, AuthError> {
        match verified.nonce() {
            Some(nonce) if self.ledger.spend(nonce).await? == Spent::Before => {
                Err(verified.replayed().into())
            }
            _ => Ok(verified.grant()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::authenticator::tests::{authenticator, http_request, request};
    use super::super::nonce::tests::Remembered;
    use super::*;
    use keymoot_model::Scope;

    #[test]
    fn a_worker_is_answered_through_its_actor() {
        actix::System::new().block_on(async {
            let handle = AuthHandle::start(authenticator(), Arc::new(Remembered::default()), 16);
            let grant = handle.authenticate(request(Scope::Encryption, b"enc-key")).await.unwrap();
            assert_eq!(grant.account().id.as_str(), "167");
            let denied = handle.authenticate(request(Scope::Encryption, b"wrong")).await.unwrap_err();
            assert!(matches!(denied, AuthError::Denied(_)), "{denied:?}");
        });
    }

    #[test]
    fn a_request_with_a_nonce_is_granted_once_whichever_worker_it_is_shown_to() {
        actix::System::new().block_on(async {
            let ledger = Arc::new(Remembered::default());
            let workers = [(); 2].map(|()| AuthHandle::start(authenticator(), ledger.clone(), 16));
            let asked = |worker: usize, nonce| workers[worker].authenticate(http_request(nonce));
            assert!(asked(0, "0123456789abcdef").await.is_ok());
            for worker in [0, 1] {
                let replayed = asked(worker, "0123456789abcdef").await.unwrap_err();
                assert!(matches!(replayed, AuthError::Denied(Denied::Replay { .. })), "{replayed}");
            }
            assert!(asked(1, "another-nonce-16").await.is_ok());
        });
    }

    #[test]
    fn a_full_mailbox_refuses_at_once_and_serves_again_when_it_is_empty() {
        actix::System::new().block_on(async {
            let handle = AuthHandle::start(authenticator(), Arc::new(Remembered::default()), 4);
            let flood = (0..64).map(|_| {
                let handle = handle.clone();
                async move { handle.authenticate(request(Scope::Encryption, b"enc-key")).await }
            });
            let answers = futures::future::join_all(flood).await;
            let served = answers.iter().filter(|answer| answer.is_ok()).count();
            let busy = answers.iter().filter(|a| matches!(a, Err(AuthError::Busy))).count();
            assert_eq!(served + busy, 64);
            assert!((4..=8).contains(&served), "{served} were served");
            handle.authenticate(request(Scope::Encryption, b"enc-key")).await.unwrap();
        });
    }
}
