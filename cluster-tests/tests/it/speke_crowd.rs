//! A crowd of encryptors, each with a channel of its own that rotates: every answer is right though the leader dies, and
//! the log grows by one entry for each content at most.
//!
//! `a_thousand_encryptors` is the whole of it, and is run by hand:
//! `cargo nextest run -p cluster-tests --run-ignored only -E 'test(a_thousand_encryptors)' --no-capture`.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cluster_tests::speke::{self, Answered, Document, Encryptor, Version};
use cluster_tests::stats::Latencies;
use cluster_tests::{Cluster, metrics, raw};

const TRACKS: [&str; 8] =
    ["SD", "HD1", "HD2", "UHD1", "UHD2", "STEREO_AUDIO", "MULTICHANNEL_AUDIO_3_6", "MULTICHANNEL_AUDIO_7"];
/// What else the log may grow by: in each of these spans three nodes tell and cosign their checkpoints, and a new leader
/// begins its term.
const AUDIT_SPAN: Duration = Duration::from_secs(2);
const AUDIT_ENTRIES_A_SPAN: u64 = 4;
const ELECTION_ENTRIES: u64 = 30;

#[derive(Clone, Copy)]
struct Crowd {
    encryptors: usize,
    periods: u32,
    threads: usize,
}

#[test]
fn a_few_dozen_encryptors_get_the_right_keys_though_the_leader_dies() {
    Crowd { encryptors: 40, periods: 6, threads: 8 }.run();
}

#[test]
#[ignore = "sixty thousand documents, and as many again to compare"]
fn a_thousand_encryptors_get_the_right_keys_though_the_leader_dies() {
    Crowd { encryptors: 1_000, periods: 60, threads: 16 }.run();
}

impl Crowd {
    fn run(self) {
        let mut cluster = Cluster::start().unwrap();
        let encryptor = speke::add_account(&cluster, &[]).unwrap();
        let leader = cluster.leader().unwrap();
        let survivors: Vec<SocketAddr> =
            cluster.others(leader).iter().map(|id| cluster.node(*id).unwrap().api).collect();
        let nodes = [&[cluster.node(leader).unwrap().api][..], &survivors].concat();
        let before = last_entry(&survivors);
        let (began, asked) = (Instant::now(), AtomicUsize::new(0));
        let documents = self.encryptors * self.periods as usize;

        let (first, latencies) = std::thread::scope(|scope| {
            let answering = scope.spawn(|| self.ask_all(&encryptor, &nodes, &asked));
            // The leader dies when a third has been asked for.
            while asked.load(Ordering::Relaxed) < documents / 3 && !answering.is_finished() {
                std::thread::sleep(Duration::from_millis(2));
            }
            assert!(!answering.is_finished(), "all were answered before the leader could be killed");
            cluster.kill(leader).unwrap();
            answering.join().unwrap()
        });
        let took = began.elapsed();
        let grown = last_entry(&survivors) - before;
        let spans = took.as_secs() / AUDIT_SPAN.as_secs() + 2;
        let entries_max = self.encryptors as u64 + spans * AUDIT_ENTRIES_A_SPAN + ELECTION_ENTRIES;
        println!(
            "{documents} documents of {} keys in {took:?} ({:.0} a second), p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms; the log \
             grew by {grown} entries for {} contents",
            TRACKS.len(),
            documents as f64 / took.as_secs_f64(),
            latencies.percentile_ms(50.0),
            latencies.percentile_ms(99.0),
            latencies.max_ms(),
            self.encryptors,
        );
        assert!(grown <= entries_max, "the log grew by {grown} entries");

        // Each document again, in another order, of the nodes that are left.
        let again = self.ask_all(&encryptor, &survivors, &asked).0;
        let differing = first.iter().zip(&again).filter(|(one, other)| one != other).count();
        assert_eq!(differing, 0, "documents were answered in two ways");
        let keys: HashSet<[u8; 16]> = first.iter().flatten().copied().collect();
        assert_eq!(keys.len(), documents * TRACKS.len(), "two key ids have one key");
    }

    /// The keys of each document in the order of its key ids, and how long the answers took. Who gets none asks the next
    /// node, as encryptors do.
    fn ask_all(
        self,
        encryptor: &Encryptor,
        nodes: &[SocketAddr],
        asked: &AtomicUsize,
    ) -> (Vec<Vec<[u8; 16]>>, Latencies) {
        let documents = self.encryptors * self.periods as usize;
        let (next, all) =
            (AtomicUsize::new(0), Mutex::new((vec![Vec::new(); documents], Latencies::default())));
        std::thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    let mut links: Vec<Option<raw::Link>> = nodes.iter().map(|_| None).collect();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= documents {
                            break;
                        }
                        let (period, channel) = (number / self.encryptors, number % self.encryptors);
                        let name = format!("channel-{channel}");
                        let own = Document::of_tracks(&name, &TRACKS, Some(period as u32))
                            .for_systems("cenc", &[speke::WIDEVINE]);
                        let began = Instant::now();
                        let answered = ask(encryptor, nodes, &mut links, channel, &own);
                        let took = began.elapsed();
                        let keys =
                            own.keys.iter().map(|wanted| answered.key(&wanted.kid).unwrap().key).collect();
                        asked.fetch_add(1, Ordering::Relaxed);
                        let mut all = all.lock().unwrap();
                        all.0[number] = keys;
                        all.1.record(took);
                    }
                });
            }
        });
        all.into_inner().unwrap()
    }
}

/// The answer to a document, of the first node that gives one, from that of its channel on.
fn ask(
    encryptor: &Encryptor,
    nodes: &[SocketAddr],
    links: &mut [Option<raw::Link>],
    channel: usize,
    own: &Document,
) -> Answered {
    let text = own.text(Version::Speke2_0);
    let mut refusals = Vec::new();
    for attempt in 0..3 * nodes.len() {
        let at = (channel + attempt) % nodes.len();
        let link = links[at].take().map_or_else(|| raw::Link::open(nodes[at], raw::ANSWER_WITHIN), Ok);
        let answer = link.and_then(|mut link| {
            let answer = link.ask(&encryptor.request(Version::Speke2_0, &text), raw::ANSWER_WITHIN)?;
            links[at] = Some(link);
            Ok(answer)
        });
        match answer {
            Ok(answer) if answer.status == 200 => return Answered::read(&answer).unwrap(),
            Ok(answer) => refusals.push(format!("{}: {}", answer.status, answer.text())),
            // A node that was killed.
            Err(_) => {}
        }
    }
    panic!("no node answers the document of {}: {refusals:?}", own.content)
}

/// The last entry in the log of whichever node has the longest.
fn last_entry(nodes: &[SocketAddr]) -> u64 {
    let last = |node: &SocketAddr| metrics::sample(*node, metrics::LAST_LOG_INDEX).unwrap() as u64;
    nodes.iter().map(last).max().unwrap()
}
