//! No key id names two keys or two contents, and no key has two ids.

use std::collections::BTreeMap;

use super::{UNIQUENESS, Violation};
use crate::nemesis::history::{Operation, Outcome};

/// Every key id and key that was returned for two places.
pub fn check(operations: &[Operation]) -> Vec<Violation> {
    let mut by_kid: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let mut by_key: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let mut found = Vec::new();
    for operation in operations {
        let Outcome::Key(value) = &operation.outcome else { continue };
        let (content, kid, key) = (operation.content.as_str(), value.kid.as_str(), value.key.as_str());
        let first = *by_kid.entry(kid).or_insert((content, key));
        if first != (content, key) {
            let text =
                format!("key id {kid} is of {} with key {}, and of {content} with {key}", first.0, first.1);
            found.push(Violation { checker: UNIQUENESS, text });
        }
        let first = *by_key.entry(key).or_insert((content, kid));
        if first != (content, kid) {
            let text = format!("key {key} is of {} as {}, and of {content} as {kid}", first.0, first.1);
            found.push(Violation { checker: UNIQUENESS, text });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::nemesis::history::{Action, Value};

    fn answered(content: &str, kid: &str, key: &str) -> Operation {
        Operation {
            id: 0,
            node: 0,
            content: content.into(),
            action: Action::Read,
            began: Duration::ZERO,
            ended: Duration::ZERO,
            outcome: Outcome::Key(Value { kid: kid.into(), key: key.into() }),
        }
    }

    #[test]
    fn the_same_key_of_the_same_content_may_be_seen_again() {
        assert_eq!(check(&[answered("a", "1", "k"), answered("a", "1", "k"), answered("a", "2", "l")]), []);
    }

    #[test]
    fn a_kid_of_two_contents_a_kid_of_two_keys_and_a_key_of_two_kids_are_found() {
        assert_eq!(check(&[answered("a", "1", "k"), answered("b", "1", "l")]).len(), 1);
        assert_eq!(check(&[answered("a", "1", "k"), answered("a", "1", "l")]).len(), 1);
        assert_eq!(check(&[answered("a", "1", "k"), answered("a", "2", "k")]).len(), 1);
        assert_eq!(check(&[answered("a", "1", "k"), answered("b", "2", "k")]).len(), 1);
    }
}
