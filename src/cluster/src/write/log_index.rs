//! Where in the log what a request proposed was applied, for whoever made the request: operators' requests take
//! many ways, and each ends in a proposal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

tokio::task_local! {
    static LAST: Arc<AtomicU64>;
}

/// Does the work, and gives the index of the last proposal that it made, if it made one.
pub async fn noting_log_index<F: Future>(work: F) -> (F::Output, Option<u64>) {
    let last = Arc::new(AtomicU64::new(0));
    let done = LAST.scope(last.clone(), work).await;
    let index = last.load(Ordering::Relaxed);
    (done, (index > 0).then_some(index))
}

/// Notes that a proposal of the work was applied there.
pub(crate) fn note(index: Option<u64>) {
    if let Some(index) = index {
        // Nobody asks where most proposals are.
        let _ = LAST.try_with(|last| last.store(index, Ordering::Relaxed));
    }
}

/// The same work in a task of its own.
pub(crate) async fn in_another_task<F: Future>(last: Option<Arc<AtomicU64>>, work: F) -> F::Output {
    match last {
        Some(last) => LAST.scope(last, work).await,
        None => work.await,
    }
}

/// Where this work notes it, for [`in_another_task`].
pub(crate) fn current() -> Option<Arc<AtomicU64>> {
    LAST.try_with(Arc::clone).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_in_another_task_is_the_same_work() {
        let work = async {
            note(Some(3));
            let other = in_another_task(current(), async { note(Some(7)) });
            tokio::spawn(other).await.unwrap();
        };
        assert_eq!(noting_log_index(work).await.1, Some(7));
        assert_eq!(noting_log_index(async { note(None) }).await.1, None);
    }
}
