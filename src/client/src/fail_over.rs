//! Selects the service point for a request: the policy, without clock, network or thread.
//!
//! Requests go to the current point. When it fails, the next healthy one in the order of preference
//! becomes current at once, and stays current. A failed point gets no requests until probes have
//! found it healthy for the settling time without a break. Then, if it is preferred, it is current
//! again. Only when no point is healthy are the others tried: those that are settling before those
//! that failed, and of the failed ones the one that failed longest ago first.

use std::time::Duration;

use super::backoff::pause;
use super::settings::ClientSettings;

/// The health of a service point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointState {
    /// It answers, or was never used.
    Healthy,
    /// It failed and is probed now and then.
    Failed,
    /// It failed and is healthy again, but not for long enough yet.
    Settling,
}

/// A point that failed.
#[derive(Clone, Copy, Debug)]
struct Down {
    failed_at: Duration,
    /// Failures in a row, probes included.
    failures: u32,
    look_at: Duration,
    healthy_since: Option<Duration>,
}

/// The state of all points, and which one is current.
#[derive(Debug)]
pub(super) struct FailOver {
    points: Vec<Option<Down>>,
    current: usize,
    probe_first: Duration,
    probe_max: Duration,
    settle: Duration,
}

impl FailOver {
    /// `points` points, all assumed to be healthy; the first is current.
    pub(super) fn new(points: usize, settings: &ClientSettings) -> Self {
        Self {
            points: vec![None; points],
            current: 0,
            probe_first: settings.probe_first,
            probe_max: settings.probe_max,
            settle: settings.settle,
        }
    }

    /// The points in the order in which a request tries them, each once.
    pub(super) fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.points.len()).collect();
        order.sort_by_key(|at| match self.down(*at) {
            None => (0, Duration::ZERO, *at != self.current, *at),
            Some(down) if down.healthy_since.is_some() => (1, down.failed_at, false, *at),
            Some(down) => (2, down.failed_at, false, *at),
        });
        order
    }

    /// The index of the point that is tried first.
    pub(super) fn current(&self) -> usize {
        self.current
    }

    /// The health of a point.
    pub(super) fn state(&self, at: usize) -> PointState {
        match self.down(at) {
            None => PointState::Healthy,
            Some(Down { healthy_since: Some(_), .. }) => PointState::Settling,
            Some(_) => PointState::Failed,
        }
    }

    /// Whether every point has failed and none is known to be healthy again.
    pub(super) fn all_failed(&self) -> bool {
        (0..self.points.len()).all(|at| self.state(at) == PointState::Failed)
    }

    /// Records that this point answered a request.
    pub(super) fn succeeded(&mut self, at: usize) {
        if let Some(point) = self.points.get_mut(at) {
            *point = None;
            self.current = at;
        }
    }

    /// Records that a request failed at this point. Returns whether that changed the current point.
    pub(super) fn failed(&mut self, at: usize, now: Duration, chance: f64) -> bool {
        self.mark_failed(at, now, chance);
        let healthy = (0..self.points.len()).find(|other| self.down(*other).is_none());
        match healthy {
            Some(next) if at == self.current => {
                self.current = next;
                true
            }
            _ => false,
        }
    }

    /// The points that are due for a probe.
    pub(super) fn due(&self, now: Duration) -> Vec<usize> {
        let due = |at: &usize| self.down(*at).is_some_and(|down| down.look_at <= now);
        (0..self.points.len()).filter(due).collect()
    }

    /// Records that a probe found the point healthy. Returns whether it is current again.
    pub(super) fn looked_healthy(&mut self, at: usize, now: Duration) -> bool {
        let (settle, probe_first) = (self.settle, self.probe_first);
        let Some(Some(down)) = self.points.get_mut(at) else { return false };
        let since = *down.healthy_since.get_or_insert(now);
        down.failures = 0;
        down.look_at = now.saturating_add(probe_first);
        if now.saturating_sub(since) < settle {
            return false;
        }
        if let Some(point) = self.points.get_mut(at) {
            *point = None;
        }
        let back = at < self.current || self.down(self.current).is_some();
        if back {
            self.current = at;
        }
        back
    }

    /// Records that a probe failed.
    pub(super) fn looked_failed(&mut self, at: usize, now: Duration, chance: f64) {
        if self.down(at).is_some() {
            self.mark_failed(at, now, chance);
        }
    }

    fn mark_failed(&mut self, at: usize, now: Duration, chance: f64) {
        let failures = self.down(at).map_or(0, |down| down.failures);
        let look_at = now.saturating_add(pause(self.probe_first, self.probe_max, failures, chance));
        let failures = failures.saturating_add(1);
        if let Some(point) = self.points.get_mut(at) {
            *point = Some(Down { failed_at: now, failures, look_at, healthy_since: None });
        }
    }

    fn down(&self, at: usize) -> Option<Down> {
        self.points.get(at).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn three() -> FailOver {
        FailOver::new(3, &ClientSettings::default())
    }

    #[test]
    fn the_second_point_takes_over_at_once_and_stays() {
        let mut points = three();
        assert_eq!(points.order(), [0, 1, 2]);
        assert!(points.failed(0, secs(1), 0.0));
        assert_eq!(points.order(), [1, 2, 0]);
        points.succeeded(1);
        assert_eq!(points.order(), [1, 2, 0], "an answer of the second brings nobody back");
    }

    #[test]
    fn the_primary_comes_back_only_after_it_was_healthy_for_a_while_without_a_break() {
        let mut points = three();
        points.failed(0, secs(0), 0.0);
        assert!(points.due(Duration::from_millis(499)).is_empty());
        assert_eq!(points.due(secs(1)), [0]);
        assert!(!points.looked_healthy(0, secs(10)));
        assert_eq!(points.state(0), PointState::Settling);
        assert!(!points.looked_healthy(0, secs(39)));
        points.looked_failed(0, secs(39), 0.0);
        assert_eq!((points.state(0), points.current()), (PointState::Failed, 1));
        assert!(!points.looked_healthy(0, secs(41)), "the break began the wait anew");
        assert!(!points.looked_healthy(0, secs(70)));
        assert!(points.looked_healthy(0, secs(71)));
        assert_eq!((points.state(0), points.current()), (PointState::Healthy, 0));
    }

    #[test]
    fn a_less_preferred_point_that_recovers_takes_nothing_over() {
        let mut points = three();
        points.failed(2, secs(0), 0.0);
        points.looked_healthy(2, secs(1));
        assert!(!points.looked_healthy(2, secs(60)));
        assert_eq!((points.state(2), points.current()), (PointState::Healthy, 0));
    }

    #[test]
    fn when_all_fail_the_one_that_failed_longest_ago_is_asked_first_and_an_answer_ends_it() {
        let mut points = three();
        points.failed(0, secs(1), 0.0);
        points.failed(1, secs(2), 0.0);
        assert!(!points.all_failed());
        points.failed(2, secs(3), 0.0);
        assert_eq!(points.order(), [0, 1, 2]);
        points.failed(0, secs(3), 0.0);
        points.failed(0, secs(4), 0.0);
        assert_eq!(points.order(), [1, 2, 0]);
        assert!(points.all_failed());
        points.looked_healthy(0, secs(9));
        assert_eq!(points.order(), [0, 1, 2], "the one that is settling is the best there is");
        assert!(!points.all_failed());
        points.succeeded(2);
        assert_eq!((points.current(), points.state(2)), (2, PointState::Healthy));
    }

    #[test]
    fn looks_grow_rare_while_a_point_stays_dead() {
        let mut points = FailOver::new(1, &ClientSettings::default());
        points.failed(0, secs(0), 1.0);
        let mut gaps = Vec::new();
        let mut now = secs(0);
        for _ in 0..6 {
            let next = (0..100).map(|step| now + secs(step)).find(|at| !points.due(*at).is_empty()).unwrap();
            gaps.push((next - now).as_secs());
            now = next;
            points.looked_failed(0, now, 1.0);
        }
        assert_eq!(gaps, [1, 2, 4, 8, 15, 15]);
    }

    proptest! {
        #[test]
        fn every_request_tries_every_point_once_and_healthy_ones_first(
            steps in prop::collection::vec((0_usize..4, 0_u8..4, 0_u64..40), 0..60),
        ) {
            let mut points = FailOver::new(4, &ClientSettings::default());
            let mut now = secs(0);
            for (at, what, step) in steps {
                now += secs(step);
                match what {
                    0 => points.succeeded(at),
                    1 => { points.failed(at, now, 0.5); }
                    2 => { points.looked_healthy(at, now); }
                    _ => points.looked_failed(at, now, 0.5),
                }
                let order = points.order();
                let mut sorted = order.clone();
                sorted.sort_unstable();
                prop_assert_eq!(sorted, [0, 1, 2, 3]);
                let healthy: Vec<bool> =
                    order.iter().map(|at| points.state(*at) == PointState::Healthy).collect();
                prop_assert!(healthy.windows(2).all(|pair| pair[0] || !pair[1]), "{:?}", healthy);
                if healthy[0] {
                    prop_assert_eq!(points.state(points.current()), PointState::Healthy);
                    prop_assert_eq!(order[0], points.current());
                }
            }
        }
    }
}
