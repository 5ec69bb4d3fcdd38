//! What a piece of work writes to the log, for tests of log lines.

use std::io::Write;
use std::sync::{Arc, Mutex};

/// What the subscriber wrote.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Does the work twice and returns what the second time logged. While tests run side by side, tracing
/// may have noted on another thread, where nobody listens, that a place in the code need not log.
/// The first time makes all places known, and the cache is then built anew for this thread.
pub fn captured(work: impl Fn()) -> String {
    let log = Log::default();
    let sink = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || sink.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        work();
        tracing::callsite::rebuild_interest_cache();
        log.0.lock().unwrap().clear();
        work();
    });
    let written = log.0.lock().unwrap().clone();
    String::from_utf8(written).unwrap()
}
