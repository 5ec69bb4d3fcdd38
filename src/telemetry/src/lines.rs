//! Log lines on their way to standard error: each is written whole as it is said, and shows what it holds.

use std::io::{self, IsTerminal as _, Write, stderr};
use std::sync::LazyLock;

use tracing_subscriber::fmt::MakeWriter;

use super::visible::visible_line;

/// Whether lines are for a terminal, with colours.
static HAS_COLOURS: LazyLock<bool> = LazyLock::new(|| stderr().is_terminal());

/// Where the subscriber writes.
pub fn line_writer() -> impl for<'w> MakeWriter<'w, Writer: Write> {
    || Line
}

/// The writer of one line.
struct Line;

impl Write for Line {
    /// A line comes whole: the subscriber formats it before it writes it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // One write, so that lines of other threads do not come between.
        stderr().lock().write_all(&visible_line(line, *HAS_COLOURS))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
