//! Work that is done for many at once: what comes while enough is under way waits, and is done together
//! next. The busier the node, the larger the batches, and the less each part of one costs.
//!
//! A batch begins after everything in it was given, so an answer is never older than its question.
//!
//! Not an actor: who gives work would wait for a thread to take it out of a mailbox and for another one
//! to begin, and what is decided here takes less time than either.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

/// How work is gathered.
#[derive(Clone, Copy, Debug)]
pub struct GatherLimits {
    /// How much may wait.
    pub waiting_max: usize,
    /// How much is done together at most.
    pub batch_max: usize,
    /// Batches under way at most.
    pub in_flight_max: usize,
    /// After a batch of so many, the next waits a moment for as many again.
    pub pause_after: usize,
}

impl GatherLimits {
    /// One question at a time, for all who wait.
    pub const fn one_at_a_time(waiting_max: usize) -> Self {
        Self { waiting_max, batch_max: usize::MAX, in_flight_max: 1, pause_after: usize::MAX }
    }
}

/// How long that moment is at most.
const PAUSE: Duration = Duration::from_millis(1);

/// Does batches of work: as many answers as there are parts, in their order.
type Work<I, O> = Box<dyn Fn(Vec<I>) -> BoxFuture<'static, Vec<O>> + Send + Sync>;

/// Gathers work. Cheap to clone.
pub struct Gathered<I, O> {
    inner: Arc<Inner<I, O>>,
}

struct Inner<I, O> {
    work: Work<I, O>,
    runtime: Handle,
    limits: GatherLimits,
    queue: Mutex<Queue<I, O>>,
    /// Told when as many wait as the next batch waits for.
    enough: Notify,
}

struct Queue<I, O> {
    waiting: VecDeque<(I, oneshot::Sender<O>)>,
    in_flight: usize,
    /// How many the next batch waits for; 0 when it waits for nobody.
    wanted: usize,
}

impl<I: Send + 'static, O: Send + 'static> Gathered<I, O> {
    /// Lets `work` be done on `runtime`.
    pub fn new<F>(runtime: Handle, limits: GatherLimits, work: F) -> Self
    where
        F: Fn(Vec<I>) -> BoxFuture<'static, Vec<O>> + Send + Sync + 'static,
    {
        let queue = Mutex::new(Queue { waiting: VecDeque::new(), in_flight: 0, wanted: 0 });
        let enough = Notify::new();
        Self { inner: Arc::new(Inner { work: Box::new(work), runtime, limits, queue, enough }) }
    }

    /// Gives a part of work, and says where its answer will come. `None` when too much waits.
    pub fn give(&self, part: I) -> Option<oneshot::Receiver<O>> {
        let (answer, answered) = oneshot::channel();
        let mut queue = self.inner.lock();
        if queue.waiting.len() >= self.inner.limits.waiting_max {
            return None;
        }
        queue.waiting.push_back((part, answer));
        if queue.wanted > 0 && queue.waiting.len() >= queue.wanted {
            queue.wanted = 0;
            self.inner.enough.notify_one();
        }
        if queue.in_flight < self.inner.limits.in_flight_max {
            queue.in_flight += 1;
            self.inner.runtime.spawn(run(self.inner.clone()));
        }
        Some(answered)
    }
}

impl<I, O> Clone for Gathered<I, O> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<I, O> Inner<I, O> {
    fn lock(&self) -> MutexGuard<'_, Queue<I, O>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for so many to be there, for a moment at most. By the clock alone, nobody would do anything where
    /// all who ask wait for this batch. One told too late makes the next pause short, which harms nobody.
    async fn pause(&self, wanted: usize) {
        {
            let mut queue = self.lock();
            if queue.waiting.len() >= wanted {
                return;
            }
            queue.wanted = wanted;
        }
        // Whether it was told or not, the batch takes what is there.
        let _ = tokio::time::timeout(PAUSE, self.enough.notified()).await;
        self.lock().wanted = 0;
    }
}

/// One batch after the other, as long as anything waits.
async fn run<I, O>(inner: Arc<Inner<I, O>>) {
    loop {
        let (parts, answers): (Vec<I>, Vec<oneshot::Sender<O>>) = {
            let mut queue = inner.lock();
            if queue.waiting.is_empty() {
                queue.in_flight -= 1;
                return;
            }
            let count = queue.waiting.len().min(inner.limits.batch_max);
            queue.waiting.drain(..count).unzip()
        };
        let count = parts.len();
        // Whoever is given no answer learns so when the sender is dropped.
        for (answer, outcome) in answers.into_iter().zip((inner.work)(parts).await) {
            // Who has gone needs none.
            let _ = answer.send(outcome);
        }
        if count >= inner.limits.pause_after {
            inner.pause(count).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    const ONE: GatherLimits =
        GatherLimits { waiting_max: 100, batch_max: 100, in_flight_max: 1, pause_after: usize::MAX };

    /// Answers each part with itself and the number of its batch, each time a permit is there.
    fn numbered(limits: GatherLimits) -> (Gathered<u8, (u8, usize)>, Arc<Semaphore>) {
        let (gate, begun) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let permits = gate.clone();
        let gathered = Gathered::new(Handle::current(), limits, move |parts: Vec<u8>| {
            let (permits, begun) = (permits.clone(), begun.clone());
            Box::pin(async move {
                let batch = begun.fetch_add(1, Ordering::SeqCst) + 1;
                permits.acquire().await.unwrap().forget();
                parts.into_iter().map(|part| (part, batch)).collect()
            })
        });
        (gathered, gate)
    }

    #[tokio::test]
    async fn what_comes_meanwhile_is_done_together_next() {
        let (gathered, gate) = numbered(ONE);
        let first = gathered.give(0).unwrap();
        tokio::task::yield_now().await;
        let later: Vec<_> = (1..6).map(|part| gathered.give(part).unwrap()).collect();
        gate.add_permits(2);
        assert_eq!(first.await.unwrap(), (0, 1));
        for (part, answered) in (1..6).zip(later) {
            assert_eq!(answered.await.unwrap(), (part, 2));
        }
        gate.add_permits(1);
        assert_eq!(gathered.give(6).unwrap().await.unwrap(), (6, 3), "it goes on after a rest");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_large_batch_the_next_waits_for_as_many_but_not_for_long() {
        let (gathered, gate) = numbered(GatherLimits { pause_after: 2, ..ONE });
        gate.add_permits(100);
        let give = |parts: std::ops::Range<u8>| -> Vec<_> {
            parts.map(|part| gathered.give(part).unwrap()).collect()
        };
        let first = give(0..3);
        for answered in first {
            assert_eq!(answered.await.unwrap().1, 1);
        }
        let (began, second) = (tokio::time::Instant::now(), give(3..6));
        for answered in second {
            assert_eq!(answered.await.unwrap().1, 2);
        }
        assert_eq!(began.elapsed(), Duration::ZERO, "as many were there at once");
        for answered in give(6..7) {
            assert_eq!(answered.await.unwrap().1, 3);
        }
        assert!((PAUSE..PAUSE * 3).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn batches_are_bounded_in_size_and_number() {
        let (gathered, gate) = numbered(GatherLimits { batch_max: 2, in_flight_max: 2, ..ONE });
        let answers: Vec<_> = (0..5).map(|part| gathered.give(part).unwrap()).collect();
        gate.add_permits(3);
        let mut batches = Vec::new();
        for answered in answers {
            batches.push(answered.await.unwrap().1);
        }
        assert_eq!(batches, [1, 1, 2, 2, 3]);
    }

    #[tokio::test]
    async fn too_much_is_refused_and_who_has_gone_harms_nobody() {
        let (gathered, gate) = numbered(GatherLimits { waiting_max: 2, ..ONE });
        let first = gathered.give(0).unwrap();
        tokio::task::yield_now().await;
        let (gone, stays) = (gathered.give(1).unwrap(), gathered.give(2).unwrap());
        assert!(gathered.give(3).is_none());
        drop(gone);
        gate.add_permits(2);
        assert_eq!((first.await.unwrap(), stays.await.unwrap()), ((0, 1), (2, 2)));
    }

    #[tokio::test]
    async fn who_is_given_no_answer_learns_so() {
        let gathered: Gathered<u8, u8> =
            Gathered::new(Handle::current(), ONE, |_| Box::pin(async { Vec::new() }));
        assert!(gathered.give(0).unwrap().await.is_err());
    }
}
