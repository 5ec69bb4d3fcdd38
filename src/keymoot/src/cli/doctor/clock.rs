//! Whether something keeps this machine's clock right: signatures and certificates are judged by it.

use std::process::Command;

use super::finding::Finding;

const CHECK: &str = "clock synchronisation";

pub(super) fn check() -> Finding {
    // What the kernel was told by whatever program keeps the clock.
    let asked = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output();
    let said = asked.ok().filter(|output| output.status.success());
    judge(said.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).as_deref())
}

fn judge(said: Option<&str>) -> Finding {
    match said.map(str::trim) {
        Some("yes") => Finding::ok(CHECK, "the kernel says that the clock is kept right"),
        Some("no") => {
            let fix = "run a time service: apt install chrony, or timedatectl set-ntp true";
            Finding::warn(CHECK, "the kernel says that nothing keeps the clock right", fix)
        }
        _ => Finding::ok(CHECK, "not known: this system has no timedatectl that answers"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_clock_that_nobody_keeps_is_worth_a_warning() {
        assert_eq!(judge(Some("yes\n")).level, Level::Ok);
        let warned = judge(Some("no\n"));
        assert_eq!(warned.level, Level::Warn);
        assert!(warned.fix.unwrap().contains("chrony"));
        assert!(judge(None).saw.starts_with("not known"));
    }
}
