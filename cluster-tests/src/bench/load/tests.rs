//! A load that stalls, and clients that cannot connect.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

/// Answers at once, but the tenth request after a tenth of a second.
struct Stalling(AtomicU64);

impl Load for Stalling {
    type Connection = ();

    async fn connect(&self, _: usize) -> Result<(), RigError> {
        Ok(())
    }

    async fn ask(&self, (): &mut (), _: usize, _: u64) -> Result<Option<String>, RigError> {
        if self.0.fetch_add(1, Ordering::Relaxed) == 9 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(None)
    }
}

#[test]
fn in_an_open_loop_a_stall_counts_for_all_who_would_have_come() {
    let measured = Duration::from_millis(300);
    let open = Plan { clients: 1, rate_per_s: Some(200.0), warm_up: Duration::ZERO, measured };
    let outcome = run(&open, &Arc::new(Stalling(0.into())), || ()).unwrap();
    assert_eq!(outcome.latencies.count(), 60, "one each 5 ms");
    assert!(outcome.latencies.percentile_ms(80.0) > 20.0, "about twenty were due during the stall");
    assert!(outcome.latencies.percentile_ms(50.0) < 5.0, "the others were not");
    let turns: Vec<u128> = (0..4)
        .map(|turn| Plan { clients: 2, ..open }.due_after(turn % 2, turn as u64 / 2).unwrap().as_millis())
        .collect();
    assert_eq!(turns, [0, 5, 10, 15]);
}

/// Connects only the first client.
struct Full;

impl Load for Full {
    type Connection = ();

    async fn connect(&self, client: usize) -> Result<(), RigError> {
        if client == 0 { Ok(()) } else { Err(RigError::Answer("full".to_owned())) }
    }

    async fn ask(&self, (): &mut (), _: usize, _: u64) -> Result<Option<String>, RigError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(None)
    }
}

#[test]
fn a_client_that_cannot_connect_ends_the_run_of_all() {
    let measured = Duration::from_millis(20);
    let plan = Plan { clients: 8, rate_per_s: None, warm_up: Duration::ZERO, measured };
    assert!(run(&plan, &Arc::new(Full), || ()).is_err());
}
