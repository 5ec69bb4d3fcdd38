//! Files of the tables that are removed or emptied: each is refused, or costs nothing.

use super::*;

/// The number of batches in the tables; both tables must have the same.
fn batches(tables: &Tables) -> Vec<String> {
    let all = |table: usize| tables.view().iter(table).unwrap().map(|record| record.unwrap()).collect();
    let (keys, kids): (Vec<_>, Vec<_>) = (texts(all(0)), texts(all(1)));
    assert_eq!(keys, kids, "one table went back without the other");
    keys.into_iter().map(|(key, _)| key).collect()
}

fn commit(tables: &Tables, number: u32) {
    put(tables, &[(0, &format!("{number:03}"), "x"), (1, &format!("{number:03}"), "x")]);
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

/// Tables whose first batches are in files, and the others in the journal only.
fn partly_in_files(root: &Path) {
    let in_files = || files(root).iter().filter(|file| file.parent().unwrap().ends_with("tables")).count();
    let tables = Tables::open(root, NAMES, TablesOptions { write_buffer_bytes: 1, ..SMALL }).unwrap();
    let lists = in_files();
    commit(&tables, 0);
    let began = Instant::now();
    while in_files() < lists + NAMES.len() {
        assert!(began.elapsed() < Duration::from_secs(10), "nothing is written to files");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(tables);
    let tables = open(root);
    (1..5).for_each(|number| commit(&tables, number));
    tables.persist().unwrap();
}

/// Opens a copy of `root` after `damage` to the file at this path in it.
fn open_after(root: &Path, file: &Path, damage: impl FnOnce(&Path)) -> Result<Vec<String>, String> {
    let copied = tempfile::tempdir().unwrap();
    journal::copy(root, copied.path());
    damage(&copied.path().join(file));
    let opened = Tables::open(copied.path(), NAMES, SMALL);
    opened.map(|tables| batches(&tables)).map_err(|error| error.to_string())
}

#[test]
fn a_file_that_was_removed_or_emptied_is_refused_or_costs_nothing() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("live");
    partly_in_files(&root);
    let whole = batches(&open(&root));
    assert_eq!(whole.len(), 5);
    let (mut refused, mut named) = (0, 0);
    for file in files(&root.join("state-1")) {
        let file = file.strip_prefix(&root).unwrap();
        let removed = open_after(&root, file, |file| fs::remove_file(file).unwrap());
        let emptied = open_after(&root, file, |file| drop(fs::File::create(file).unwrap()));
        for (how, outcome) in [("removed", removed), ("emptied", emptied)] {
            println!("{} {how}: {outcome:?}", file.display());
            match outcome {
                Ok(found) => assert_eq!(found, whole, "{} {how}", file.display()),
                Err(error) => {
                    refused += 1;
                    named += u32::from(error.contains(file.to_str().unwrap()));
                }
            }
        }
    }
    // What decides whether the rest is read at all: the version, the journal, and for each table and the list
    // of tables which files it has. The engine refuses a file of a table that is missing, without its name.
    assert!(named >= 2 * (2 + 2 * 3), "{named} of {refused} refusals name the file");
}

#[test]
fn a_directory_that_lost_a_whole_table_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("live");
    partly_in_files(&root);
    for table in ["0", "1", "2"] {
        let path = Path::new("state-1").join("keyspaces").join(table);
        let outcome = open_after(&root, &path, |path| fs::remove_dir_all(path).unwrap());
        assert!(outcome.unwrap_err().contains(path.to_str().unwrap()));
    }
}

#[test]
fn a_journal_that_ends_before_what_was_synced_is_refused_at_every_start() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("live");
    partly_in_files(&root);
    let file = root.join("state-1").join("0.jnl");
    let used = fs::read(&file).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_len(used as u64 - 20).unwrap();
    let before = fs::read(&file).unwrap();
    for _ in 0..2 {
        let error = Tables::open(&root, NAMES, SMALL).unwrap_err();
        assert!(matches!(error, StoreError::TablesDamaged { .. }), "{error:?}");
        assert!(error.to_string().contains("0.jnl"), "{error}");
        assert!(error.to_string().contains("keymoot cluster remove"), "{error}");
        assert!(fs::read(&file).unwrap() == before, "what is refused is not changed");
    }
}

#[test]
fn a_journal_with_a_gap_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("live");
    partly_in_files(&root);
    let state = root.join("state-1");
    fs::write(state.join("2.jnl"), []).unwrap();
    let error = Tables::open(&root, NAMES, SMALL).unwrap_err();
    assert!(error.to_string().contains("1.jnl"), "{error}");
}

#[test]
fn a_directory_of_an_earlier_build_opens_and_gets_its_inventory() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("live");
    partly_in_files(&root);
    let note = root.join("state-1").join("inventory");
    fs::remove_file(&note).unwrap();
    assert_eq!(batches(&open(&root)).len(), 5);
    assert!(fs::read_to_string(&note).unwrap().contains("kids"));
}
