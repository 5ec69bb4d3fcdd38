//! Pauses that double up to a limit, each shortened at random so that clients do not retry in step.

use std::time::Duration;

/// The `n`th pause, counted from 0: between half and all of `first` doubled `n` times, never above `max`.
pub(super) fn pause(first: Duration, max: Duration, n: u32, chance: f64) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(n.min(31))).min(max);
    doubled.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_pause_is_between_half_and_all_of_its_step(n in 0_u32..80, chance in 0.0_f64..1.0) {
            let (first, max) = (Duration::from_millis(200), Duration::from_secs(5));
            let step = if n < 5 { first * 2_u32.pow(n) } else { max };
            let pause = pause(first, max, n, chance);
            prop_assert!(pause >= step / 2 && pause <= step, "{pause:?} of {step:?}");
        }
    }

    #[test]
    fn chance_moves_the_pause() {
        let at = |chance| pause(Duration::from_secs(1), Duration::from_secs(9), 1, chance);
        assert_eq!((at(0.0), at(0.5)), (Duration::from_secs(1), Duration::from_millis(1500)));
    }
}
