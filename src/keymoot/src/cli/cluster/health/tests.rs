//! What is found in clusters of all kinds.

use super::super::look::samples::{later, seen};
use super::*;
use keymoot_cluster::DiskStatus;

const NOW_S: i64 = 1_000_000_000;
const FULL: DiskStatus =
    DiskStatus { total_bytes: 1 << 40, free_bytes: 1 << 20, data_bytes: 0, read_only: true };

/// The health, all problems, and all cures.
fn said(seen: &Seen) -> (Health, String, String) {
    let found = assess(seen, NOW_S);
    let (problems, cures): (Vec<_>, Vec<_>) =
        found.findings.into_iter().map(|finding| (finding.problem, finding.cure)).unzip();
    (found.health, problems.join("\n"), cures.join("\n"))
}

fn change(rows: &mut [Row], id: NodeId, change: impl FnOnce(&mut NodeStatus)) {
    if let Ok(node) = &mut rows[id as usize - 1].answer {
        change(node);
    }
}

fn applied(rows: &mut [Row], id: NodeId, applied_index: u64) {
    change(rows, id, |node| node.applied_index = applied_index);
}

#[test]
fn three_voters_that_answer_are_healthy() {
    assert_eq!(said(&seen(3, |_| {})), (Health::Healthy, String::new(), String::new()));
    assert!(!assess(&seen(3, |_| {}), NOW_S).may_pass, "one look is enough");
}

#[test]
fn one_silent_voter_of_three_leaves_no_tolerance_and_two_no_quorum() {
    let gone = |row: &mut Row| row.answer = Err("gone".into());
    let (health, text, cures) = said(&seen(3, |rows| gone(&mut rows[2])));
    assert_eq!(health, Health::Degraded);
    assert!(text.contains("no further failure") && text.contains("node 3 is silent: gone"), "{text}");
    assert!(cures.contains("keymoot cluster remove 3"), "{cures}");
    let (health, text, cures) = said(&seen(3, |rows| rows[1..].iter_mut().for_each(gone)));
    assert_eq!(health, Health::Error);
    assert!(text.contains("no quorum: 1 of 3 voters answer, 2 are needed"), "{text}");
    assert!(cures.contains("keymoot cluster recover") && !cures.contains("remove"), "{cures}");
}

#[test]
fn a_cluster_without_a_leader_is_looked_at_again_and_then_in_error() {
    let nobody = seen(3, |rows| {
        for row in rows {
            if let Ok(node) = &mut row.answer {
                node.leader = None;
            }
        }
    });
    let found = assess(&nobody, NOW_S);
    assert_eq!((found.health, found.may_pass), (Health::Error, true));
}

#[test]
fn one_voter_alone_is_degraded() {
    let (health, text, _) = said(&seen(1, |_| {}));
    assert_eq!((health, text.as_str()), (Health::Degraded, "the only voter survives no failure"));
}

#[test]
fn an_empty_voter_is_told_however_little_it_lacks() {
    let empty = |rows: &mut Vec<Row>| applied(rows, 3, 0);
    let first = seen(3, |rows| {
        (1..=3).for_each(|id| change(rows, id, |node| node.last_log_index = 14));
        (1..=2).for_each(|id| applied(rows, id, 14));
        empty(rows);
    });
    assert!(assess(&first, NOW_S).may_pass);
    let (health, text, cures) = said(&later(first, empty));
    assert_eq!(health, Health::Degraded);
    assert!(text.contains("node 3 votes and has applied nothing"), "{text}");
    assert!(text.contains("2 of 3 voters can store a write: no further failure is survived"), "{text}");
    assert!(cures.contains("keymoot cluster remove 3"), "{cures}");
}

#[test]
fn whoever_stands_still_is_told_from_whoever_catches_up_and_from_whoever_is_current() {
    let first = || seen(3, |rows| applied(rows, 3, 4000));
    let stands = later(first(), |rows| {
        applied(rows, 1, 6000);
        change(rows, 1, |node| node.last_log_index = 6000);
    });
    let (health, text, _) = said(&stands);
    assert_eq!(health, Health::Degraded);
    assert!(text.contains("node 3 is stalled at entry 4000: it lacks 2000 entries"), "{text}");
    let (_, text, _) = said(&later(first(), |rows| applied(rows, 3, 4999)));
    assert_eq!(text, "node 3 is catching up: it lacks 1 entries");
    let slow = later(first(), |rows| {
        (1..=3).for_each(|id| applied(rows, id, if id == 3 { 4100 } else { 9000 }));
        change(rows, 1, |node| node.last_log_index = 9000);
    });
    assert_eq!(said(&slow).1, "node 3 falls further behind: it lacks 4900 entries");
    // What came after the first look is on its way, however much that is.
    let current = later(first(), |rows| {
        (1..=3).for_each(|id| applied(rows, id, if id == 3 { 5000 } else { 9000 }));
        change(rows, 1, |node| node.last_log_index = 9000);
    });
    assert_eq!(said(&current).0, Health::Healthy);
}

#[test]
fn an_entry_that_no_quorum_stores_is_an_error_and_one_under_way_is_not() {
    let first = || seen(3, |rows| change(rows, 1, |node| node.last_log_index = 5001));
    assert!(assess(&first(), NOW_S).may_pass);
    let (health, text, _) = said(&later(first(), |_| {}));
    assert_eq!(health, Health::Error);
    assert!(text.contains("no write can commit: node 1 leads, and its entry 5001 has waited"), "{text}");
    let committed = later(first(), |rows| (1..=3).for_each(|id| applied(rows, id, 5001)));
    assert_eq!(said(&committed).0, Health::Healthy);
    // Another leader's log is another one.
    let elected = later(first(), |rows| {
        (1..=3).for_each(|id| change(rows, id, |node| (node.leader, node.term) = (Some(2), 4)));
    });
    assert_eq!(said(&elected).0, Health::Healthy);
}

#[test]
fn without_a_quorum_that_has_room_no_write_can_commit() {
    let full = |ids: &[NodeId]| {
        seen(3, |rows| ids.iter().for_each(|id| change(rows, *id, |node| node.disk = Some(FULL))))
    };
    assert_eq!(said(&full(&[3])).0, Health::Degraded);
    let (health, text, cures) = said(&full(&[2, 3]));
    assert_eq!(health, Health::Error);
    assert!(text.contains("no write can commit: 1 of 3 voters can store one, 2 are needed"), "{text}");
    assert!(cures.contains("docs/disks.md"), "{cures}");
    let leads = full(&[1]);
    let (health, text, cures) = said(&leads);
    assert_eq!((health, assess(&leads, NOW_S).may_pass), (Health::Error, true));
    assert!(text.contains("node 1 leads, and its disk is nearly full"), "{text}");
    assert!(cures.contains("keymoot cluster transfer-leader 2"), "{cures}");
    let (health, _, cures) = said(&full(&[1, 2, 3]));
    assert_eq!(health, Health::Error);
    assert!(!cures.contains("transfer-leader"), "{cures}");
}

#[test]
fn voters_that_the_leader_does_not_hear_are_no_quorum_though_they_answer() {
    let unheard = |ids: &[usize]| {
        seen(3, |rows| {
            for id in ids {
                rows[*id - 1].by_leader.as_mut().unwrap().last_contact_ms = Some(9000);
            }
        })
    };
    let (health, text, _) = said(&unheard(&[3]));
    assert_eq!(health, Health::Degraded);
    assert!(text.contains("the leader, node 1, has not heard of it for 9 s"), "{text}");
    let (health, text, _) = said(&unheard(&[2, 3]));
    assert_eq!(health, Health::Error);
    assert!(text.contains("no write can commit: 1 of 3"), "{text}");
}

#[test]
fn a_refused_node_is_told_with_the_cure_of_its_reason() {
    let (health, text, cures) = said(&seen(3, |rows| {
        change(rows, 1, |node| {
            node.refusals = [(3, "its data directory is another; replace it".into())].into()
        });
        change(rows, 2, |node| node.refusals = [(3, "it said nothing".into())].into());
        rows[2].answer = Err("gone".into());
    }));
    assert_eq!(health, Health::Degraded);
    assert!(text.contains("node 1 refuses node 3: its data directory is another\n"), "{text}");
    assert_eq!(cures.matches("replace it").count(), 2, "{cures}");
    assert!(cures.contains("see the log of node 2") && !cures.contains("start it"), "{cures}");
}

#[test]
fn a_node_of_another_fence_is_told() {
    let (health, text, cures) = said(&seen(3, |rows| {
        change(rows, 3, |node| node.refusals = fenced_off(0, 7).map(|text| (1, text)).into_iter().collect());
        (1..=2).for_each(|id| change(rows, id, |node| node.fence = 7));
    }));
    assert_eq!(health, Health::Degraded);
    let of_the_fence = fenced_off(0, 7).unwrap().replace("this node", "node 3");
    let (reason, cure) = of_the_fence.split_once("; ").unwrap();
    assert!(text.contains(&format!("node 3 refuses node 1: {reason}")), "{text}");
    assert!(cures.contains(cure), "{cures}");
}

#[test]
fn certificate_and_disk_are_told() {
    let (health, text, _) = said(&seen(3, |rows| {
        change(rows, 1, |node| node.disk = Some(DiskStatus { read_only: false, ..FULL }));
        change(rows, 2, |node| node.certificate_expires_at_s = Some(NOW_S));
    }));
    assert_eq!(health, Health::Degraded);
    for part in ["disk of node 1 has 1 MiB left", "certificate of node 2 has expired"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn states_that_differ_are_told_and_without_a_majority_nothing_is_written() {
    let differs = |text: &str| {
        let text = text.to_owned();
        said(&seen(3, |rows| change(rows, 1, |node| node.refusals = [(3, text)].into())))
    };
    let (health, text, cures) = differs("its state is not that of the majority; remove it");
    assert_eq!(health, Health::Degraded);
    assert!(text.contains("node 3: its state is not that") && cures.contains("remove it"), "{text}: {cures}");
    let (health, text, cures) = differs(&format!("the states differ and {UNDECIDED}: they do; remove one"));
    assert_eq!(health, Health::Error);
    assert!(
        text.starts_with("no write can commit: the states differ") && cures == "remove one",
        "{text}: {cures}"
    );
}

#[test]
fn what_a_node_knows_to_be_amiss_with_itself_is_told_with_its_cure() {
    let (health, text, cures) = said(&seen(3, |rows| {
        rows[2].complaints =
            vec!["node 1 wraps under master key mk2, which this node lacks; copy the file".into()];
    }));
    assert_eq!(health, Health::Degraded);
    assert_eq!(text, "node 3: node 1 wraps under master key mk2, which node 3 lacks");
    assert_eq!(cures, "copy the file");
}

#[test]
fn the_asked_node_is_not_silent_where_it_answers_though_the_members_know_it_elsewhere() {
    let moved = |others: &str| {
        seen(3, |rows| {
            rows[0].member.peer_address = "before:1".into();
            if others == "silent" {
                rows[1..].iter_mut().for_each(|row| row.answer = Err("cannot reach it".into()));
                change(rows, 1, |node| node.leader = None);
            }
        })
    };
    let (health, text, cures) = said(&moved("up"));
    assert_eq!(
        (health, text.as_str()),
        (Health::Degraded, "node 1 is reached at h:1, and the members know it at before:1")
    );
    assert!(cures.contains("tells the cluster by itself"), "{cures}");
    let (health, text, cures) = said(&moved("silent"));
    assert_eq!(health, Health::Error);
    assert!(text.contains("node 1 is reached at h:1") && !text.contains("node 1 is silent"), "{text}");
    assert!(!cures.contains("cluster remove") && cures.contains("docs/cluster.md"), "{cures}");
}

#[test]
fn a_cure_that_takes_a_quorum_comes_after_the_quorum() {
    let (health, _, cures) = said(&seen(3, |rows| {
        change(rows, 1, |node| {
            node.refusals =
                [(3, "it lost its data; run keymoot cluster remove 3 at another node".into())].into();
            node.leader = None;
        });
        rows[1..].iter_mut().for_each(|row| row.answer = Err("gone".into()));
    }));
    assert_eq!(health, Health::Error);
    for cure in cures.lines().filter(|cure| cure.contains("cluster remove")) {
        assert!(cure.starts_with("bring back a quorum first"), "{cure}");
    }
    assert!(cures.contains("keymoot cluster recover"), "{cures}");
}
