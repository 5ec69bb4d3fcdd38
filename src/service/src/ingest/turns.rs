//! Turns at a content that many change at once on this node.
//!
//! Of changes that are proposed for the same next version of a track, one wins and the others must be
//! proposed again. Left to themselves, some would lose again and again. So whoever lost waits for a
//! turn, and turns are given in the order in which they were asked for: while one has it, nobody else
//! on this node proposes for that content. Contents that nobody fights for cost no turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use keymoot_model::{AccountId, ContentId};

/// The most requests that wait for one content.
const WAITING_MAX: usize = 1024;

/// Whose turn it is, by content. Shared by all workers of a node.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<HashMap<Contested, Queue>>);

/// A content of an account.
pub(super) type Contested = (AccountId, ContentId);

/// Those who fight for a content: one has the turn.
#[derive(Debug)]
struct Queue {
    /// Fair: permits are given in the order of asking.
    turn: Arc<Semaphore>,
    /// How many have the turn or wait for it.
    present: usize,
}

/// The turn at a content, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    _permit: OwnedSemaphorePermit,
    _place: Place<'t>,
}

/// A place in the queue. Without it, whoever gave up waiting would be counted for ever.
#[derive(Debug)]
struct Place<'t> {
    turns: &'t Turns,
    content: Contested,
}

impl Turns {
    /// Whether requests on this node fight for this content now.
    pub(super) fn is_contested(&self, content: &Contested) -> bool {
        self.lock().contains_key(content)
    }

    /// Waits for the turn; `None` when it did not come before the deadline, or too many wait.
    pub(super) async fn take(&self, content: Contested, deadline: Instant) -> Option<Turn<'_>> {
        let (turn, place) = self.queue(content)?;
        let permit = timeout_at(deadline, turn.acquire_owned()).await.ok()?.ok()?;
        Some(Turn { _permit: permit, _place: place })
    }

    fn queue(&self, content: Contested) -> Option<(Arc<Semaphore>, Place<'_>)> {
        let mut queues = self.lock();
        let queue = queues
            .entry(content.clone())
            .or_insert_with(|| Queue { turn: Arc::new(Semaphore::new(1)), present: 0 });
        if queue.present >= WAITING_MAX {
            return None;
        }
        queue.present += 1;
        Some((queue.turn.clone(), Place { turns: self, content }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Contested, Queue>> {
        // No code panics while it holds the lock, so a poisoned map is intact.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut queues = self.turns.lock();
        if let Some(queue) = queues.get_mut(&self.content) {
            queue.present -= 1;
            if queue.present == 0 {
                queues.remove(&self.content);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn content(name: &str) -> Contested {
        (AccountId::new("167").unwrap(), ContentId::new(name).unwrap())
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test]
    async fn turns_are_given_in_the_order_of_asking_and_leave_nothing_behind() {
        let turns = Turns::default();
        assert!(!turns.is_contested(&content("a")));
        let first = turns.take(content("a"), soon()).await.unwrap();
        assert!(turns.is_contested(&content("a")) && !turns.is_contested(&content("b")));
        let order = Mutex::new(Vec::new());
        let waiting = (0..20).map(|number| {
            let (turns, order) = (&turns, &order);
            async move {
                let turn = turns.take(content("a"), soon()).await.unwrap();
                order.lock().unwrap().push(number);
                tokio::task::yield_now().await;
                drop(turn);
            }
        });
        let waiting = futures::future::join_all(waiting);
        tokio::join!(waiting, async move {
            tokio::task::yield_now().await;
            drop(first);
        });
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
        assert!(turns.lock().is_empty());
    }

    #[tokio::test]
    async fn whoever_gives_up_or_is_one_too_many_leaves_no_trace() {
        let turns = Turns::default();
        let held = turns.take(content("a"), soon()).await.unwrap();
        let late = turns.take(content("a"), Instant::now() + Duration::from_millis(10)).await;
        assert!(late.is_none());
        let places: Vec<_> = (1..WAITING_MAX).map(|_| turns.queue(content("a")).unwrap()).collect();
        assert!(turns.queue(content("a")).is_none(), "the queue has no bound");
        drop((places, held));
        assert!(turns.lock().is_empty());
    }
}
