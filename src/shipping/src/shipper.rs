//! The task of one receiver.

use std::borrow::Cow;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::cursor::{Cursor, CursorError, Found, Position};
use crate::form::{Form, Record};
use crate::progress::Progress;
use crate::settings::ReceiverSettings;
use crate::sink::{Delivery, Fault, Sink};
use crate::source::EventSource;

/// The most events in one batch.
const BATCH_EVENTS_MAX: usize = 500;
/// A batch is not made larger once it has so many bytes.
const BATCH_BYTES: usize = 512 * 1024;
/// How many events are read at once: what a batch can be larger than [`BATCH_BYTES`] by.
const READ_EVENTS: usize = 16;
/// What comes within this time goes together.
const GATHER: Duration = Duration::from_millis(250);
/// How long written events wait for their confirmation at most, and how many.
const CONFIRM_AFTER: Duration = Duration::from_secs(5);
const CONFIRM_EVENTS: u64 = 10_000;
/// The pauses after failures: each twice the one before.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often the lag is measured under load.
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether events are on the disk by now.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Sends the events of a log to one receiver.
pub(crate) struct Shipper<S> {
    form: Form,
    sink: Sink,
    source: S,
    log: String,
    host: String,
    cursor_file: PathBuf,
    progress: Arc<Progress>,
    /// The first event that was not written to the sink since the last acknowledgement or failure.
    next: u64,
    /// Since when written events wait for their confirmation.
    unconfirmed_since: Option<Instant>,
    batch_events_max: usize,
    pause: Duration,
}

/// A step failed; the receiver's progress says why.
struct Failed;

impl<S: EventSource> Shipper<S> {
    pub(crate) fn new(
        settings: &ReceiverSettings,
        sink: Sink,
        source: S,
        host: String,
        cursor_file: PathBuf,
        progress: Arc<Progress>,
    ) -> Self {
        let log = source.log();
        Self {
            form: settings.format,
            sink,
            source,
            log,
            host,
            cursor_file,
            progress,
            next: 0,
            unconfirmed_since: None,
            batch_events_max: BATCH_EVENTS_MAX,
            pause: PAUSE_MIN,
        }
    }

    /// Goes on until it is told to stop; then it sends what there is, and ends at the first failure.
    pub(crate) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut grown = self.source.grown();
        let Some(mut cursor) = self.opened_cursor(&mut stopped).await else { return };
        let mut measured_at = Instant::now();
        loop {
            let is_stopping = *stopped.borrow();
            let step = self.step(&mut cursor, is_stopping).await;
            let goes_on = matches!(step, Ok(ControlFlow::Continue(())));
            if !goes_on || measured_at.elapsed() >= MEASURE_EVERY {
                self.measure(&cursor).await;
                measured_at = Instant::now();
            }
            if goes_on {
                continue;
            }
            if is_stopping {
                return;
            }
            match step {
                Ok(_) => self.wait_for_more(&mut grown, &mut stopped).await,
                Err(Failed) => {
                    // Receivers that many nodes lost at once are not asked by all of them at once again.
                    let pause = self.pause.mul_f64(0.5 + rand::random::<f64>() / 2.0);
                    self.pause = (self.pause * 2).min(PAUSE_MAX);
                    told_to_stop(&mut stopped, pause).await;
                }
            }
        }
    }

    /// The cursor, as soon as it can be used; none when it is told to stop before.
    async fn opened_cursor(&mut self, stopped: &mut watch::Receiver<bool>) -> Option<Cursor> {
        loop {
            match self.opened_now().await {
                Ok(cursor) => {
                    self.next = cursor.position().acknowledged;
                    self.has_all_before(self.next);
                    return Some(cursor);
                }
                Err(error) => self.progress.fails(unusable(&self.cursor_file, &error)),
            }
            if told_to_stop(stopped, PAUSE_MAX).await {
                return None;
            }
        }
    }

    async fn opened_now(&mut self) -> Result<Cursor, CursorError> {
        let mut cursor = Cursor::open(&self.cursor_file)?;
        cursor.store(self.first_position(&cursor)).await?;
        Ok(cursor)
    }

    /// Where to begin.
    fn first_position(&self, cursor: &Cursor) -> Position {
        let (size, first_kept) = (self.source.size(), self.source.first_kept());
        let log = self.log.clone();
        let mut position = match cursor.found() {
            Found::Stored if cursor.position().log == log => cursor.position().clone(),
            // Nothing of this log was sent yet.
            Found::Stored | Found::Nothing => Position { log, acknowledged: first_kept, sent: first_kept },
            Found::Damage => {
                tracing::error!(
                    file = %self.cursor_file.display(),
                    "the cursor of a receiver is damaged: all events that are kept are sent to it again, marked as resent"
                );
                Position { log, acknowledged: first_kept, sent: size }
            }
        };
        if position.acknowledged > size {
            tracing::error!(
                file = %self.cursor_file.display(), acknowledged = position.acknowledged, size,
                "a receiver has events that this log lost: numbers that it knows come again for other events, marked as \
                 resent"
            );
            position.acknowledged = size;
        }
        position
    }

    /// Sends one batch, or confirms; breaks where there is nothing to do now.
    async fn step(&mut self, cursor: &mut Cursor, is_stopping: bool) -> Result<ControlFlow<()>, Failed> {
        let waiting = self.next - cursor.position().acknowledged;
        let is_due = self.unconfirmed_since.is_some_and(|since| since.elapsed() >= CONFIRM_AFTER);
        if is_due || waiting >= CONFIRM_EVENTS {
            return self.confirm(cursor).await;
        }
        let batch = match self.batch().await {
            Ok(batch) => batch,
            Err(error) => return self.fail(cursor, format!("the audit log cannot be read: {error}")),
        };
        match batch.first() {
            None if is_stopping && waiting > 0 => self.confirm(cursor).await,
            None => Ok(ControlFlow::Break(())),
            Some((first, _)) if *first > self.next && waiting > 0 => self.confirm(cursor).await,
            Some((first, _)) => {
                let missed = first - self.next;
                if missed > 0 {
                    self.progress.missed(missed);
                    self.next = *first;
                    self.acknowledge(cursor).await?;
                }
                self.send(cursor, batch).await
            }
        }
    }

    /// What is to be sent next; empty where the receiver was sent all.
    async fn batch(&mut self) -> io::Result<Vec<(u64, Bytes)>> {
        let (source, mut from, events_max) = (self.source.clone(), self.next, self.batch_events_max);
        if from >= source.size() {
            return Ok(Vec::new());
        }
        let read = tokio::task::spawn_blocking(move || {
            let mut batch = Vec::new();
            let mut bytes = 0;
            while batch.len() < events_max && bytes < BATCH_BYTES {
                let more = source.read(from, READ_EVENTS.min(events_max - batch.len()))?;
                let Some((last, _)) = more.last() else { break };
                from = last + 1;
                bytes += more.iter().map(|(_, event)| event.len()).sum::<usize>();
                batch.extend(more);
            }
            Ok(batch)
        });
        read.await.map_err(io::Error::other).flatten()
    }

    async fn send(
        &mut self,
        cursor: &mut Cursor,
        batch: Vec<(u64, Bytes)>,
    ) -> Result<ControlFlow<()>, Failed> {
        if let Err(fault) = self.sink.reach().await {
            return self.fail(cursor, fault.to_string());
        }
        let may_have = cursor.position().sent;
        let lines: Vec<(u64, Cow<'_, str>)> =
            batch.iter().map(|(number, event)| (*number, String::from_utf8_lossy(event))).collect();
        let records: Vec<Record<'_>> = lines
            .iter()
            .map(|(number, line)| Record::new(&self.log, &self.host, *number, line, *number < may_have))
            .collect();
        let resent = records.iter().filter(|record| record.is_resent).count();
        let end = lines.last().map_or(self.next, |(number, _)| number + 1);
        // Before anything leaves: after a crash it must be known what to mark.
        let marked = Position { sent: may_have.max(end), ..cursor.position().clone() };
        if let Err(error) = cursor.store(marked).await {
            let error = unusable(&self.cursor_file, &error);
            return self.fail(cursor, error);
        }
        match self.sink.send(self.form, &records).await {
            Ok(delivery) => {
                self.progress.resends(resent as u64);
                self.next = end;
                self.batch_events_max = (self.batch_events_max * 2).min(BATCH_EVENTS_MAX);
                match delivery {
                    Delivery::Acknowledged => self.acknowledge(cursor).await?,
                    Delivery::Written => _ = self.unconfirmed_since.get_or_insert_with(Instant::now),
                }
                Ok(ControlFlow::Continue(()))
            }
            Err(Fault::NotSent(reason)) => {
                // Nothing of it is to be marked. Where that cannot be stored, it is marked in vain.
                let _ = cursor.store(Position { sent: may_have, ..cursor.position().clone() }).await;
                self.fail(cursor, reason)
            }
            Err(Fault::TooLarge(reason)) => {
                self.batch_events_max = (lines.len() / 2).max(1);
                self.fail(cursor, reason)
            }
            Err(Fault::Unknown(reason)) => self.fail(cursor, reason),
        }
    }

    async fn confirm(&mut self, cursor: &mut Cursor) -> Result<ControlFlow<()>, Failed> {
        match self.sink.confirm().await {
            Ok(()) => self.acknowledge(cursor).await.map(ControlFlow::Continue),
            Err(fault) => self.fail(cursor, fault.to_string()),
        }
    }

    /// The receiver has all that was written.
    async fn acknowledge(&mut self, cursor: &mut Cursor) -> Result<(), Failed> {
        self.unconfirmed_since = None;
        let position = cursor.position();
        let (log, sent) = (position.log.clone(), position.sent.max(self.next));
        if let Err(error) = cursor.store(Position { log, acknowledged: self.next, sent }).await {
            let error = unusable(&self.cursor_file, &error);
            return self.fail(cursor, error);
        }
        self.pause = PAUSE_MIN;
        self.progress.acknowledges(self.next);
        self.source.acknowledge(self.progress.name(), self.next);
        Ok(())
    }

    fn has_all_before(&self, number: u64) {
        self.progress.has(number);
        self.source.acknowledge(self.progress.name(), number);
    }

    /// Goes back to what the receiver is known to have.
    fn fail<T>(&mut self, cursor: &Cursor, reason: String) -> Result<T, Failed> {
        self.next = cursor.position().acknowledged;
        self.unconfirmed_since = None;
        self.progress.fails(reason);
        Err(Failed)
    }

    /// Waits until there is more, or a confirmation is due.
    async fn wait_for_more(&mut self, grown: &mut watch::Receiver<u64>, stopped: &mut watch::Receiver<bool>) {
        let due =
            self.unconfirmed_since.map_or(LOOK_EVERY, |since| CONFIRM_AFTER.saturating_sub(since.elapsed()));
        let has_grown = async {
            // A log that is closed grows no more.
            if grown.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            sleep(GATHER).await;
        };
        let stops = async {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        tokio::select! {
            () = has_grown => {}
            () = stops => {}
            () = sleep(due.min(LOOK_EVERY)) => {}
        }
    }

    /// Publishes how far the receiver is behind.
    async fn measure(&mut self, cursor: &Cursor) {
        let acknowledged = cursor.position().acknowledged;
        let events = self.source.size().saturating_sub(acknowledged);
        let oldest_s = match events {
            0 => 0,
            _ => {
                let source = self.source.clone();
                let read = tokio::task::spawn_blocking(move || source.read(acknowledged, 1));
                let first = read.await.ok().and_then(Result::ok).unwrap_or_default();
                first.first().and_then(|(_, event)| age_s(event)).unwrap_or_default()
            }
        };
        self.progress.lags(events, oldest_s);
    }
}

/// Waits for so long; whether it was told to stop meanwhile. Once the node is gone it never is.
async fn told_to_stop(stopped: &mut watch::Receiver<bool>, pause: Duration) -> bool {
    timeout(pause, stopped.wait_for(|stop| *stop)).await.is_ok()
}

fn unusable(cursor_file: &Path, error: &CursorError) -> String {
    format!("its cursor {} cannot be used: {error}", cursor_file.display())
}

/// How old an event is, by this node's clock.
fn age_s(event: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Timed {
        time_ms: u64,
    }
    let timed: Timed = serde_json::from_slice(event).ok()?;
    let now_ms = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()?;
    Some(now_ms.saturating_sub(timed.time_ms) / 1000)
}

#[cfg(test)]
mod tests;
