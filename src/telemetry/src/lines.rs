//! Log lines on their way to standard error.
//!
//! Each is written as it is said, but for grants of requests: they are many, and writing one takes as long
//! as checking its signature. They wait until [`write_grants`], which whoever is about to let a key out
//! calls: then one write holds the grants of all who were waiting together. So no key leaves before its
//! line is written, and no other line is written before those that were said before it.

use std::io::{self, IsTerminal as _, Write, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::visible::visible_line;

/// The name of the events that may wait. The room of grants gives it to them.
const GRANT: &str = "grant";
/// More than so many bytes wait for nobody.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// Whether lines are for a terminal, with colours.
static HAS_COLOURS: LazyLock<bool> = LazyLock::new(|| stderr().is_terminal());

/// The lines of this process.
static LINES: Lines<StandardError> = Lines::new(StandardError);

/// Writes the grants that wait. Gives back when they are written, by whomever.
pub fn write_grants() {
    LINES.write_waiting();
}

/// Writes the grants that wait when it is dropped: for a request that may end in many ways.
#[derive(Debug)]
pub struct WritesGrants;

impl Drop for WritesGrants {
    fn drop(&mut self) {
        write_grants();
    }
}

/// Where the subscriber writes.
pub fn audit_line_writer() -> impl for<'w> MakeWriter<'w, Writer: Write> {
    &LINES
}

struct StandardError;

impl Write for &StandardError {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        stderr().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Lines<W> {
    out: W,
    waiting: Mutex<Vec<u8>>,
    /// False only when all that was ever said is written.
    any: AtomicBool,
}

impl<W> Lines<W>
where
    for<'w> &'w W: Write,
{
    const fn new(out: W) -> Self {
        Self { out, waiting: Mutex::new(Vec::new()), any: AtomicBool::new(false) }
    }

    fn keep(&self, line: &[u8]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend_from_slice(line);
        self.any.store(true, Ordering::Release);
        if waiting.len() > WAITING_BYTES_MAX {
            self.write_all(&mut waiting);
        }
    }

    fn write(&self, line: &[u8]) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend_from_slice(line);
        self.write_all(&mut waiting);
    }

    fn write_waiting(&self) {
        if self.any.load(Ordering::Acquire) {
            self.write_all(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Writes while it holds the lock, so that whoever finds nothing waiting knows that it is written.
    fn write_all(&self, waiting: &mut Vec<u8>) {
        // A log that cannot be written has nowhere to say so.
        let _ = (&self.out).write_all(waiting);
        waiting.clear();
        self.any.store(false, Ordering::Release);
    }
}

/// The writer of one line.
struct Line<W: 'static> {
    lines: &'static Lines<W>,
    may_wait: bool,
}

impl<W> Write for Line<W>
where
    for<'w> &'w W: Write,
{
    /// A line comes whole: the subscriber formats it before it writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let visible = visible_line(line, *HAS_COLOURS);
        if self.may_wait {
            self.lines.keep(&visible);
        } else {
            self.lines.write(&visible);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W> MakeWriter<'_> for &'static Lines<W>
where
    for<'w> &'w W: Write,
{
    type Writer = Line<W>;

    fn make_writer(&self) -> Line<W> {
        Line { lines: self, may_wait: false }
    }

    fn make_writer_for(&self, of: &Metadata<'_>) -> Line<W> {
        Line { lines: self, may_wait: of.name() == GRANT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Written(Mutex<Vec<u8>>);

    impl Write for &Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(lines: &Lines<Written>) -> String {
        String::from_utf8(lines.out.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn grants_wait_to_be_written_together_and_nothing_overtakes_them() {
        let lines = Lines::new(Written::default());
        lines.keep(b"one ");
        lines.keep(b"two ");
        assert_eq!(written(&lines), "");
        lines.write_waiting();
        assert_eq!(written(&lines), "one two ");
        lines.keep(b"three ");
        lines.write(b"four ");
        lines.write_waiting();
        assert_eq!(written(&lines), "one two three four ");
    }

    #[test]
    fn what_waits_is_bounded() {
        let lines = Lines::new(Written::default());
        for _ in 0..=WAITING_BYTES_MAX {
            lines.keep(b"x");
        }
        assert!(written(&lines).len() > WAITING_BYTES_MAX);
        assert_eq!(lines.waiting.lock().unwrap().len(), 0);
    }

    #[test]
    fn only_grants_may_wait() {
        let lines: &'static Lines<Written> = Box::leak(Box::new(Lines::new(Written::default())));
        let subscriber =
            tracing_subscriber::fmt().with_writer(lines).without_time().with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(name: "grant", target: "audit", "granted");
            assert_eq!(written(lines), "");
            tracing::info!(target: "audit", "not entitled");
        });
        assert_eq!(written(lines), " INFO audit: granted\n INFO audit: not entitled\n");
    }
}
