//! The gate: no answer that may carry a key leaves before the audit has its events.

use std::net::{IpAddr, Ipv4Addr};

use keymoot_audit::{Outcome, Settled, Trail, Unwritable};
use keymoot_telemetry::LineRate;

use crate::answer::error::{ApiError, ErrorKind};
use crate::request::answering;

/// Refusals of strangers at one address that are audited at once, and the milliseconds after which one more is.
const BY_ADDRESS: (u32, u64) = (60, 2_000);
/// The same for all strangers together: what they can write in a day is some hundred megabytes.
const BY_ALL: (u32, u64) = (2_000, 50);
/// Under which all are counted.
const ALL: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// How much strangers may have written to the audit. What is left out is counted, and told with the next event of the
/// same address.
#[derive(Debug)]
pub struct StrangerRate {
    by_address: LineRate,
    by_all: LineRate,
}

impl Default for StrangerRate {
    fn default() -> Self {
        Self {
            by_address: LineRate::of(BY_ADDRESS.0, BY_ADDRESS.1),
            by_all: LineRate::of(BY_ALL.0, BY_ALL.1),
        }
    }
}

impl StrangerRate {
    /// Whether a refusal of a stranger at this address is audited; then, how many were left out before it.
    pub(crate) fn note(&self, address: IpAddr) -> Option<u64> {
        let left_out = self.by_address.note(address)?;
        if self.by_all.note(ALL).is_some() {
            return Some(left_out);
        }
        self.by_address.leave_out(address, left_out + 1);
        None
    }
}

/// Tells the trail what came of a request, and waits until that is written where the answer is no refusal.
///
/// # Errors
/// When it cannot be written; then the answer must not leave.
pub(crate) async fn settle(
    trail: &Trail,
    refusal: Option<&ApiError>,
    client: IpAddr,
    strangers: &StrangerRate,
) -> Result<(), ApiError> {
    let mut settled = refusal.map_or(Settled::DONE, ApiError::settled);
    let is_refused = refusal.is_some() || trail.is_refused();
    if is_refused && trail.is_strangers() {
        match strangers.note(client) {
            Some(left_out) => settled.repeated = (left_out > 0).then_some(left_out),
            None => return Ok(()),
        }
    }
    let written = match trail.settle(settled) {
        Ok(number) => trail.written(number).await,
        Err(unwritable) => Err(unwritable),
    };
    match written {
        // It hands out nothing; why it is not written is the log's state, which is reported as long as it lasts.
        Err(_) if is_refused => Ok(()),
        Err(error) => {
            let refused = ApiError::unaudited(&error);
            // What was appended of it says otherwise.
            trail.withhold(refused.settled());
            Err(refused)
        }
        Ok(()) => Ok(()),
    }
}

/// Says that the answer is a refusal, for protocols whose refusals look like answers.
pub(crate) fn refuse(outcome: Outcome, reason: &str, reference: u64) {
    if let Some(trail) = answering::trail() {
        trail.refuse(Settled {
            outcome,
            status: None,
            reason: Some(reason.to_owned()),
            reference: Some(reference.to_string()),
            repeated: None,
        });
    }
}

impl ApiError {
    /// Nothing is granted, because it cannot be written to the audit.
    pub(crate) fn unaudited(why: &Unwritable) -> Self {
        let message =
            "this server cannot write its audit, so it grants nothing; ask another one, or try again";
        Self::with_reason(ErrorKind::Busy, message, why)
    }

    /// What the audit says of it.
    pub(crate) fn settled(&self) -> Settled {
        let outcome = match self.kind() {
            ErrorKind::Invalid
            | ErrorKind::Denied
            | ErrorKind::MethodNotAllowed
            | ErrorKind::Conflict
            | ErrorKind::TooLarge
            | ErrorKind::TooMany => Outcome::Refused,
            ErrorKind::NotFound => Outcome::NotFound,
            ErrorKind::Busy | ErrorKind::NoQuorum | ErrorKind::Internal => Outcome::Failed,
        };
        Settled::refused(outcome, self.status().as_u16(), self.reason(), self.reference())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_fill_no_disk_and_what_they_were_refused_beyond_that_is_counted() {
        let strangers = StrangerRate::default();
        let flood = |address: [u8; 4]| (0..1000).filter(|_| strangers.note(address.into()).is_some()).count();
        assert!((60..100).contains(&flood([192, 0, 2, 1])));
        assert!(flood([192, 0, 2, 2]) >= 60, "another address has its own");
        let many = (0..100_000_u32).filter(|n| strangers.note(n.to_be_bytes().into()).is_some()).count();
        assert!(many < 3_000, "{many}");
    }
}
