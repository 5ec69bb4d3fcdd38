//! Keys move to another cluster in a file that only the recipient can open, and arrive as they were.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use cluster_tests::operator::{self, CommandOutput};
use cluster_tests::scrambler::Scrambler;
use cluster_tests::{Cluster, RigError, metrics, signed, wait};
use serde_json::Value;

/// Somebody with the signing key of a cluster's account in a file.
struct Operator(Scrambler);

impl Operator {
    fn of(cluster: &Cluster) -> Self {
        let operator = Self(Scrambler::of(cluster).unwrap().with_arguments(&["--outage-tolerance", "30s"]));
        // Each cluster made a key for this one when it tried itself out; theirs differ.
        operator.run(&["delete", "keymoot-dev-check"]).succeeded().unwrap();
        operator
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn run(&self, arguments: &[&str]) -> CommandOutput {
        self.0.run(&[&["key"], arguments].concat()).unwrap()
    }

    fn must(&self, arguments: &[&str]) -> Vec<Value> {
        let printed = self.run(arguments).succeeded().unwrap();
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn must_fail(&self, arguments: &[&str], code: i32) -> (String, String) {
        let said = self.run(arguments).failed_with(code).unwrap();
        (said.err, said.out)
    }

    /// Makes a key, which the account may have already.
    fn create(&self, content: &str) -> (Value, Value) {
        self.run(&["create", content, "--output", "json"]).succeeded().unwrap();
        self.key(content)
    }

    /// A key as the account has it.
    fn key(&self, content: &str) -> (Value, Value) {
        let printed = self.run(&["get", content, "--output", "json"]).succeeded().unwrap();
        let key: Value = serde_json::from_str(&printed).unwrap();
        (key["kid"].clone(), key["key"].clone())
    }

    /// Makes a recipient; its private key is in the file of that name, and its public key comes back.
    fn recipient(&self, name: &str) -> String {
        let path = self.path(name);
        let said = operator::keymoot(&["key".as_ref(), "recipient".as_ref(), path.as_os_str()]).unwrap();
        said.succeeded().unwrap().trim().to_owned()
    }
}

#[test]
fn a_file_of_items_is_imported_with_a_result_for_each_and_again_without_harm() {
    let cluster = Cluster::start().unwrap();
    let operator = Operator::of(&cluster);
    let mut text = String::new();
    for number in 0..1200 {
        text.push_str(&format!("{{\"content_id\":\"film-{number}\"}}\n"));
    }
    std::fs::write(operator.path("items.ndjson"), &text).unwrap();
    let file = operator.path("items.ndjson");
    let import = ["import", file.to_str().unwrap()];
    let first = operator.must(&import);
    assert_eq!(first.len(), 1200);
    assert!(first.iter().enumerate().all(|(at, one)| one["line"] == at + 1 && one["status"] == "ok"));
    assert_eq!(operator.must(&import), first);

    // A line that cannot be read fails alone, and the command says so.
    std::fs::write(&file, "{\"content_id\":\"a\"}\n\nnonsense\n{\"content_id\":\"b\",\"keyid\":\"x\"}\n")
        .unwrap();
    let (said, results) = operator.must_fail(&import, 1);
    assert!(said.contains("2 of 3 items failed") && said.contains("hint:"), "{said}");
    let results: Vec<Value> = results.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = results.iter().map(|one| (one["line"].as_u64().unwrap(), &one["status"])).collect();
    assert_eq!(told, [(1, &"ok".into()), (3, &"error".into()), (4, &"error".into())]);
}

#[test]
fn an_import_goes_on_at_another_node_when_the_leader_dies_in_the_middle() {
    let mut cluster = Cluster::start().unwrap();
    let operator = Operator::of(&cluster);
    let file = operator.path("items.ndjson");
    let lines = (0..8000).map(|number| format!("{{\"content_id\":\"film-{number}\"}}\n"));
    std::fs::write(&file, lines.collect::<String>()).unwrap();
    let leader = cluster.leader().unwrap();
    let mut import = operator.0.command(&["key", "import", file.to_str().unwrap()]).unwrap();
    let import = import.stdout(Stdio::piped()).spawn().unwrap();
    let api = cluster.node(cluster.others(leader)[0]).unwrap().api;
    let began = metrics::sample(api, metrics::APPLIED_INDEX).unwrap();
    wait::wait_until("the import to be under way", Duration::from_secs(20), || {
        match metrics::sample(api, metrics::APPLIED_INDEX)? {
            applied if applied > began + 10.0 => Ok(()),
            applied => Err(RigError::Answer(format!("{applied} entries are applied"))),
        }
    })
    .unwrap();
    cluster.kill(leader).unwrap();
    let output = import.wait_with_output().unwrap();
    assert!(output.status.success());
    let results = String::from_utf8(output.stdout).unwrap();
    assert_eq!(results.lines().filter(|line| line.contains("\"status\":\"ok\"")).count(), 8000);
    // What was answered is what the survivors have.
    for line in results.lines().step_by(1600) {
        let result: Value = serde_json::from_str(line).unwrap();
        let content = result["content_id"].as_str().unwrap();
        let answer = cluster.signer().create(api, content).unwrap();
        assert_eq!(result["key_id"], answer.key_id, "{content}");
    }
}

#[test]
fn sealed_keys_arrive_in_another_cluster_with_their_ids_and_old_versions() {
    let (from, to) = (Cluster::start().unwrap(), Cluster::start().unwrap());
    let (here, there) = (Operator::of(&from), Operator::of(&to));
    let film = here.create("film");
    let second = {
        here.run(&["rotate", "film", "--output", "json"]).succeeded().unwrap();
        here.key("film")
    };
    assert_ne!(film, second);
    let items = here.path("items.ndjson");
    std::fs::write(
        &items,
        (0..700).map(|number| format!("{{\"content_id\":\"c-{number}\"}}\n")).collect::<String>()
            + "{\"content_id\":\"film\",\"track\":\"HD\",\"aux\":{\"super_cas_id\":7}}\n",
    )
    .unwrap();
    here.must(&["import", items.to_str().unwrap()]);

    let public = there.recipient("recipient.key");
    let file = there.path("keys.ndjson");
    let path = file.to_str().unwrap();
    here.must(&["export", path, "--all", "--recipient", &public]);
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 705, "head, 703 keys, end");
    let key = signed::decode_base64(&base64_of_hex(film.1.as_str().unwrap())).unwrap();
    assert!(!text.contains(&base64_of_hex(film.1.as_str().unwrap())) && key.len() == 16);
    assert!(
        here.must_fail(&["export", path, "--all", "--recipient", &public], 1).0.contains("not overwritten")
    );

    let secret = there.path("recipient.key");
    let import = ["import", path, "--recipient-key", secret.to_str().unwrap()];
    let first = there.must(&import);
    assert_eq!(first.len(), 703);
    assert_eq!(there.must(&import), first, "again without harm");
    assert_eq!(there.key("film"), second);
    for content in ["c-0", "c-699"] {
        assert_eq!(there.key(content), here.key(content), "{content}");
    }
    // The old version is there, under its key id: exported again, it opens to the same key.
    let (again, one) = (there.path("again.ndjson"), there.path("again-2.ndjson"));
    there.must(&["export", again.to_str().unwrap(), "--content", "film", "--recipient", &public]);
    let kids = |path: &PathBuf| -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| line.get("key_id").cloned()).collect()
    };
    here.must(&["export", one.to_str().unwrap(), "--content", "film", "--recipient", &public]);
    assert_eq!((kids(&again), kids(&again).len()), (kids(&one), 3));
    assert!(
        there
            .must_fail(
                &[
                    "export",
                    there.path("x").to_str().unwrap(),
                    "--content",
                    "nothing",
                    "--recipient",
                    &public
                ],
                1
            )
            .0
            .contains("no stored key")
    );
}

#[test]
fn an_altered_file_or_another_recipients_is_refused_with_its_line_and_nothing_gets_in() {
    let (from, to) = (Cluster::start().unwrap(), Cluster::start().unwrap());
    let (here, there) = (Operator::of(&from), Operator::of(&to));
    for content in ["a", "b", "c"] {
        here.create(content);
    }
    let public = there.recipient("recipient.key");
    let file = there.path("keys.ndjson");
    let path = file.to_str().unwrap();
    here.must(&["export", path, "--all", "--recipient", &public]);
    let text = std::fs::read_to_string(&file).unwrap();
    let secret = there.path("recipient.key");
    let import = ["import", path, "--recipient-key", secret.to_str().unwrap()];

    let lines: Vec<&str> = text.lines().collect();
    let sealed: Value = serde_json::from_str(lines[2]).unwrap();
    let flipped = |member: &str| {
        let old = sealed[member].as_str().unwrap();
        let other = if old.starts_with('A') { "B" } else { "A" };
        text.replacen(old, &format!("{other}{}", &old[1..]), 1)
    };
    for (what, bad, line) in [
        ("a flipped bit of the key", flipped("ciphertext"), 3),
        ("a flipped bit of its capsule", flipped("enc"), 3),
        ("another content", text.replace("\"content_id\":\"b\"", "\"content_id\":\"d\""), 3),
        (
            "another account",
            text.replacen(&format!("\"account_id\":\"{}\"", here.0.account), "\"account_id\":\"x\"", 1),
            2,
        ),
        ("a line left out", text.replace(&format!("{}\n", lines[2]), ""), 4),
        ("the end cut off", lines[..4].join("\n"), 4),
        ("more behind the end", format!("{text}{}\n", lines[2]), 6),
    ] {
        std::fs::write(&file, bad).unwrap();
        let (said, results) = there.must_fail(&import, 1);
        assert!(said.contains(&format!("line {line}: ")), "{what}: {said}");
        assert!(results.is_empty(), "{what}");
    }
    std::fs::write(&file, &text).unwrap();
    let stranger = there.path("stranger.key");
    there.recipient("stranger.key");
    let (said, _) = there.must_fail(&["import", path, "--recipient-key", stranger.to_str().unwrap()], 1);
    assert!(said.contains("line 1: the keys are sealed for another recipient"), "{said}");
    assert!(there.must_fail(&["import", path], 1).0.contains("--recipient-key FILE"));
    for content in ["a", "b", "c", "d"] {
        assert_ne!(there.run(&["get", content, "--output", "json"]).code, Some(0), "{content} got in");
    }
    assert_eq!(there.must(&import).len(), 3);
}

fn base64_of_hex(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(base16ct::lower::decode_vec(text).unwrap())
}
