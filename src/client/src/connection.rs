//! One request to one service point: signing, and verification of the answer.
//!
//! Before the first request, and again after each failure, the client asks a service point which
//! schemes it accepts, unless there is nothing to choose. An answer without the demanded proof is
//! never returned.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::credentials::Credentials;
use super::request::Request;
use super::server_capabilities::{self, Announced, ServerCapabilities, challenged};
use super::server_proof::{AskedForProof, ServerKey, ServerProof};
use super::service_point::ServicePoint;
use super::signer::SignError;
use super::transport::{Answer, Failure, Reach, Transport};

/// Why a service point returned no usable answer.
pub(super) enum Trouble {
    /// The service point failed.
    Failed(Failure),
    /// The service point answered, but cannot be trusted.
    Untrusted(Failure),
    /// The request could not be signed, whichever service point is asked.
    Sign(SignError),
}

impl From<SignError> for Trouble {
    fn from(error: SignError) -> Self {
        Self::Sign(error)
    }
}

fn untrusted(reach: Reach, reason: impl ToString) -> Trouble {
    Trouble::Untrusted(Failure { reach, reason: reason.to_string() })
}

/// Sends requests to service points; shared by all threads of a scrambler.
pub(super) struct Connection {
    credentials: Credentials,
    transport: Box<dyn Transport>,
    proof: ServerProof,
    known: Mutex<Vec<Option<ServerCapabilities>>>,
}

impl Connection {
    pub(super) fn new(
        credentials: Credentials,
        transport: Box<dyn Transport>,
        proof: ServerProof,
        points: usize,
    ) -> Self {
        Self { credentials, transport, proof, known: Mutex::new(vec![None; points]) }
    }

    /// Sends the request to the service point with this index and returns its verified answer.
    pub(super) fn ask(
        &self,
        (at, point): (usize, &ServicePoint),
        request: &Request,
        now_s: u64,
    ) -> Result<Answer, Trouble> {
        let capabilities = self.negotiated(at, point)?;
        let answer = self.exchange(point, request, capabilities, now_s)?;
        if answer.status != 401 {
            return Ok(answer);
        }
        // The service point may accept other schemes than it announced.
        let Some(offered) = challenged(&answer) else { return Ok(answer) };
        if offered.contains(&capabilities.choice.scheme) {
            return Ok(answer);
        }
        match self.credentials.choose(point, Some(&offered)) {
            Ok(choice) => {
                let capabilities = ServerCapabilities { choice, ..capabilities };
                self.remember(at, Some(capabilities));
                self.exchange(point, request, capabilities, now_s)
            }
            // A service point that asks for less than the minimum may be lying, while another may
            // be honest.
            Err(reason) if self.credentials.have_minimum() => Err(untrusted(Reach::NotSent, reason)),
            Err(_) => Ok(answer),
        }
    }

    /// Forgets the service point's capabilities, because it failed.
    pub(super) fn forget(&self, at: usize) {
        self.remember(at, None);
    }

    /// The service point's capabilities, if it was asked for them.
    pub(super) fn known(&self, at: usize) -> Option<ServerCapabilities> {
        self.all_known().get(at).copied().flatten()
    }

    /// Whether the service point reports that it is ready.
    pub(super) fn probe(&self, point: &ServicePoint) -> Result<(), Failure> {
        self.transport.probe(point)
    }

    fn negotiated(&self, at: usize, point: &ServicePoint) -> Result<ServerCapabilities, Trouble> {
        if let Some(known) = self.known(at) {
            return Ok(known);
        }
        let has_question = self.credentials.need_negotiation() || self.proof == ServerProof::Signed;
        let announced = if has_question { self.ask_capabilities(point)? } else { Announced::default() };
        let choice = self.credentials.choose(point, announced.schemes.as_deref());
        let choice = choice.map_err(|reason| untrusted(Reach::NotSent, reason))?;
        let capabilities = ServerCapabilities { choice, key: self.key(point, announced.key)? };
        if self.credentials.need_negotiation() {
            let scheme = choice.scheme;
            tracing::debug!(%point, %scheme, "the strongest scheme in common");
        }
        self.remember(at, Some(capabilities));
        Ok(capabilities)
    }

    fn ask_capabilities(&self, point: &ServicePoint) -> Result<Announced, Trouble> {
        let mut request = Request::bare(server_capabilities::PATH);
        let key = match self.proof {
            ServerProof::SignedBy(key) => Some(key),
            ServerProof::Connection | ServerProof::Signed => None,
        };
        let asked = key.map(|key| AskedForProof::of(key, &mut request)).transpose()?;
        // The request itself was not sent yet, however this fails.
        let not_sent = |failure: Failure| Failure { reach: Reach::NotSent, ..failure };
        let answer = self.transport.exchange(point, &request);
        let answer = answer.map_err(|failure| Trouble::Failed(not_sent(failure)))?;
        if let Some(asked) = asked {
            let checked = asked.check(point, &request, &answer);
            checked.map_err(|error| untrusted(Reach::NotSent, error))?;
        }
        server_capabilities::read(&answer)
            .map_err(|reason| Trouble::Failed(Failure { reach: Reach::NotSent, reason }))
    }

    /// The key that the service point's answers must be signed with.
    fn key(&self, point: &ServicePoint, announced: Option<ServerKey>) -> Result<Option<ServerKey>, Trouble> {
        match self.proof {
            ServerProof::Connection => Ok(None),
            ServerProof::SignedBy(key) => Ok(Some(key)),
            ServerProof::Signed if !point.is_secure() && !point.is_loopback() => Err(untrusted(
                Reach::NotSent,
                "the key that it announces over http cannot be believed; give its key to the client",
            )),
            ServerProof::Signed => match announced {
                Some(key) => Ok(Some(key)),
                None => Err(untrusted(Reach::NotSent, "it announces no key to sign its answers with")),
            },
        }
    }

    fn exchange(
        &self,
        point: &ServicePoint,
        request: &Request,
        capabilities: ServerCapabilities,
        now_s: u64,
    ) -> Result<Answer, Trouble> {
        let mut signed = request.unsigned();
        let asked = capabilities.key.map(|key| AskedForProof::of(key, &mut signed)).transpose()?;
        if let Some(signer) = self.credentials.signer(capabilities.choice) {
            signer.sign(&mut signed, point, now_s)?;
        }
        let answer = self.transport.exchange(point, &signed).map_err(Trouble::Failed)?;
        if let Some(asked) = asked {
            let checked = asked.check(point, &signed, &answer);
            checked.map_err(|error| untrusted(Reach::MaybeDone, error))?;
        }
        Ok(answer)
    }

    fn remember(&self, at: usize, capabilities: Option<ServerCapabilities>) {
        if let Some(slot) = self.all_known().get_mut(at) {
            *slot = capabilities;
        }
    }

    fn all_known(&self) -> MutexGuard<'_, Vec<Option<ServerCapabilities>>> {
        // The values are plain and complete, even if a thread panicked.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
