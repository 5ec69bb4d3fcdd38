//! Batches work: parts that are submitted while enough batches are in flight wait, and form the
//! next batch. The busier the node, the larger the batches, and the less each part costs.
//!
//! A batch begins after every part in it was submitted, so an answer is never older than its
//! request.
//!
//! A batcher is no actor: the caller would wait for one thread to take the work out of a mailbox
//! and for another to begin it, and the decision here takes less time than either.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

/// The limits of batching.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimits {
    /// The most parts that may wait.
    pub waiting_max: usize,
    /// The most parts in one batch.
    pub batch_max: usize,
    /// The most batches in flight.
    pub in_flight_max: usize,
    /// After a batch of this many parts, the next one waits a moment for as many again.
    pub pause_after: usize,
}

impl BatchLimits {
    /// One batch at a time, for all parts that wait.
    pub(crate) const fn one_at_a_time(waiting_max: usize) -> Self {
        Self { waiting_max, batch_max: usize::MAX, in_flight_max: 1, pause_after: usize::MAX }
    }
}

/// The longest wait of the next batch, see [`BatchLimits::pause_after`].
const PAUSE: Duration = Duration::from_millis(1);

/// Processes a batch: returns as many answers as there are parts, in their order.
type Work<I, O> = Box<dyn Fn(Vec<I>) -> BoxFuture<'static, Vec<O>> + Send + Sync>;

/// Batches work. Cheap to clone.
pub(crate) struct Batcher<I, O> {
    shared: Arc<Shared<I, O>>,
}

struct Shared<I, O> {
    work: Work<I, O>,
    runtime: Handle,
    limits: BatchLimits,
    queue: Mutex<Queue<I, O>>,
    /// Notified when as many parts wait as the next batch waits for.
    enough: Notify,
}

struct Queue<I, O> {
    waiting: VecDeque<(I, oneshot::Sender<O>)>,
    in_flight: usize,
    /// The number of parts that the next batch waits for; 0 when it does not wait.
    wanted: usize,
}

impl<I: Send + 'static, O: Send + 'static> Batcher<I, O> {
    /// Batches parts for `work`, which runs on `runtime`.
    pub(crate) fn new<F>(runtime: Handle, limits: BatchLimits, work: F) -> Self
    where
        F: Fn(Vec<I>) -> BoxFuture<'static, Vec<O>> + Send + Sync + 'static,
    {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), in_flight: 0, wanted: 0 });
        let enough = Notify::new();
        Self { shared: Arc::new(Shared { work: Box::new(work), runtime, limits, queue, enough }) }
    }

    /// Submits a part of work; the receiver gets its answer. `None` when too many parts wait.
    pub(crate) fn submit(&self, part: I) -> Option<oneshot::Receiver<O>> {
        let (answer, answered) = oneshot::channel();
        let mut queue = self.shared.lock();
        if queue.waiting.len() >= self.shared.limits.waiting_max {
            return None;
        }
        queue.waiting.push_back((part, answer));
        if queue.wanted > 0 && queue.waiting.len() >= queue.wanted {
            queue.wanted = 0;
            self.shared.enough.notify_one();
        }
        if queue.in_flight < self.shared.limits.in_flight_max {
            queue.in_flight += 1;
            self.shared.runtime.spawn(run(self.shared.clone()));
        }
        Some(answered)
    }
}

impl<I, O> Clone for Batcher<I, O> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<I, O> Shared<I, O> {
    fn lock(&self) -> MutexGuard<'_, Queue<I, O>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `wanted` parts are there, for [`PAUSE`] at most. With the timer alone, the node
    /// would idle when all its clients wait for this batch. A late notification makes the next
    /// pause short, which is harmless.
    async fn pause(&self, wanted: usize) {
        {
            let mut queue = self.lock();
            if queue.waiting.len() >= wanted {
                return;
            }
            queue.wanted = wanted;
        }
        // Notified or not, the batch takes the parts that are there.
        let _ = tokio::time::timeout(PAUSE, self.enough.notified()).await;
        self.lock().wanted = 0;
    }
}

/// Runs one batch after the other, as long as parts wait.
async fn run<I, O>(shared: Arc<Shared<I, O>>) {
    loop {
        let (parts, answers): (Vec<I>, Vec<oneshot::Sender<O>>) = {
            let mut queue = shared.lock();
            if queue.waiting.is_empty() {
                queue.in_flight -= 1;
                return;
            }
            let count = queue.waiting.len().min(shared.limits.batch_max);
            queue.waiting.drain(..count).unzip()
        };
        let count = parts.len();
        // A part without an answer drops its sender, which tells the caller.
        for (answer, outcome) in answers.into_iter().zip((shared.work)(parts).await) {
            // The caller has gone; drop the answer.
            let _ = answer.send(outcome);
        }
        if count >= shared.limits.pause_after {
            shared.pause(count).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    const ONE: BatchLimits =
        BatchLimits { waiting_max: 100, batch_max: 100, in_flight_max: 1, pause_after: usize::MAX };

    /// Answers each part with itself and the number of its batch, one batch per permit.
    fn numbered(limits: BatchLimits) -> (Batcher<u8, (u8, usize)>, Arc<Semaphore>) {
        let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let permits = gate.clone();
        let batcher = Batcher::new(Handle::current(), limits, move |parts: Vec<u8>| {
            let (permits, begun) = (permits.clone(), begun.clone());
            Box::pin(async move {
                let batch = begun.fetch_add(1, Ordering::SeqCst) + 1;
                permits.acquire().await.unwrap().forget();
                parts.into_iter().map(|part| (part, batch)).collect()
            })
        });
        (batcher, gate)
    }

    #[tokio::test]
    async fn what_comes_meanwhile_is_done_together_next() {
        let (batcher, gate) = numbered(ONE);
        let first = batcher.submit(0).unwrap();
        tokio::task::yield_now().await;
        let later: Vec<_> = (1..6).map(|part| batcher.submit(part).unwrap()).collect();
        gate.add_permits(2);
        assert_eq!(first.await.unwrap(), (0, 1));
        for (part, answered) in (1..6).zip(later) {
            assert_eq!(answered.await.unwrap(), (part, 2));
        }
        gate.add_permits(1);
        assert_eq!(batcher.submit(6).unwrap().await.unwrap(), (6, 3), "it goes on after a rest");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_large_batch_the_next_waits_for_as_many_but_not_for_long() {
        let (batcher, gate) = numbered(BatchLimits { pause_after: 2, ..ONE });
        gate.add_permits(100);
        let submit = |parts: std::ops::Range<u8>| -> Vec<_> {
            parts.map(|part| batcher.submit(part).unwrap()).collect()
        };
        let first = submit(0..3);
        for answered in first {
            assert_eq!(answered.await.unwrap().1, 1);
        }
        let (began, second) = (tokio::time::Instant::now(), submit(3..6));
        for answered in second {
            assert_eq!(answered.await.unwrap().1, 2);
        }
        assert_eq!(began.elapsed(), Duration::ZERO, "as many were there at once");
        for answered in submit(6..7) {
            assert_eq!(answered.await.unwrap().1, 3);
        }
        assert!((PAUSE..PAUSE * 3).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn batches_are_bounded_in_size_and_number() {
        let (batcher, gate) = numbered(BatchLimits { batch_max: 2, in_flight_max: 2, ..ONE });
        let answers: Vec<_> = (0..5).map(|part| batcher.submit(part).unwrap()).collect();
        gate.add_permits(3);
        let mut batches = Vec::new();
        for answered in answers {
            batches.push(answered.await.unwrap().1);
        }
        assert_eq!(batches, [1, 1, 2, 2, 3]);
    }

    #[tokio::test]
    async fn too_much_is_refused_and_who_has_gone_harms_nobody() {
        let (batcher, gate) = numbered(BatchLimits { waiting_max: 2, ..ONE });
        let first = batcher.submit(0).unwrap();
        tokio::task::yield_now().await;
        let (gone, stays) = (batcher.submit(1).unwrap(), batcher.submit(2).unwrap());
        assert!(batcher.submit(3).is_none());
        drop(gone);
        gate.add_permits(2);
        assert_eq!((first.await.unwrap(), stays.await.unwrap()), ((0, 1), (2, 2)));
    }

    #[tokio::test]
    async fn who_is_given_no_answer_learns_so() {
        let batcher: Batcher<u8, u8> =
            Batcher::new(Handle::current(), ONE, |_| Box::pin(async { Vec::new() }));
        assert!(batcher.submit(0).unwrap().await.is_err());
    }
}
