//! A made-up log for tests.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use tokio::sync::watch;

use crate::source::EventSource;

/// A log in memory.
#[derive(Clone)]
pub(crate) struct Log {
    name: String,
    kept: Arc<Mutex<(u64, Vec<Bytes>)>>,
    size: Arc<watch::Sender<u64>>,
}

impl Log {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), kept: Arc::default(), size: Arc::new(watch::channel(0).0) }
    }

    /// Appends so many events.
    pub(crate) fn append(&self, events: u64) {
        for _ in 0..events {
            let number = self.size();
            let line = format!(
                "{{\"time_ms\":{number},\"node\":1,\"action\":\"key.read\",\"outcome\":\"done\",\"actor\":{{\"kind\":\"system\"}}}}"
            );
            self.kept.lock().unwrap().1.push(line.into());
            self.size.send_modify(|size| *size += 1);
        }
    }

    /// Deletes the first events.
    pub(crate) fn delete_before(&self, number: u64) {
        let mut kept = self.kept.lock().unwrap();
        let gone = number - kept.0;
        kept.1.drain(..usize::try_from(gone).unwrap());
        kept.0 = number;
    }
}

impl EventSource for Log {
    fn log(&self) -> String {
        self.name.clone()
    }

    fn size(&self) -> u64 {
        *self.size.borrow()
    }

    fn first_kept(&self) -> u64 {
        self.kept.lock().unwrap().0
    }

    fn read(&self, from: u64, max: usize) -> io::Result<Vec<(u64, Bytes)>> {
        let kept = self.kept.lock().unwrap();
        let numbered = (kept.0..).zip(kept.1.iter().cloned());
        Ok(numbered.filter(|(number, _)| *number >= from).take(max).collect())
    }

    fn grown(&self) -> watch::Receiver<u64> {
        self.size.subscribe()
    }

    fn acknowledge(&self, _receiver: &str, _number: u64) {}
}
