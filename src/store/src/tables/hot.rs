//! A cache of recently read records: the engine takes microseconds even for a record that is read again and
//! again. Missing records are cached too: most contents have no policy of their own, and every license looks
//! for one.
//!
//! The cache belongs to one generation of the tables. Every change removes the changed records from it before
//! the change is acknowledged. A concurrent read holds a guard, which the removal voids, so a value that was
//! read before a change is never inserted after it.

use quick_cache::Weighter;
use quick_cache::sync::{Cache, GuardResult};

use super::Value;
use crate::StoreError;

/// The approximate overhead of a record, in bytes.
const OVERHEAD_BYTES: u64 = 128;
/// The approximate size of a record, for the initial size of the index.
const RECORD_BYTES: u64 = 512;
/// Records with longer keys are not cached.
const KEY_BYTES_MAX: usize = 511;

/// The cached records of one generation, up to a number of bytes.
pub(super) struct HotRecords {
    records: Cache<Vec<u8>, Option<Value>, Bytes>,
}

/// Weighs records by the memory they take.
#[derive(Clone)]
struct Bytes;

impl Weighter<Vec<u8>, Option<Value>> for Bytes {
    fn weight(&self, key: &Vec<u8>, value: &Option<Value>) -> u64 {
        OVERHEAD_BYTES + (key.len() + value.as_ref().map_or(0, |value| value.len())) as u64
    }
}

/// A table and a key combined without an allocation.
struct Joined {
    bytes: [u8; KEY_BYTES_MAX + 1],
    len: usize,
}

impl Joined {
    fn of(table: usize, key: &[u8]) -> Option<Self> {
        let mut joined = Self { bytes: [0; KEY_BYTES_MAX + 1], len: key.len() + 1 };
        let (first, rest) = joined.bytes.split_first_mut()?;
        *first = u8::try_from(table).ok()?;
        rest.get_mut(..key.len())?.copy_from_slice(key);
        Some(joined)
    }

    fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl HotRecords {
    /// An empty cache that will hold about `bytes_max` at most.
    pub(super) fn new(bytes_max: u64) -> Self {
        let records = usize::try_from(bytes_max / RECORD_BYTES).unwrap_or(usize::MAX);
        Self { records: Cache::with_weighter(records, bytes_max, Bytes) }
    }

    /// The record's value, if there is one, from the cache or from `read`.
    pub(super) fn get(
        &self,
        table: usize,
        key: &[u8],
        read: impl FnOnce() -> Result<Option<Value>, StoreError>,
    ) -> Result<Option<Value>, StoreError> {
        let Some(joined) = Joined::of(table, key) else { return read() };
        let guard = match self.records.get_value_or_guard(joined.as_bytes(), None) {
            GuardResult::Value(value) => return Ok(value),
            GuardResult::Guard(guard) => guard,
            // Cannot happen: the wait has no time limit.
            GuardResult::Timeout => return read(),
        };
        let found = read()?;
        // The insert is refused when the record was changed meanwhile.
        let _ = guard.insert(found.clone());
        Ok(found)
    }

    /// The same for a record that will not be read again soon: it is not inserted.
    pub(super) fn get_once(
        &self,
        table: usize,
        key: &[u8],
        read: impl FnOnce() -> Result<Option<Value>, StoreError>,
    ) -> Result<Option<Value>, StoreError> {
        let kept = Joined::of(table, key).and_then(|joined| self.records.get(joined.as_bytes()));
        kept.map_or_else(read, Ok)
    }

    /// Must be called once a change is readable and before it is acknowledged.
    pub(super) fn forget(&self, table: usize, key: &[u8]) {
        if let Some(joined) = Joined::of(table, key) {
            self.records.remove(joined.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Value(text.as_bytes().into())
    }

    fn hot() -> HotRecords {
        HotRecords::new(1 << 20)
    }

    #[test]
    fn what_was_read_is_not_read_again_until_it_is_forgotten() {
        let hot = hot();
        let read = |text: &str| hot.get(0, b"k", || Ok(Some(value(text)))).unwrap();
        assert_eq!(read("old"), Some(value("old")));
        assert_eq!(read("not read"), Some(value("old")));
        hot.forget(1, b"k");
        assert_eq!(read("not read"), Some(value("old")), "another table's");
        hot.forget(0, b"k");
        assert_eq!(read("new"), Some(value("new")));
    }

    #[test]
    fn what_is_read_once_is_not_kept() {
        let hot = hot();
        let read = |text: &str| hot.get_once(0, b"k", || Ok(Some(value(text)))).unwrap();
        assert_eq!((read("one"), read("two")), (Some(value("one")), Some(value("two"))));
        hot.get(0, b"k", || Ok(Some(value("kept")))).unwrap();
        assert_eq!(read("not read"), Some(value("kept")));
    }

    #[test]
    fn what_changes_while_it_is_read_is_not_kept() {
        let hot = hot();
        let before = hot.get(0, b"k", || {
            hot.forget(0, b"k");
            Ok(Some(value("old")))
        });
        assert_eq!(before.unwrap(), Some(value("old")), "the read began before the change");
        assert_eq!(hot.get(0, b"k", || Ok(Some(value("new")))).unwrap(), Some(value("new")));
    }

    #[test]
    fn what_is_not_there_is_not_looked_for_again_until_it_is_written() {
        let hot = hot();
        let read = |found: Option<Value>| hot.get(0, b"k", || Ok(found)).unwrap();
        assert_eq!(read(None), None);
        assert_eq!(read(Some(value("not read"))), None);
        assert_eq!(hot.get_once(0, b"k", || Ok(Some(value("not read")))).unwrap(), None);
        hot.forget(0, b"k");
        assert_eq!(read(Some(value("written"))), Some(value("written")));
    }

    #[test]
    fn what_is_written_while_it_is_missed_is_found() {
        let hot = hot();
        let missed = hot.get(0, b"k", || {
            hot.forget(0, b"k");
            Ok(None)
        });
        assert_eq!(missed.unwrap(), None, "the read began before the change");
        assert_eq!(hot.get(0, b"k", || Ok(Some(value("written")))).unwrap(), Some(value("written")));
    }

    #[test]
    fn nothing_is_remembered_of_what_cannot_be_read() {
        let hot = hot();
        let failed = hot.get(0, b"k", || Err(StoreError::NoTable { table: 0, tables: 0 }));
        assert!(failed.is_err());
        assert_eq!(hot.get(0, b"k", || Ok(Some(value("now")))).unwrap(), Some(value("now")));
    }

    #[test]
    fn longer_keys_are_read_each_time() {
        let (hot, long) = (hot(), [7; KEY_BYTES_MAX + 1]);
        assert_eq!(hot.get(0, &long, || Ok(Some(value("old")))).unwrap(), Some(value("old")));
        assert_eq!(hot.get(0, &long, || Ok(Some(value("new")))).unwrap(), Some(value("new")));
        hot.forget(0, &long);
    }

    #[test]
    fn memory_is_bounded() {
        let hot = HotRecords::new(64 * 1024);
        for number in 0..10_000_u32 {
            hot.get(0, &number.to_be_bytes(), || Ok(Some(value("a value of some length")))).unwrap();
        }
        assert!(hot.records.weight() <= 64 * 1024, "{}", hot.records.weight());
        assert!(hot.records.len() > 100, "{}", hot.records.len());
    }
}
