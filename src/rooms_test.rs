//! The import law between rooms, kept by reading the sources.
//!
//! A room may name only the rooms listed for it. Whoever needs a new arrow changes this table, and
//! the picture in `lib.rs` with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Room → the rooms it may name.
const LAW: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("codec", &[]),
    ("store", &["codec"]),
    ("crypto", &["model"]),
    ("drm", &["model"]),
    ("state", &["codec", "model"]),
    ("config", &["crypto", "model"]),
    ("telemetry", &["config"]),
    ("auth", &["crypto", "model"]),
    ("client", &["auth", "crypto", "drm", "model"]),
    ("cluster", &["codec", "config", "crypto", "model", "state", "store", "telemetry"]),
    ("license", &["auth", "config", "crypto", "drm", "model", "telemetry"]),
    ("service", &["auth", "cluster", "config", "crypto", "drm", "license", "model", "state", "telemetry"]),
    ("http", &["auth", "cluster", "config", "crypto", "drm", "license", "model", "service", "telemetry"]),
    (
        "cli",
        &[
            "auth",
            "client",
            "cluster",
            "config",
            "crypto",
            "drm",
            "http",
            "license",
            "model",
            "service",
            "state",
            "telemetry",
        ],
    ),
];

/// Crates that only one room may name.
const OWNED_CRATES: &[(&str, &str)] = &[
    ("openraft", "cluster"),
    ("actix_http", "http"),
    ("actix_web", "http"),
    ("fjall", "store"),
    ("raft_log", "store"),
    ("bincode", "codec"),
    ("hpke", "crypto"),
    ("utoipa", "http"),
    ("utoipa_swagger_ui_vendored", "http"),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The code of a file without comments, doc links included.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The names behind each `crate::`, also in `use crate::{a, b::c}`.
fn named_rooms(code: &str) -> BTreeSet<String> {
    let mut rooms = BTreeSet::new();
    for (at, marker) in code.match_indices("crate::") {
        let rest = &code[at + marker.len()..];
        let group = rest.strip_prefix('{').map(|rest| rest.split(';').next().unwrap());
        let names: Vec<&str> = match group {
            Some(group) => top_level(group),
            None => vec![rest],
        };
        for name in names {
            let name: String =
                name.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect();
            rooms.insert(name);
        }
    }
    rooms.remove("");
    rooms
}

/// The members of a use group that stand at its first level.
fn top_level(group: &str) -> Vec<&str> {
    let mut depth = 0;
    group
        .split(|c| {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            c == ',' && depth == 0
        })
        .collect()
}

#[test]
fn rooms_name_only_the_rooms_they_may() {
    let law: BTreeMap<_, BTreeSet<_>> =
        LAW.iter().map(|(room, may)| (*room, may.iter().copied().collect())).collect();
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut broken = Vec::new();
    for file in sources(&src) {
        let inside = file.strip_prefix(&src).unwrap();
        let Some(room) = inside.components().next().filter(|_| inside.components().count() > 1) else {
            continue;
        };
        let room = room.as_os_str().to_str().unwrap();
        let may = law.get(room).unwrap_or_else(|| panic!("the room {room} is not in the law"));
        let code = code(&file);
        for named in named_rooms(&code) {
            if law.contains_key(named.as_str()) && named != room && !may.contains(named.as_str()) {
                broken.push(format!("{} names {named}", inside.display()));
            }
        }
        for (name, owner) in OWNED_CRATES {
            let names_it =
                [format!("{name}::"), format!("use {name};")].iter().any(|text| code.contains(text));
            if room != *owner && names_it {
                broken.push(format!("{} names the crate {name}", inside.display()));
            }
        }
    }
    assert!(broken.is_empty(), "the import law is broken:\n{}", broken.join("\n"));
}

#[test]
fn the_law_has_no_cycle() {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    while done.len() < LAW.len() {
        let next =
            LAW.iter().find(|(room, may)| !done.contains(room) && may.iter().all(|room| done.contains(room)));
        done.insert(next.expect("some rooms need each other").0);
    }
}

#[test]
fn grouped_imports_are_read() {
    let rooms = named_rooms("use crate::{auth::{A, B}, http};\nlet x = crate::model::Kid;");
    assert_eq!(rooms, ["auth", "http", "model"].map(String::from).into());
}
