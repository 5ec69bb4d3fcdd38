//! Something that is about to be done by an operator or by this node, and what comes of it.

use crate::{Event, NodeAudit, Outcome, Unwritable};

/// An intent that is written and has no outcome yet. Dropped without one, it tells that the outcome is not known.
#[derive(Debug)]
pub struct Pending {
    to: NodeAudit,
    /// What the outcome says beside the outcome.
    event: Option<Event>,
}

impl NodeAudit {
    /// Writes that this is about to be done, and waits until that is written.
    ///
    /// # Errors
    /// [`Unwritable`]; then it must not be done.
    pub async fn begin(&self, event: Event) -> Result<Pending, Unwritable> {
        let begun = self.begin_all(vec![event]).await?;
        // One for each.
        Ok(begun.into_iter().next().unwrap_or_else(|| Pending { to: self.clone(), event: None }))
    }

    /// The same for all that one proposal is about, waited for once.
    ///
    /// # Errors
    /// [`Unwritable`]; then nothing of it must be done.
    pub async fn begin_all(&self, events: Vec<Event>) -> Result<Vec<Pending>, Unwritable> {
        let mut begun = Vec::with_capacity(events.len());
        let mut last = None;
        for event in events {
            let number = self.append(Event { outcome: Outcome::Intended, ..event.clone() })?;
            begun.push(Pending { to: self.clone(), event: Some(Event { intent: Some(number), ..event }) });
            last = Some(number);
        }
        let Some(last) = last else { return Ok(begun) };
        match self.log.written(last).await {
            Ok(()) => Ok(begun),
            Err(why) => {
                for event in begun.iter_mut().filter_map(|pending| pending.event.take()) {
                    let number = event.intent.unwrap_or(last);
                    self.correct(Event { outcome: Outcome::Intended, ..event }, number, &why);
                }
                Err(why)
            }
        }
    }
}

impl Pending {
    /// Appends what came of it. Gives the event's number.
    ///
    /// # Errors
    /// [`Unwritable`] when nothing can be written now; the intent stands without an outcome then.
    pub fn end(
        mut self,
        outcome: Outcome,
        reason: Option<String>,
        log_index: Option<u64>,
    ) -> Result<Option<u64>, Unwritable> {
        let Some(event) = self.event.take() else { return Ok(None) };
        let time_ms = self.to.event(event.action.clone(), outcome, event.actor.clone()).time_ms;
        self.to.append(Event { time_ms, outcome, reason, log_index, ..event }).map(Some)
    }

    /// The same, of work that says itself why it failed.
    pub fn end_with<T, E: std::fmt::Display>(self, outcome: &Result<T, E>, log_index: Option<u64>) {
        let (outcome, reason) = match outcome {
            Ok(_) => (Outcome::Done, None),
            Err(error) => (Outcome::Failed, Some(error.to_string())),
        };
        // The intent stands without an outcome where it cannot be written, which says as much.
        drop(self.end(outcome, reason, log_index));
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(event) = self.event.take() {
            let time_ms = self.to.event(event.action.clone(), Outcome::Unknown, event.actor.clone()).time_ms;
            self.to.note(Event { time_ms, outcome: Outcome::Unknown, ..event });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Actor, AuditLog};

    #[tokio::test]
    async fn what_was_begun_has_an_outcome_also_when_nobody_waits_for_it() {
        let log = AuditLog::in_memory();
        let audit = NodeAudit { log: log.clone(), node: 1 };
        let begin = || audit.begin(audit.event(Action::NODE_JOIN, Outcome::Done, Actor::SYSTEM));
        begin().await.unwrap().end(Outcome::Done, None, Some(5)).unwrap();
        drop(begin().await.unwrap());
        let events = log.remembered().into_iter();
        let told: Vec<_> = events.map(|event| (event.outcome, event.intent, event.log_index)).collect();
        let intended = (Outcome::Intended, None, None);
        let expected =
            [intended, (Outcome::Done, Some(0), Some(5)), intended, (Outcome::Unknown, Some(2), None)];
        assert_eq!(told, expected);
    }
}
