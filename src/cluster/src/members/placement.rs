//! Advice about the placement of voters. It forbids nothing.

use std::collections::{BTreeMap, BTreeSet};

/// How many voters may fail while the others still are a majority.
pub const fn failures_survived(voters: usize) -> usize {
    voters.saturating_sub(1) / 2
}

/// Advice about voters in these zones; an empty zone means that none is configured.
pub fn advice<'z>(zones: impl IntoIterator<Item = &'z str>) -> Vec<String> {
    let zones: Vec<&str> = zones.into_iter().collect();
    let voters = zones.len();
    let mut said = Vec::new();
    if voters > 0 && voters.is_multiple_of(2) {
        said.push(format!(
            "{voters} voters, an even number, survive no more failures than {} would ({}): add one, or demote one \
             to a learner",
            voters - 1,
            failures_survived(voters)
        ));
    }
    let named: BTreeSet<&str> = zones.iter().copied().filter(|zone| !zone.is_empty()).collect();
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for zone in zones.iter().filter(|zone| !zone.is_empty()) {
        *count.entry(zone).or_default() += 1;
    }
    let heaviest = count.into_iter().max_by_key(|(_, voters)| *voters);
    match heaviest {
        Some((zone, held)) if named.len() == 1 && held == voters && voters >= 3 => said.push(format!(
            "all {voters} voters are in zone {zone}: when it is lost, nothing is written and no key is made"
        )),
        Some((zone, held)) if named.len() > 1 && held * 2 > voters => said.push(format!(
            "zone {zone} holds {held} of {voters} voters: when it is lost, the others are no majority; \
             spread the voters over three zones, none with a majority"
        )),
        _ => {}
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_survives_the_loss_of_the_rest() {
        let survived: Vec<usize> = (0..=7).map(failures_survived).collect();
        assert_eq!(survived, [0, 0, 0, 1, 1, 2, 2, 3]);
    }

    #[test]
    fn an_odd_number_over_three_zones_is_as_it_should_be() {
        for zones in [&["a", "b", "c"][..], &["a", "a", "b", "b", "c"], &["", "", ""], &["a"], &["", "", "b"]]
        {
            assert_eq!(advice(zones.iter().copied()), Vec::<String>::new(), "{zones:?}");
        }
    }

    #[test]
    fn an_even_number_a_heavy_zone_and_a_single_zone_are_told() {
        let said = |zones: &[&str]| advice(zones.iter().copied()).join("\n");
        assert!(
            said(&["", ""])
                .starts_with("2 voters, an even number, survive no more failures than 1 would (0)")
        );
        assert!(said(&["a", "b", "c", "d"]).starts_with("4 voters"));
        assert!(said(&["a", "a", "b"]).starts_with("zone a holds 2 of 3 voters"));
        assert!(said(&["a", "a", "a"]).starts_with("all 3 voters are in zone a"));
        let both = said(&["a", "a", "a", "b"]);
        assert!(both.contains("4 voters") && both.contains("zone a holds 3 of 4"), "{both}");
    }
}
