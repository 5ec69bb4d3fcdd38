//! However many ask at once, wherever they ask, a new content gets one key.

use std::sync::Barrier;

use cluster_tests::Cluster;

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
