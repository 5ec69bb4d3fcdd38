//! A scrambler proves itself by the strongest scheme that it and the cluster know, and uses no answer
//! that the cluster did not sign, once it demands that.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};

use cluster_tests::signed::announced_key;
use cluster_tests::{Cluster, binary, secret_file};
use serde_json::Value;

/// The published example key pair of RFC 9421, appendix B.1.4.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n";
const PUBLIC: &str = "JrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=";

struct Scrambler {
    dir: PathBuf,
    servers: Vec<String>,
}

impl Scrambler {
    /// An account that takes nothing weaker than message signatures, and its keys in files.
    fn of(cluster: &Cluster) -> Self {
        let dir = cluster.dir();
        let files = [("private.pem", PRIVATE), ("public", PUBLIC), ("sha1.key", "k3y of the weak kind")];
        files.iter().for_each(|(name, text)| secret_file::write(&dir.join(name), text).unwrap());
        let strong = format!("packager:encryption:http-ed25519:{}", dir.join("public").display());
        let weak = format!("old:encryption:udrm-sha1:{}", dir.join("sha1.key").display());
        let credentials = ["--credential", &strong, "--credential", &weak];
        let more = [&credentials[..], &["--minimum-scheme", "http-ed25519"]].concat();
        cluster.add_account("strict", &more).unwrap();
        let servers = cluster.addresses().iter().map(|address| format!("http://{address}")).collect();
        Self { dir, servers }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary::keymoot().unwrap());
        command.args(arguments).args(["--account", "strict", "--output", "json", "--outage-tolerance", "5s"]);
        command.env("KEYMOOT_SERVERS", self.servers.join(",")).output().unwrap()
    }

    fn file(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    /// A key that is got with the private key and these further arguments.
    fn create(&self, more: &[&str]) -> Output {
        let (private, weak) = (self.file("private.pem"), self.file("sha1.key"));
        let own = ["--message-key-file", &private, "--credential", "packager", "--key-file", &weak];
        self.run(&[&["key", "create", "film"], &own[..], more].concat())
    }
}

fn printed(output: &Output) -> Value {
    assert!(output.status.success(), "{}", said(output));
    let mut printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    printed.as_object_mut().unwrap().remove("license_url");
    printed
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A man in the middle, who sends requests on and changes every answer. Ends with the test's process.
fn meddler(node: SocketAddr, change: fn(Vec<u8>) -> Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || meddle(client, node, change));
        }
    });
    format!("http://{address}")
}

fn meddle(client: TcpStream, node: SocketAddr, change: fn(Vec<u8>) -> Vec<u8>) -> Option<()> {
    let server = TcpStream::connect(node).ok()?;
    let (from_client, to_client) = (client.try_clone().ok()?, client);
    let (from_server, to_server) = (server.try_clone().ok()?, server);
    std::thread::spawn(move || pump(from_client, to_server, |bytes| bytes));
    pump(from_server, to_client, change)
}

/// Answers of these tests are small enough to come in one piece on loopback.
fn pump(mut from: TcpStream, mut to: TcpStream, change: fn(Vec<u8>) -> Vec<u8>) -> Option<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let bytes = from.read(&mut buffer).ok().filter(|bytes| *bytes > 0)?;
        to.write_all(&change(buffer[..bytes].to_vec())).ok()?;
    }
}

/// Changes the first characters of the key, and the length of nothing.
fn another_key(answer: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(answer).unwrap();
    match text.split_once("\"key\":\"") {
        Some((head, rest)) => format!("{head}\"key\":\"AAAA{}", &rest[4..]).into_bytes(),
        None => text.into_bytes(),
    }
}

/// Announces nothing but SHA-1, in as many bytes as there were.
fn weak_only(answer: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(answer).unwrap();
    text.replace("http-ed25519", "http-edXXXXX").replace("http-hmac-sha256", "http-hmac-XXXXXX").into_bytes()
}

#[test]
fn the_strongest_scheme_is_used_and_only_answers_that_the_cluster_signed() {
    let cluster = Cluster::start().unwrap();
    let mut scrambler = Scrambler::of(&cluster);
    let nodes = cluster.addresses();
    let key = announced_key(nodes[0]).unwrap();
    nodes.iter().for_each(|node| assert_eq!(announced_key(*node).unwrap(), key));

    // The account refuses SHA-1, so that this shows what was chosen.
    let film = printed(&scrambler.create(&[]));
    for more in [vec!["--require-signed-answers"], vec!["--server-public-key", &key]] {
        assert_eq!(printed(&scrambler.create(&more)), film);
    }
    let told = said(&scrambler.create(&["--verbose", "--server-public-key", &key]));
    assert!(told.contains("in use, proof http-ed25519, answers signed"), "{told}");
    assert!(told.contains("1 attempts, 0 failed"), "{told}");
    let weak = scrambler.run(&["key", "get", "film", "--key-file", &scrambler.file("sha1.key")]);
    assert_eq!(weak.status.code(), Some(1), "{}", said(&weak));

    let wrong = scrambler.create(&["--server-public-key", PUBLIC]);
    assert!(wrong.status.code() == Some(1) && wrong.stdout.is_empty(), "{}", said(&wrong));
    assert!(said(&wrong).contains("no service point can be trusted"), "{}", said(&wrong));

    // Somebody in front of the first node changes its answers; the other nodes' count.
    scrambler.servers[0] = meddler(nodes[0], another_key);
    assert_ne!(printed(&scrambler.create(&[])), film, "who demands no signature is deceived");
    assert_eq!(printed(&scrambler.create(&["--server-public-key", &key])), film);
    scrambler.servers.truncate(1);
    let deceived = scrambler.create(&["--server-public-key", &key]);
    assert!(deceived.status.code() == Some(1) && deceived.stdout.is_empty());
    assert!(said(&deceived).contains("body was changed"), "{}", said(&deceived));

    // Somebody who announces weak schemes only gets no weak proof.
    scrambler.servers = vec![meddler(nodes[0], weak_only)];
    let refused = scrambler.create(&["--minimum-scheme", "http-ed25519"]);
    assert!(said(&refused).contains("a downgrade is refused"), "{}", said(&refused));
    scrambler.servers.push(format!("http://{}", nodes[1]));
    assert_eq!(printed(&scrambler.create(&["--minimum-scheme", "http-ed25519"])), film);
}
