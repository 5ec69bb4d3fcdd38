//! What functions leave on the stack when they return: ciphers and hashes work there, with keys.

use std::hint::black_box;
use std::task::Poll;

/// How deep they go below their caller, with room to spare.
const DEPTH_BYTES: usize = 16 * 1024;
/// How deep a whole request goes. Without optimisation each frame has its own copy of the futures that it hands on.
const DEEP_BYTES: usize = if cfg!(debug_assertions) { 768 } else { 48 } * 1024;

/// Does this work with secrets, and overwrites the stack that it used. What it returns must hold its secrets
/// elsewhere.
pub fn wiped_after<T>(work: impl FnOnce() -> T) -> T {
    let done = apart(work);
    wipe::<DEPTH_BYTES>();
    done
}

/// The same for a whole request, which hands secrets from frame to frame: overwrites the stack once the work is ready.
/// Whatever it left there before lies no deeper.
pub fn wiped_once_ready<T>(work: impl FnOnce() -> Poll<T>) -> Poll<T> {
    let polled = apart(work);
    if polled.is_ready() {
        wipe::<DEEP_BYTES>();
    }
    polled
}

// A frame of its own, so that `wipe` begins where it began.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe<const BYTES: usize>() {
    // Somebody might look at it, as far as the compiler knows: it cannot leave the zeros out.
    black_box(&mut [0_u8; BYTES]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_and_its_result_handed_back() {
        let text = wiped_after(|| "a secret on the heap".to_owned());
        assert_eq!(text, "a secret on the heap");
        assert_eq!(wiped_once_ready(|| Poll::Ready(7)), Poll::Ready(7));
        assert!(wiped_once_ready(|| Poll::<()>::Pending).is_pending());
    }
}
