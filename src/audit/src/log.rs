//! The log of one node.

use std::sync::{Arc, Mutex, PoisonError};

use crate::Event;

/// Why no event can be written now. Nothing may be granted meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written: {reason}")]
pub struct Unwritable {
    /// What the operator has to look at.
    pub reason: String,
}

/// The log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuditLog(Kept);

/// Where the events are.
#[derive(Clone, Debug)]
enum Kept {
    /// In memory, for tests.
    Memory(Arc<Mutex<Memory>>),
}

#[derive(Debug, Default)]
struct Memory {
    events: Vec<Event>,
    fault: Option<Unwritable>,
}

impl AuditLog {
    /// One that keeps everything in memory, for tests.
    pub fn in_memory() -> Self {
        Self(Kept::Memory(Arc::default()))
    }

    /// Appends an event, and gives its number. It is not written yet: see [`Self::written`].
    ///
    /// # Errors
    /// [`Unwritable`] when nothing can be written now.
    pub fn append(&self, event: Event) -> Result<u64, Unwritable> {
        match &self.0 {
            Kept::Memory(memory) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(fault) = &memory.fault {
                    return Err(fault.clone());
                }
                memory.events.push(event);
                Ok(memory.events.len() as u64 - 1)
            }
        }
    }

    /// Waits until the event of this number, and all before it, are as durable as the configuration wants.
    ///
    /// # Errors
    /// [`Unwritable`] when that cannot be.
    pub async fn written(&self, _number: u64) -> Result<(), Unwritable> {
        match &self.0 {
            Kept::Memory(memory) => {
                memory.lock().unwrap_or_else(PoisonError::into_inner).fault.clone().map_or(Ok(()), Err)
            }
        }
    }

    /// Whether events can be written now.
    ///
    /// # Errors
    /// [`Unwritable`] says why not.
    pub fn state(&self) -> Result<(), Unwritable> {
        match &self.0 {
            Kept::Memory(memory) => {
                memory.lock().unwrap_or_else(PoisonError::into_inner).fault.clone().map_or(Ok(()), Err)
            }
        }
    }

    /// All events of a log in memory, in order.
    pub fn remembered(&self) -> Vec<Event> {
        match &self.0 {
            Kept::Memory(memory) => memory.lock().unwrap_or_else(PoisonError::into_inner).events.clone(),
        }
    }

    /// Makes a log in memory refuse to write, or write again.
    pub fn break_for_test(&self, fault: Option<Unwritable>) {
        match &self.0 {
            Kept::Memory(memory) => memory.lock().unwrap_or_else(PoisonError::into_inner).fault = fault,
        }
    }
}
