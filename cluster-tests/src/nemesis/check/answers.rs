//! Checks that no valid request gets an error: the only permitted refusal is 503.

use super::{ANSWERS, Violation};
use crate::nemesis::history::{Operation, Outcome};

/// Every answer that a correct cluster never gives.
pub fn check(operations: &[Operation]) -> Vec<Violation> {
    let wrong = operations.iter().filter_map(|operation| match &operation.outcome {
        Outcome::Wrong(why) => {
            let Operation { id, node, content, action, .. } = operation;
            let text = format!("operation {id}, {action:?} of {content} at node {}: {why}", node + 1);
            Some(Violation { checker: ANSWERS, text })
        }
        _ => None,
    });
    wrong.collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::nemesis::history::Action;

    #[test]
    fn a_wrong_answer_is_found_and_an_unknown_one_is_not() {
        let operation = |id, outcome| Operation {
            id,
            node: 0,
            content: "film".into(),
            action: Action::Create,
            began: Duration::ZERO,
            ended: Duration::ZERO,
            outcome,
        };
        let history = [
            operation(0, Outcome::Unknown),
            operation(1, Outcome::Wrong("status 500".into())),
            operation(2, Outcome::Failed),
        ];
        let found = check(&history);
        assert!(found.len() == 1 && found[0].text.contains("operation 1"), "{found:?}");
    }
}
