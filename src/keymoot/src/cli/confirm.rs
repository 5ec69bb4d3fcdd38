//! Asking before something changes.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use super::Failure;

/// Goes on only with a clear yes: `--yes`, or `y` on a terminal.
pub(super) fn confirm(yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::misuse("nothing was changed: there is no terminal to ask at")
            .hint("pass --yes to change it without being asked"));
    }
    eprint!("{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    match read {
        Ok(_) if is_yes(&answer) => Ok(()),
        _ => Err(Failure::because("nothing was changed")),
    }
}

/// The same for what cannot be taken back: on a terminal, the name must be typed.
pub(super) fn confirm_by_name(yes: bool, question: &str, name: &str) -> Result<(), Failure> {
    if yes || !std::io::stdin().is_terminal() {
        return confirm(yes, question);
    }
    eprint!("{question} Type its name, {name}: ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    match std::io::stdin().lock().read_line(&mut answer) {
        Ok(_) if answer.trim() == name => Ok(()),
        _ => Err(Failure::because("nothing was changed")),
    }
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        assert!(is_yes("y\n") && is_yes(" Yes "));
        assert!(!is_yes("") && !is_yes("\n") && !is_yes("yep") && !is_yes("n"));
    }
}
