//! The log against flipped bits and missing bytes, alone and with the leftovers of a power cut at the change
//! of files.

use super::*;

/// The files that may follow the last one with records: none, or files for records that were never written,
/// or only in part.
const LEFTOVERS: [&[Leftover]; 6] = [
    &[],
    &[Leftover::Empty],
    &[Leftover::Empty, Leftover::Empty],
    &[Leftover::Zeros],
    &[Leftover::TornRecord],
    &[Leftover::TornRecord, Leftover::Empty],
];

#[derive(Clone, Copy)]
enum Leftover {
    Empty,
    Zeros,
    TornRecord,
}

/// The acknowledged content of a log: its entries and its vote.
type Acknowledged = (Vec<(LogPosition, Bytes)>, Option<StoredVote>);

fn acknowledged(log: &Log) -> Acknowledged {
    (all(log), log.read_vote())
}

/// A log of several files that ends in a vote after entries.
fn of_several_files() -> (tempfile::TempDir, Acknowledged) {
    let home = tempfile::tempdir().unwrap();
    let log = Log::open(home.path(), SMALL).unwrap();
    vote(&log, 1, 1, true).unwrap();
    append(&log, entries(1, 0..27)).unwrap();
    vote(&log, 4, 2, true).unwrap();
    append(&log, vec![entry(4, 27)]).unwrap();
    let acknowledged = acknowledged(&log);
    drop(log);
    assert_eq!(files(home.path()).len(), 3);
    (home, acknowledged)
}

/// The crate's name for the file with the log's bytes from `begin` on.
fn name(begin: u64) -> String {
    let digits = format!("{begin:020}");
    let grouped = digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap());
    format!("r-{}.wal", grouped.collect::<Vec<_>>().join("_"))
}

fn begin(file: &Path) -> u64 {
    let digits: String =
        file.display().to_string().rsplit('/').next().unwrap().chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).unwrap().len()
}

/// Adds files after the last one of `dir`, with the crate's names.
fn leave(dir: &Path, leftovers: &[Leftover]) {
    let all = files(dir);
    let last = all.last().unwrap();
    let mut end = begin(last) + length(last);
    for leftover in leftovers {
        let bytes = match leftover {
            Leftover::Empty => Vec::new(),
            Leftover::Zeros => vec![0; 115],
            // Every file but the first begins with a record of this length.
            Leftover::TornRecord => fs::read(&all[1]).unwrap()[..60].to_vec(),
        };
        fs::write(dir.join(name(end)), bytes).unwrap();
        end += 600;
    }
}

/// Flips one bit of every `step`th byte of `file`, a different one each time, and expects each to be refused.
fn refuses_flipped_bits(home: &Path, file: &Path, step: usize) {
    let whole = fs::read(file).unwrap();
    for at in (0..whole.len()).step_by(step) {
        let copied = copy(home);
        let damaged = copied.path().join(file.file_name().unwrap());
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at * 5 % 8);
        fs::write(&damaged, bytes).unwrap();
        match Log::open(copied.path(), SMALL) {
            Err(StoreError::LogDamaged { file, offset }) => {
                assert_eq!(file, damaged, "byte {at}");
                assert!(offset <= at as u64, "byte {at} reported at {offset}");
            }
            Err(other) => panic!("byte {at} of {}: {other:?}", file.display()),
            Ok(log) => panic!("byte {at} of {}: it starts with {:?}", file.display(), acknowledged(&log)),
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_refused_by_file_and_offset() {
    // The last file ends with a vote, or holds only its first record.
    for (count, files_expected) in [(19, 2), (20, 3)] {
        let home = tempfile::tempdir().unwrap();
        let log = Log::open(home.path(), SMALL).unwrap();
        append(&log, entries(1, 0..count)).unwrap();
        vote(&log, 4, 2, true).unwrap();
        drop(log);
        let files = files(home.path());
        assert_eq!(files.len(), files_expected);
        refuses_flipped_bits(home.path(), &files[0], 13);
        refuses_flipped_bits(home.path(), &files[files_expected - 1], 1);
    }
}

#[test]
fn a_flipped_bit_is_refused_whatever_files_without_records_follow() {
    for leftovers in LEFTOVERS {
        let (home, _) = of_several_files();
        let with_records = files(home.path());
        leave(home.path(), leftovers);
        for (number, file) in with_records.iter().enumerate() {
            let is_last = number + 1 == with_records.len();
            refuses_flipped_bits(home.path(), file, if is_last { 1 } else { 7 });
        }
    }
}

#[test]
fn what_a_power_cut_leaves_at_the_change_of_files_loses_nothing() {
    for leftovers in LEFTOVERS {
        let (home, expected) = of_several_files();
        leave(home.path(), leftovers);
        let log = Log::open(home.path(), SMALL).unwrap();
        assert_eq!(acknowledged(&log), expected);
        append(&log, entries(4, 28..60)).unwrap();
        drop(log);
        let log = Log::open(home.path(), SMALL).unwrap();
        assert_eq!(log.bounds().1, Some(at(4, 59)));
    }
}

#[test]
fn a_torn_record_is_cut_also_where_files_without_records_follow() {
    let (home, (expected, _)) = of_several_files();
    let last = files(home.path()).pop().unwrap();
    let whole = length(&last);
    for leftovers in LEFTOVERS {
        for cut in (1..whole).step_by(17) {
            let copied = copy(home.path());
            leave(copied.path(), leftovers);
            let file = copied.path().join(last.file_name().unwrap());
            fs::File::options().write(true).open(&file).unwrap().set_len(cut).unwrap();
            let log = Log::open(copied.path(), SMALL).unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
            let kept = all(&log);
            assert_eq!(kept, expected[..kept.len()], "cut at {cut}");
            append(&log, vec![entry(5, kept.len() as u64)]).unwrap();
        }
    }
}

#[test]
fn a_file_that_lost_bytes_before_the_last_is_refused_where_they_are_missing() {
    let (home, _) = of_several_files();
    for number in 0..2 {
        for left in [0, 37, 200] {
            let copied = copy(home.path());
            let file = files(copied.path()).remove(number);
            fs::File::options().write(true).open(&file).unwrap().set_len(left).unwrap();
            match Log::open(copied.path(), SMALL) {
                Err(StoreError::LogDamaged { file: named, offset }) => {
                    assert_eq!(named, file);
                    assert_eq!(offset, left, "file {number}");
                }
                other => panic!("file {number} of {left} bytes: {other:?}"),
            }
        }
    }
}

#[test]
fn a_missing_file_is_refused() {
    let (home, _) = of_several_files();
    let without = |number: usize| {
        let copied = copy(home.path());
        fs::remove_file(&files(copied.path())[number]).unwrap();
        let opened = Log::open(copied.path(), SMALL);
        (copied, opened)
    };
    assert!(matches!(without(0).1, Err(StoreError::LogGap { missing: 0, .. })));
    let (copied, opened) = without(1);
    let first = files(copied.path()).remove(0);
    let end = length(&first);
    assert!(matches!(opened, Err(StoreError::LogDamaged { file, offset }) if file == first && offset == end));
}

#[test]
fn a_log_that_only_has_files_without_records_is_refused_unless_it_is_new() {
    let (home, _) = of_several_files();
    for file in files(home.path()) {
        fs::write(file, []).unwrap();
    }
    let first = files(home.path()).remove(0);
    assert!(
        matches!(Log::open(home.path(), SMALL), Err(StoreError::LogDamaged { file, offset: 0 }) if file == first)
    );
    // A power cut at the first start.
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join(name(0)), []).unwrap();
    assert_eq!(acknowledged(&Log::open(home.path(), SMALL).unwrap()), (vec![], None));
    // The only file of a log that was purged.
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join(name(600)), []).unwrap();
    assert!(matches!(Log::open(home.path(), SMALL), Err(StoreError::LogDamaged { offset: 0, .. })));
}

#[test]
fn a_file_that_is_not_the_log_s_hides_no_damage() {
    let (home, _) = of_several_files();
    let last = files(home.path()).pop().unwrap();
    // The last name in the directory; the log skips it.
    fs::write(home.path().join("r-copy.wal"), []).unwrap();
    refuses_flipped_bits(home.path(), &last, 1);
}
