//! However many ask at once, wherever they ask, a new content gets one key.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cluster_tests::wait::wait_until;
use cluster_tests::{Cluster, KeyAnswer, RigError, Signer, raw, signed::WIDEVINE};

const CREATORS_PER_NODE: usize = 8;
const CONTENTS: usize = 20;

#[test]
fn creators_on_all_nodes_at_once_get_one_key_for_a_content() {
    let cluster = Cluster::start().unwrap();
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    let start = Barrier::new(CREATORS_PER_NODE * nodes.len());
    let mut all_kids = Vec::new();
    for content in 0..CONTENTS {
        let content_id = format!("contended-{content}.mp4");
        let answers = std::thread::scope(|scope| {
            let creators: Vec<_> = nodes
                .iter()
                .cycle()
                .take(CREATORS_PER_NODE * nodes.len())
                .map(|node| {
                    let (start, content_id) = (&start, &content_id);
                    scope.spawn(move || {
                        start.wait();
                        signer.create(*node, content_id).unwrap()
                    })
                })
                .collect();
            creators.into_iter().map(|creator| creator.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]), "two keys for {content_id}");
        for node in &nodes {
            assert_eq!(signer.read(*node, &content_id).unwrap(), answers[0]);
        }
        all_kids.push(answers[0].key_id.clone());
    }
    all_kids.sort();
    all_kids.dedup();
    assert_eq!(all_kids.len(), CONTENTS, "two contents share a key id");
}

/// Scramblers of the full run, a third of them at each node.
const SCRAMBLERS: usize = 100;
/// Contents that each of them asks for, in the same order.
const FULL_CONTENTS: usize = 1000;

/// What one scrambler got: a key for each content, and how often its node was gone and it asked the next.
struct Heard {
    keys: Vec<KeyAnswer>,
    turned_away: usize,
}

/// Asks for every content, at the next node whenever the one it is at is gone. No real scrambler survives an
/// error answer, so only a broken or refused connection makes it turn to the next.
fn ask_for_all(signer: &Signer, nodes: &[SocketAddr], first: usize, asked: &AtomicUsize) -> Heard {
    let (mut at, mut turned_away, mut link) = (first, 0, None);
    let keys = (0..FULL_CONTENTS).map(|content| {
        let body = signer.custom_data(&format!("premiere-{content}.mp4"), &[]);
        let request = signer.request("POST", WIDEVINE, &body);
        for _ in 0..nodes.len() {
            match ask_over(&mut link, nodes[at % nodes.len()], &request) {
                Ok(answer) => {
                    asked.fetch_add(1, Ordering::Relaxed);
                    return KeyAnswer::from_answer(&answer).unwrap();
                }
                Err(_) => (at, turned_away, link) = (at + 1, turned_away + 1, None),
            }
        }
        panic!("no node answers for content {content}");
    });
    Heard { keys: keys.collect(), turned_away }
}

fn ask_over(link: &mut Option<raw::Link>, node: SocketAddr, request: &[u8]) -> Result<raw::Answer, RigError> {
    let link = match link {
        Some(link) => link,
        None => link.insert(raw::Link::open(node, raw::ANSWER_WITHIN)?),
    };
    link.ask(request, raw::ANSWER_WITHIN)
}

#[test]
fn a_hundred_scramblers_get_one_key_for_each_of_a_thousand_contents_though_the_leader_dies() {
    let mut cluster = Cluster::start().unwrap();
    let (signer, nodes) = (cluster.signer().clone(), cluster.addresses());
    let leader = cluster.leader().unwrap();
    let asked = AtomicUsize::new(0);
    let heard: Vec<Heard> = std::thread::scope(|scope| {
        let (signer, nodes, asked) = (&signer, &nodes, &asked);
        let scramblers: Vec<_> = (0..SCRAMBLERS)
            .map(|first| scope.spawn(move || ask_for_all(signer, nodes, first, asked)))
            .collect();
        let half = SCRAMBLERS * FULL_CONTENTS / 2;
        wait_until("half of all answers", Duration::from_secs(240), || match asked.load(Ordering::Relaxed) {
            enough if enough >= half => Ok(()),
            so_far => Err(RigError::Answer(format!("{so_far} so far"))),
        })
        .unwrap();
        cluster.kill(leader).unwrap();
        scramblers.into_iter().map(|scrambler| scrambler.join().unwrap()).collect()
    });
    assert!(heard.iter().any(|one| one.turned_away > 0), "nobody noticed that the leader died");
    for one in &heard {
        assert!(one.keys == heard[0].keys, "two scramblers got two keys for a content");
    }
    let kids: HashSet<&str> = heard[0].keys.iter().map(|key| key.key_id.as_str()).collect();
    assert_eq!(kids.len(), FULL_CONTENTS, "two contents share a key id");
    cluster.restart(leader).unwrap();
    let back = cluster.node(leader).unwrap().api;
    for (content, key) in heard[0].keys.iter().enumerate().step_by(10) {
        assert_eq!(signer.read(back, &format!("premiere-{content}.mp4")).unwrap(), *key);
    }
}

/// Clients that replace one key at once.
const RIVALS: usize = 64;

#[test]
fn all_who_replace_the_key_of_one_content_at_once_are_answered_on_whichever_node() {
    let cluster = Cluster::start().unwrap();
    let (signer, nodes) = (cluster.signer(), cluster.addresses());
    for (round, nodes) in [&nodes[..1], &nodes[..]].into_iter().enumerate() {
        let content = format!("fought-for-{round}.mp4");
        let start = Barrier::new(RIVALS);
        let kids = std::thread::scope(|scope| {
            let rivals: Vec<_> = (0..RIVALS)
                .map(|rival| {
                    let (start, content, node) = (&start, &content, nodes[rival % nodes.len()]);
                    let own: [u8; 16] =
                        std::array::from_fn(|at| if at == 0 { round as u8 + 1 } else { rival as u8 });
                    scope.spawn(move || {
                        start.wait();
                        signer.supply(node, content, &own, &own).unwrap().key_id
                    })
                })
                .collect();
            rivals.into_iter().map(|rival| rival.join().unwrap()).collect::<HashSet<_>>()
        });
        assert_eq!(kids.len(), RIVALS, "each got the key that it brought");
        let last = signer.read(nodes[0], &content).unwrap();
        assert!(kids.contains(&last.key_id));
        for node in nodes {
            assert_eq!(signer.read(*node, &content).unwrap(), last);
        }
    }
}
