//! Late packets: packets to a node are held back for a while, in order, as on a long line.
//!
//! The kernel passes each packet to a thread within the node's namespace (netfilter queue 0), which
//! releases it when it is due.

use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nfq::{Message, Queue, Verdict};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::RigError;

/// How often the queue is checked, which is the precision of delays.
const STEP: Duration = Duration::from_millis(1);
/// More packets than a node receives within a delay.
const HELD_MAX: u32 = 8192;

/// An active delay. When it is dropped, held packets pass at once.
pub struct Delay {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Delay {
    /// Starts to hold back packets in queue 0 of `namespace`.
    ///
    /// # Errors
    /// When the kernel has no packet queues.
    pub fn begin(namespace: &str, length: Duration) -> Result<Self, RigError> {
        let over = Arc::new(AtomicBool::new(false));
        let (told, opened) = mpsc::channel();
        let (ended, namespace) = (Arc::clone(&over), namespace.to_owned());
        let thread = std::thread::spawn(move || match open(&namespace) {
            Ok(queue) => {
                let _ = told.send(Ok(()));
                hold(queue, length, &ended);
            }
            Err(error) => {
                let _ = told.send(Err(error));
            }
        });
        let delay = Self { over, thread: Some(thread) };
        opened.recv().map_err(|_| RigError::Program("the delay's thread panicked".to_owned()))??;
        Ok(delay)
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The thread's result holds nothing but its end.
            let _ = thread.join();
        }
    }
}

/// Moves only this thread into the namespace, and opens its queue.
fn open(namespace: &str) -> Result<Queue, RigError> {
    let path = std::path::Path::new("/run/netns").join(namespace);
    let file = File::open(&path).map_err(RigError::at("open", &path))?;
    let inside = move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network));
    inside.map_err(|errno| RigError::at("enter", &path)(errno.into()))?;
    let failed = || RigError::io("cannot open a packet queue");
    let mut queue = Queue::open().map_err(failed())?;
    queue.bind(0).map_err(failed())?;
    queue.set_queue_max_len(0, HELD_MAX).map_err(failed())?;
    queue.set_nonblocking(true);
    Ok(queue)
}

fn hold(mut queue: Queue, length: Duration, over: &AtomicBool) {
    let mut held: VecDeque<(Instant, Message)> = VecDeque::new();
    while !over.load(Ordering::Relaxed) {
        while let Ok(message) = queue.recv() {
            held.push_back((Instant::now() + length, message));
        }
        while held.front().is_some_and(|(due, _)| *due <= Instant::now()) {
            pass(&mut queue, held.pop_front());
        }
        std::thread::sleep(STEP);
    }
    while let Some(last) = held.pop_front() {
        pass(&mut queue, Some(last));
    }
    let _ = queue.unbind(0);
}

fn pass(queue: &mut Queue, held: Option<(Instant, Message)>) {
    if let Some((_, mut message)) = held {
        message.set_verdict(Verdict::Accept);
        // A packet that cannot be passed is lost, as packets may be.
        let _ = queue.verdict(message);
    }
}
