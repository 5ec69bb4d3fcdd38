//! The DRM actor: a bounded queue in front of the registry.
//!
//! All that is decided here is what happens when too much waits, or nobody waits any more. What the
//! data is, the registry decides. A full mailbox is [`DrmError::Busy`], at once: a request that
//! cannot be served soon is better sent to another node than kept.

use std::fmt;
use std::sync::Arc;

use actix::dev::SendError;
use actix::{Actor, Addr, ArbiterHandle, Context, Handler, Message};
use tokio::sync::oneshot;

use super::{DrmError, EncryptionProvider, OwnedContentKeyInfo, Registry, System, SystemData};

/// Makes system data, one request after another.
#[derive(Debug)]
pub struct DrmActor {
    registry: Registry,
    mailbox_messages_max: usize,
}

/// Asks for the system data of a uDRM answer.
#[derive(Debug, Message)]
#[rtype(result = "Result<Vec<SystemData>, DrmError>")]
pub struct MakeSystemData {
    /// The encryption provider of the request's path.
    pub provider: EncryptionProvider,
    /// The key.
    pub info: OwnedContentKeyInfo,
}

/// A request that carries the way back with it: `try_send`, the one way to learn that a mailbox is
/// full, brings no answer of its own.
#[derive(Message)]
#[rtype(result = "()")]
struct Asked {
    question: MakeSystemData,
    reply: oneshot::Sender<Result<Vec<SystemData>, DrmError>>,
}

/// Asks for one system's data of many keys, with the way back.
#[derive(Message)]
#[rtype(result = "()")]
struct AskedForMany {
    system: System,
    infos: Vec<OwnedContentKeyInfo>,
    reply: oneshot::Sender<Result<Vec<SystemData>, DrmError>>,
}

impl DrmActor {
    /// Starts the actor on an arbiter; at least one message fits its mailbox.
    pub fn start_on(arbiter: &ArbiterHandle, registry: Registry, mailbox_messages_max: usize) -> DrmHandle {
        // To actix a capacity of 0 means no bound at all.
        let mailbox_messages_max = mailbox_messages_max.max(1);
        let actor = Self { registry, mailbox_messages_max };
        DrmHandle { address: Arc::new(Self::start_in_arbiter(arbiter, |_| actor)) }
    }
}

impl Actor for DrmActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox_messages_max);
    }
}

impl Handler<MakeSystemData> for DrmActor {
    type Result = Result<Vec<SystemData>, DrmError>;

    fn handle(&mut self, question: MakeSystemData, _: &mut Self::Context) -> Self::Result {
        self.registry.system_data(question.provider, &question.info.as_info())
    }
}

impl Handler<Asked> for DrmActor {
    type Result = ();

    fn handle(&mut self, asked: Asked, context: &mut Self::Context) {
        // Nobody listens when the client has hung up or its deadline has passed.
        if !asked.reply.is_closed() {
            // Between the look and the answer the caller may have gone all the same; that is no error.
            let _ = asked.reply.send(Handler::<MakeSystemData>::handle(self, asked.question, context));
        }
    }
}

impl Handler<AskedForMany> for DrmActor {
    type Result = ();

    fn handle(&mut self, asked: AskedForMany, _: &mut Self::Context) {
        if !asked.reply.is_closed() {
            let provider = self.registry.provider(asked.system);
            let data = asked.infos.iter().map(|info| provider.system_data(&info.as_info())).collect();
            // As above: who has gone needs no answer.
            let _ = asked.reply.send(data);
        }
    }
}

/// Asks the actor; cheap to clone, and usable from any thread or runtime.
#[derive(Clone)]
pub struct DrmHandle {
    // Shared, not cloned: actix grants every clone of an address one message beyond the capacity, so
    // a clone per request would leave the mailbox without a bound.
    address: Arc<Addr<DrmActor>>,
}

impl DrmHandle {
    /// The system data of a uDRM answer, in the order of its `pssh` array; empty where the answer has
    /// no such member.
    ///
    /// # Errors
    /// [`DrmError::Busy`] when the mailbox is full, [`DrmError::Stopped`] when the actor is gone, and
    /// what the providers say.
    pub async fn system_data(
        &self,
        provider: EncryptionProvider,
        info: OwnedContentKeyInfo,
    ) -> Result<Vec<SystemData>, DrmError> {
        let (reply, answer) = oneshot::channel();
        let asked = Asked { question: MakeSystemData { provider, info }, reply };
        self.address.try_send(asked).map_err(|refused| match refused {
            SendError::Full(_) => DrmError::Busy,
            SendError::Closed(_) => DrmError::Stopped,
        })?;
        answer.await.map_err(|_| DrmError::Stopped)?
    }
}

impl DrmHandle {
    /// One system's data of each of these keys, in their order.
    ///
    /// # Errors
    /// As for [`Self::system_data`].
    pub async fn data_of(
        &self,
        system: System,
        infos: Vec<OwnedContentKeyInfo>,
    ) -> Result<Vec<SystemData>, DrmError> {
        let (reply, answer) = oneshot::channel();
        self.address.try_send(AskedForMany { system, infos, reply }).map_err(|refused| match refused {
            SendError::Full(_) => DrmError::Busy,
            SendError::Closed(_) => DrmError::Stopped,
        })?;
        answer.await.map_err(|_| DrmError::Stopped)?
    }
}

impl fmt::Debug for DrmHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrmHandle").field("connected", &self.address.connected()).finish()
    }
}

#[cfg(test)]
#[path = "actor_tests.rs"]
mod tests;
