//! A buffer for secrets in transit: it grows without leaving copies behind.

use zeroize::Zeroizing;

/// A byte buffer whose first part is filled. All of it is wiped on drop.
pub(super) struct WipedBuffer {
    bytes: Zeroizing<Vec<u8>>,
    filled: usize,
}

impl WipedBuffer {
    /// An empty buffer of `room` bytes.
    pub(super) fn new(room: usize) -> Self {
        Self { bytes: Zeroizing::new(vec![0; room]), filled: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == self.bytes.len()
    }

    pub(super) fn filled(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    pub(super) fn free(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// Marks `bytes` more bytes of the free part as filled.
    pub(super) fn add(&mut self, bytes: usize) {
        self.filled = (self.filled + bytes).min(self.bytes.len());
    }

    /// Removes `bytes` bytes from the front.
    pub(super) fn remove(&mut self, bytes: usize) {
        let bytes = bytes.min(self.filled);
        self.bytes.copy_within(bytes..self.filled, 0);
        self.filled -= bytes;
    }

    /// Doubles the capacity, to `room_max` at most; returns false when it is that already.
    pub(super) fn grow(&mut self, room_max: usize) -> bool {
        let room = (self.bytes.len() * 2).clamp(1, room_max.max(1));
        if room <= self.bytes.len() {
            return false;
        }
        // The larger buffer is allocated whole before anything is copied, so that no secret stays
        // behind in a smaller one.
        let mut larger = Zeroizing::new(Vec::with_capacity(room));
        larger.extend_from_slice(self.filled());
        larger.resize(room, 0);
        self.bytes = larger;
        true
    }

    pub(super) fn into_filled(mut self) -> Zeroizing<Vec<u8>> {
        self.bytes.truncate(self.filled);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fills_empties_and_grows_to_its_limit() {
        let mut buffer = WipedBuffer::new(4);
        buffer.free()[..3].copy_from_slice(b"abc");
        buffer.add(3);
        buffer.remove(1);
        assert_eq!(buffer.filled(), b"bc");
        assert_eq!(buffer.free().len(), 2);
        buffer.free().copy_from_slice(b"de");
        buffer.add(2);
        assert!(buffer.is_full() && buffer.grow(7));
        assert_eq!(buffer.filled(), b"bcde");
        assert_eq!(buffer.free().len(), 3);
        assert!(!buffer.grow(7));
        buffer.remove(4);
        assert!(buffer.is_empty());
        assert_eq!(buffer.into_filled().len(), 0);
    }

    #[test]
    fn one_without_room_can_grow() {
        let mut buffer = WipedBuffer::new(0);
        assert!(buffer.is_full() && buffer.grow(1) && !buffer.is_full());
    }
}
