//! The life of policies: stored, changed, attached, protected from deletion while in use.

use proptest::prelude::*;

use keymoot_model::{AccountId, ContentId, KeyPath, Policy, PolicyName};

use super::apply::{Memory, place, proposal};
use crate::*;

fn name(text: &str) -> PolicyName {
    PolicyName::new(text).unwrap()
}

fn names() -> (AccountId, ContentId) {
    let KeyPath { account, content, .. } = place(1);
    (account, content)
}

fn put(policy: &str, license_s: u32, condition: PolicyCondition) -> Command {
    let license_duration_s = std::num::NonZeroU32::new(license_s);
    let policy = Policy { license_duration_s, ..Policy::streaming(name(policy)) };
    Command::PutPolicy { account: names().0, policy: Box::new(policy), condition }
}

fn delete(policy: &str, condition: PolicyCondition) -> Command {
    Command::DeletePolicy { account: names().0, name: name(policy), condition }
}

fn attach(content: u8, policy: Option<&str>, if_absent: bool) -> Command {
    let KeyPath { account, content, .. } = place(content);
    Command::AttachPolicy { account, content, policy: policy.map(name), if_absent }
}

fn set_default(policy: Option<&str>) -> Command {
    Command::SetDefaultPolicy { account: names().0, policy: policy.map(name) }
}

/// Runs commands one by one and returns the answer to each: a policy as its version.
fn run(memory: &mut Memory, commands: impl IntoIterator<Item = Command>) -> Vec<String> {
    let answers = memory.run(&[proposal(1, commands.into_iter().collect())]).remove(0);
    let answers = answers.into_iter().map(|answer| match answer {
        Response::Policy(record) => format!("version {}", record.version),
        answer => format!("{answer:?}"),
    });
    answers.collect()
}

#[test]
fn a_change_must_know_the_version_it_changes() {
    use PolicyCondition::{Always, IfAbsent, IfPresent, IfVersion};
    let mut memory = Memory::default();
    let answers = run(
        &mut memory,
        [
            put("p", 1, IfPresent),
            put("p", 1, IfVersion(1)),
            put("p", 1, IfAbsent),
            put("p", 1, IfAbsent),
            put("p", 2, IfAbsent),
            put("p", 2, IfVersion(1)),
            put("p", 2, IfVersion(1)),
            put("p", 3, IfVersion(1)),
            put("p", 3, Always),
            delete("p", IfVersion(2)),
            delete("p", IfVersion(3)),
            delete("p", Always),
            put("p", 3, IfAbsent),
        ],
    );
    let expected = [
        "PolicyMoved { version: None }",
        "PolicyMoved { version: None }",
        "version 1",
        "version 1",
        "PolicyMoved { version: Some(1) }",
        "version 2",
        "version 2",
        "PolicyMoved { version: Some(2) }",
        "version 3",
        "PolicyMoved { version: Some(3) }",
        "Done",
        "NoPolicy",
        "version 4",
    ];
    assert_eq!(answers, expected);
}

#[test]
fn what_is_in_use_does_not_go() {
    let mut memory = Memory::default();
    let gone = || delete("p", PolicyCondition::Always);
    let answers = run(
        &mut memory,
        [
            attach(1, Some("p"), false),
            set_default(Some("p")),
            put("p", 1, PolicyCondition::Always),
            attach(1, Some("p"), false),
            attach(1, Some("p"), false),
            attach(2, Some("p"), false),
            set_default(Some("p")),
            gone(),
            attach(2, None, false),
            set_default(None),
            gone(),
            attach(1, None, false),
            gone(),
        ],
    );
    let expected = [
        "NoPolicy",
        "NoPolicy",
        "version 1",
        "Done",
        "Unchanged",
        "Done",
        "Done",
        "PolicyInUse { contents: 2, is_default: true }",
        "Done",
        "Done",
        "PolicyInUse { contents: 1, is_default: false }",
        "Done",
        "Done",
    ];
    assert_eq!(answers, expected);
}

#[test]
fn a_policy_is_attached_beside_an_older_one_only_when_that_is_meant() {
    let (account, content) = names();
    let always = PolicyCondition::Always;
    let mut memory = Memory::default();
    let commands = [
        put("p", 1, always),
        put("q", 1, always),
        attach(1, Some("p"), true),
        attach(1, Some("q"), true),
        attach(1, Some("q"), false),
    ];
    assert_eq!(run(&mut memory, commands)[2..], ["Done", "Unchanged", "Done"]);
    assert_eq!(attached_policy(&memory, &account, &content).unwrap(), Some(name("q")));
    assert_eq!(crate::policies::policy_uses(&memory, &account, &name("p")).unwrap(), 0);
    assert_eq!(crate::policies::policy_uses(&memory, &account, &name("q")).unwrap(), 1);
    let stored: Vec<_> = policies(&memory, &account).unwrap();
    assert_eq!(stored.iter().map(|record| record.policy.name.as_str()).collect::<Vec<_>>(), ["p", "q"]);
}

fn any_command() -> impl Strategy<Value = Command> {
    let policy = || prop::sample::select(vec!["p", "q", "r"]);
    let some = move || prop::option::weighted(0.7, policy());
    prop_oneof![
        (policy(), 1_u32..3).prop_map(|(policy, s)| put(policy, s, PolicyCondition::Always)),
        policy().prop_map(|policy| delete(policy, PolicyCondition::Always)),
        (1_u8..4, some(), any::<bool>())
            .prop_map(|(content, policy, if_absent)| attach(content, policy, if_absent)),
        some().prop_map(set_default),
    ]
}

proptest! {
    #[test]
    fn no_name_ever_leads_nowhere_and_the_counts_are_right(commands in prop::collection::vec(any_command(), 0..40)) {
        let mut memory = Memory::default();
        run(&mut memory, commands);
        let (account, _) = names();
        let mut uses = std::collections::BTreeMap::new();
        for content in 1..4 {
            if let Some(attached) = attached_policy(&memory, &account, &place(content).content).unwrap() {
                prop_assert!(policy(&memory, &account, &attached).unwrap().is_some());
                *uses.entry(attached).or_insert(0_u64) += 1;
            }
        }
        if let Some(default) = default_policy(&memory, &account).unwrap() {
            prop_assert!(policy(&memory, &account, &default).unwrap().is_some());
        }
        for policy in ["p", "q", "r"].map(name) {
            let counted = crate::policies::policy_uses(&memory, &account, &policy).unwrap();
            prop_assert_eq!(counted, uses.get(&policy).copied().unwrap_or_default());
        }
    }
}

#[test]
fn what_a_policy_holds_for_is_listed_by_page_each_content_once() {
    let mut memory = Memory::default();
    run(&mut memory, [put("p", 1, PolicyCondition::Always), put("q", 1, PolicyCondition::Always)]);
    run_next(
        &mut memory,
        2,
        (0..9).map(|content| attach(content, Some(["p", "q"][content as usize % 2]), false)),
    );
    run_next(&mut memory, 3, [set_default(Some("q"))]);
    let account = names().0;
    for contents_max in 1..6 {
        let (mut seen, mut after) = (Vec::new(), None);
        for _ in 0..9 {
            let page = policy_uses_page(&memory, &account, &name("p"), after.as_ref(), contents_max).unwrap();
            assert!(page.contents.len() <= contents_max && !page.is_default);
            seen.extend(page.contents.iter().map(ToString::to_string));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, ["film-0", "film-2", "film-4", "film-6", "film-8"], "pages of {contents_max}");
    }
    assert!(policy_uses_page(&memory, &account, &name("q"), None, 9).unwrap().is_default);
}

fn run_next(memory: &mut Memory, serial: u64, commands: impl IntoIterator<Item = Command>) {
    memory.run(&[proposal(serial, commands.into_iter().collect())]);
}
