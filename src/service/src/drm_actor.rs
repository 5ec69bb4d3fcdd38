//! The DRM actor: a bounded queue in front of the registry, for the data of many keys at once.
//!
//! All that is decided here is what happens when too much waits, or nobody waits any more. What the
//! data is, the registry decides. A full mailbox is [`DrmError::Busy`], at once: a request that
//! cannot be served soon is better sent to another node than kept.
//!
//! The data of a few keys is made where it is asked for, on the caller's thread: that takes less time than
//! handing them over and being woken. Thousands of keys would hold up whoever else the thread serves.

use std::fmt;
use std::sync::Arc;

use actix::dev::SendError;
use actix::{Actor, Addr, ArbiterHandle, Context, Handler, Message};
use prometheus::IntCounter;
use tokio::sync::oneshot;

use keymoot_crypto::wiped_after;
use keymoot_drm::{
    ContentKeyInfo, DrmError, EncryptionProvider, OwnedContentKeyInfo, Registry, System, SystemData,
};

/// The data of more keys than these is made by the actor.
const MANY: usize = 16;

/// Makes system data of many keys, one request after another.
#[derive(Debug)]
pub struct DrmActor {
    registry: Registry,
    mailbox_messages_max: usize,
}

/// A request that carries the way back with it: `try_send`, the one way to learn that a mailbox is
/// full, brings no answer of its own.
#[derive(Message)]
#[rtype(result = "()")]
struct AskedForMany {
    system: System,
    infos: Vec<OwnedContentKeyInfo>,
    reply: oneshot::Sender<Result<Vec<SystemData>, DrmError>>,
}

impl DrmActor {
    /// Starts the actor on an arbiter; at least one message fits its mailbox.
    pub fn start_on(
        arbiter: &ArbiterHandle,
        registry: Registry,
        mailbox_messages_max: usize,
        full: IntCounter,
    ) -> DrmHandle {
        // To actix a capacity of 0 means no bound at all.
        let mailbox_messages_max = mailbox_messages_max.max(1);
        let actor = Self { registry, mailbox_messages_max };
        DrmHandle { registry, address: Arc::new(Self::start_in_arbiter(arbiter, |_| actor)), full }
    }
}

impl Actor for DrmActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(self.mailbox_messages_max);
    }
}

impl Handler<AskedForMany> for DrmActor {
    type Result = ();

    fn handle(&mut self, asked: AskedForMany, _: &mut Self::Context) {
        // Nobody listens when the client has hung up or its deadline has passed.
        if !asked.reply.is_closed() {
            let provider = self.registry.provider(asked.system);
            let data = wiped_after(|| {
                asked.infos.iter().map(|info| provider.system_data(&info.as_info())).collect()
            });
            // Between the look and the answer the caller may have gone all the same; that is no error.
            let _ = asked.reply.send(data);
        }
    }
}

/// Makes system data of few keys, and asks the actor for that of many. Cheap to clone, and usable from any
/// thread or runtime.
#[derive(Clone)]
pub struct DrmHandle {
    registry: Registry,
    // Shared, not cloned: actix grants every clone of an address one message beyond the capacity, so
    // a clone per request would leave the mailbox without a bound.
    address: Arc<Addr<DrmActor>>,
    /// Counts what found the mailbox full.
    full: IntCounter,
}

impl DrmHandle {
    /// The system data of a uDRM answer, in the order of its `pssh` array; empty where the answer has
    /// no such member.
    ///
    /// # Errors
    /// What the providers say.
    pub fn system_data(
        &self,
        provider: EncryptionProvider,
        info: &ContentKeyInfo<'_>,
    ) -> Result<Vec<SystemData>, DrmError> {
        // PlayReady's checksum is a cipher under the key.
        wiped_after(|| self.registry.system_data(provider, info))
    }

    /// One system's data of each of these keys, in their order.
    ///
    /// # Errors
    /// [`DrmError::Busy`] when the mailbox is full, [`DrmError::Stopped`] when the actor is gone, and
    /// what the providers say.
    pub async fn data_of(
        &self,
        system: System,
        infos: Vec<OwnedContentKeyInfo>,
    ) -> Result<Vec<SystemData>, DrmError> {
        if infos.len() <= MANY {
            let provider = self.registry.provider(system);
            return wiped_after(|| infos.iter().map(|info| provider.system_data(&info.as_info())).collect());
        }
        let (reply, answer) = oneshot::channel();
        self.address.try_send(AskedForMany { system, infos, reply }).map_err(|refused| match refused {
            SendError::Full(_) => {
                self.full.inc();
                DrmError::Busy
            }
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
mod tests;
