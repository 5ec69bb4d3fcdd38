//! After any sequence of changes the log equals a map with the same changes.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Append { terms_ahead: u64, count: u64, bytes: usize },
    Truncate(prop::sample::Index),
    Purge(prop::sample::Index),
    PurgeBeyond(u64),
    Vote(u64),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_u64, 0..12_u64, 0..200_usize)
            .prop_map(|(terms_ahead, count, bytes)| Step::Append { terms_ahead, count, bytes }),
        2 => any::<prop::sample::Index>().prop_map(Step::Truncate),
        1 => any::<prop::sample::Index>().prop_map(Step::Purge),
        1 => (0..20_u64).prop_map(Step::PurgeBeyond),
        1 => (0..3_u64).prop_map(Step::Vote),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..40)
}

#[derive(Default)]
struct Model {
    held: BTreeMap<u64, (LogPosition, Bytes)>,
    purged: Option<LogPosition>,
    vote: Option<StoredVote>,
}

impl Model {
    fn last(&self) -> Option<LogPosition> {
        self.held.values().next_back().map(|(position, _)| *position).or(self.purged)
    }

    fn purge(&mut self, upto: LogPosition) {
        self.held.retain(|index, _| *index > upto.index);
        self.purged = self.purged.max(Some(upto));
    }

    /// Any position that can be kept: the purged one or a stored one.
    fn keepable(&self, pick: prop::sample::Index) -> Option<LogPosition> {
        let mut positions: Vec<_> = self.purged.into_iter().collect();
        positions.extend(self.held.values().map(|(position, _)| *position));
        (!positions.is_empty()).then(|| *pick.get(&positions))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_log_is_what_a_map_would_be(steps in steps()) {
        let home = tempfile::tempdir().unwrap();
        let mut log = Log::open(home.path(), SMALL).unwrap();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Append { terms_ahead, count, bytes } => {
                    let last = model.last();
                    let term = last.map_or(1, |last| last.term) + terms_ahead;
                    let first = check::next_index(last.as_ref());
                    let new: Vec<_> = (first..first + count)
                        .map(|index| (at(term, index), Bytes::from(vec![index as u8; bytes])))
                        .collect();
                    log.append(new.clone(), Box::new(|outcome| outcome.unwrap())).unwrap();
                    model.held.extend(new.into_iter().map(|entry| (entry.0.index, entry)));
                }
                Step::Truncate(pick) => {
                    let keep = model.keepable(pick);
                    log.truncate_after(keep).unwrap();
                    model.held.retain(|index, _| keep.is_some_and(|keep| *index <= keep.index));
                }
                Step::Purge(pick) => if let Some(upto) = model.keepable(pick) {
                    log.purge(upto).unwrap();
                    model.purge(upto);
                }
                Step::PurgeBeyond(indexes) => {
                    let last = model.last().unwrap_or(at(1, 0));
                    let upto = at(last.term, last.index + indexes);
                    log.purge(upto).unwrap();
                    model.purge(upto);
                }
                Step::Vote(terms) => {
                    let term = model.vote.map_or(0, |vote| vote.term) + terms;
                    vote(&log, term, terms, terms == 0).unwrap();
                    model.vote = Some(StoredVote { term, node: terms, committed: terms == 0 });
                }
                Step::Reopen => {
                    drop(log);
                    log = Log::open(home.path(), SMALL).unwrap();
                }
            }
            prop_assert_eq!(all(&log), model.held.values().cloned().collect::<Vec<_>>());
            prop_assert_eq!(log.bounds(), (model.purged, model.last()));
            prop_assert_eq!(log.read_vote(), model.vote);
        }
    }
}
