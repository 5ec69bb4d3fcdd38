//! How much an event weighs for whoever watches.

use keymoot_audit::{Action, Event, Outcome};

/// How much it weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    /// Everyday work.
    Informational,
    /// Changes of operators and of the cluster.
    Low,
    /// What was refused or failed.
    Medium,
    /// What should not happen.
    High,
}

impl Weight {
    pub(crate) fn of(event: &Event) -> Self {
        if event.action == Action::AUDIT_COSIGN {
            return Self::High;
        }
        // The node died, whatever came of what was under way.
        if event.action == Action::AUDIT_LOST {
            return Self::Medium;
        }
        match event.outcome {
            Outcome::Refused | Outcome::Failed => Self::Medium,
            Outcome::Unknown => Self::Low,
            Outcome::Intended | Outcome::Done | Outcome::NotFound => match is_of_clients(&event.action) {
                true => Self::Informational,
                false => Self::Low,
            },
        }
    }

    /// The severity of syslog (RFC 5424, 6.2.1).
    pub(crate) const fn syslog(self) -> u8 {
        match self {
            Self::Informational => 6,
            Self::Low => 5,
            Self::Medium => 4,
            Self::High => 3,
        }
    }

    /// The severity of CEF, from 0 to 10.
    pub(crate) const fn cef(self) -> u8 {
        match self {
            Self::Informational => 1,
            Self::Low => 3,
            Self::Medium => 6,
            Self::High => 9,
        }
    }

    /// The severity of OCSF, as number and name.
    pub(crate) const fn ocsf(self) -> (u8, &'static str) {
        match self {
            Self::Informational => (1, "Informational"),
            Self::Low => (2, "Low"),
            Self::Medium => (3, "Medium"),
            Self::High => (4, "High"),
        }
    }
}

/// What packagers and players do all day.
fn is_of_clients(action: &Action) -> bool {
    const CLIENTS: [&str; 9] = [
        "key.",
        "periods.",
        "auxiliary.",
        "license.",
        "lease.",
        "rental.",
        "policy.read",
        "metrics.read",
        "request",
    ];
    CLIENTS.iter().any(|prefix| action.as_str().starts_with(prefix))
}
