//! Every node says the same of what the server can do, before anybody is authenticated.

use cluster_tests::{Cluster, raw};

#[test]
fn every_node_announces_providers_tracks_periods_and_schemes_strongest_first() {
    let cluster = Cluster::start().unwrap();
    for node in cluster.addresses() {
        let request = raw::request("GET", "/capabilities", &[], &[]);
        let answer = raw::exchange(node, &request, raw::ANSWER_WITHIN).unwrap();
        assert_eq!(answer.status, 200);
        let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let providers = said["encryption"]["providers"].as_array().unwrap();
        let paths: Vec<&str> = providers.iter().map(|provider| provider["path"].as_str().unwrap()).collect();
        for path in ["cenc/widevine", "cenc/playready", "cenc", "playready", "widevine", "fps"] {
            assert!(paths.contains(&path), "{path} is not among {paths:?}");
        }
        assert_eq!(said["tracks"]["widevine"].as_array().unwrap().len(), 5);
        assert_eq!(said["documents"]["speke_versions"], serde_json::json!(["1.0", "2.0", "2.1"]));
        assert_eq!(said["rotation"]["crypto_periods"], true);
        let strengths: Vec<u64> = said["authentication"]
            .as_array()
            .unwrap()
            .iter()
            .map(|scheme| scheme["strength"].as_u64().unwrap())
            .collect();
        assert!(strengths.len() > 1 && strengths.is_sorted_by(|a, b| a >= b), "{strengths:?}");
    }
}
