//! What a check saw, how bad that is, and what mends it.

use serde::Serialize;

use keymoot_command::{Column, Table};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    /// As it should be.
    Ok,
    /// The node works, but not as well as it should, or not for long.
    Warn,
    /// The node does not start, or does not work.
    Fail,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) check: String,
    pub(super) level: Level,
    pub(super) saw: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

impl Finding {
    pub(super) fn ok(check: impl Into<String>, saw: impl Into<String>) -> Self {
        Self { check: check.into(), level: Level::Ok, saw: saw.into(), fix: None }
    }

    pub(super) fn warn(check: impl Into<String>, saw: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check: check.into(), level: Level::Warn, saw: saw.into(), fix: Some(fix.into()) }
    }

    pub(super) fn fail(check: impl Into<String>, saw: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check: check.into(), level: Level::Fail, saw: saw.into(), fix: Some(fix.into()) }
    }

    /// Fine up to `most`, and a warning above.
    pub(super) fn at_most(
        check: &str,
        found: f64,
        most: f64,
        saw: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        if found <= most { Self::ok(check, saw) } else { Self::warn(check, saw, fix) }
    }
}

/// For people: a line per check, and the fix below it.
pub(super) fn table(findings: &[Finding]) -> String {
    let mut table = Table::new([Column::Left(""); 3]);
    for Finding { check, level, saw, fix } in findings {
        table.row([level.word().to_owned(), check.clone(), saw.clone()]);
        if let Some(fix) = fix {
            table.row([String::new(), String::new(), format!("fix: {fix}")]);
        }
    }
    table.to_string()
}

/// For scripts.
pub(super) fn json_text(findings: &[Finding]) -> String {
    format!("{:#}\n", serde_json::json!({ "checks": findings }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_check_level_sight_and_fix() {
        let findings = [Finding::ok("disk", "half full"), Finding::fail("port 1", "taken", "free it")];
        assert_eq!(
            table(&findings),
            "ok    disk    half full\nfail  port 1  taken\n              fix: free it\n"
        );
        let json: serde_json::Value = serde_json::from_str(&json_text(&findings)).unwrap();
        assert_eq!(json["checks"][1]["level"], "fail");
        assert!(json["checks"][0].get("fix").is_none());
    }

    #[test]
    fn a_limit_warns_only_above() {
        assert_eq!(Finding::at_most("a", 10.0, 10.0, "", "").level, Level::Ok);
        assert_eq!(Finding::at_most("a", 10.1, 10.0, "", "").level, Level::Warn);
    }
}
