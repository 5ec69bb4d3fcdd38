//! `log.level`: from which level on each part of the program is logged.
//!
//! A level (`info`), or a list of levels and of `target=level`, such as `info,openraft=warn`. The longest
//! target that an event's own begins with decides; a target alone stands for everything from it. Spans
//! and fields, which other programs filter by, are refused: nothing here has any that would be worth it.

use tracing_subscriber::filter::{LevelFilter, Targets};

use super::Log;

/// What the crate `keymoot` itself holds.
const OWN_MODULES: [&str; 5] = ["cli", "config", "log_limit", "logging", "panics"];

/// Why a level cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogLevelError {
    /// Nothing is there.
    #[error("it is empty")]
    Empty,
    /// What stands for a level is none.
    #[error("`{level}` in `{part}` is no level")]
    Level {
        /// The part of the list.
        part: String,
        /// What stands in the place of the level.
        level: String,
    },
    /// What stands for a target cannot be one.
    #[error("`{part}` names no target")]
    Target {
        /// The part of the list.
        part: String,
    },
}

impl Log {
    /// What is logged.
    ///
    /// # Errors
    /// [`LogLevelError`] names the part of the list that cannot be read.
    pub fn targets(&self) -> Result<Targets, LogLevelError> {
        let parts: Vec<&str> = self.level.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            return Err(LogLevelError::Empty);
        }
        parts.into_iter().try_fold(Targets::new(), add)
    }
}

fn add(targets: Targets, part: &str) -> Result<Targets, LogLevelError> {
    let Some((target, level)) = part.split_once('=') else {
        return match part.parse::<LevelFilter>() {
            Ok(level) => Ok(targets.with_default(level)),
            Err(_) => Ok(targets.with_target(named_today(checked(part, part)?), LevelFilter::TRACE)),
        };
    };
    let unknown = || LogLevelError::Level { part: part.to_owned(), level: level.to_owned() };
    // The library takes nothing for `error`.
    let level = if level.is_empty() { None } else { level.parse::<LevelFilter>().ok() };
    Ok(targets.with_target(named_today(checked(target, part)?), level.ok_or_else(unknown)?))
}

/// The target's name today: what was `keymoot::store` while all was one crate is `keymoot_store`. What a
/// configuration says by the name of before still counts.
fn named_today(target: &str) -> String {
    match target.strip_prefix("keymoot::") {
        Some(rest) if !OWN_MODULES.contains(&rest.split("::").next().unwrap_or_default()) => {
            format!("keymoot_{rest}")
        }
        _ => target.to_owned(),
    }
}

/// The target, unless it has signs that no path of a module has.
fn checked<'t>(target: &'t str, part: &str) -> Result<&'t str, LogLevelError> {
    let is_target = !target.is_empty() && target.chars().all(|c| c.is_alphanumeric() || "_-:.".contains(c));
    if is_target { Ok(target) } else { Err(LogLevelError::Target { part: part.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn read(level: &str) -> Result<Targets, LogLevelError> {
        Log { level: level.to_owned(), ..Log::default() }.targets()
    }

    #[test]
    fn the_longest_target_decides_and_what_none_names_has_the_level_alone() {
        let targets = read("info, openraft=warn,keymoot::store=Debug,keymoot::http=off,audit,").unwrap();
        let at = |target: &str| {
            let all = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
            all.into_iter().find(|level| targets.would_enable(target, level))
        };
        assert_eq!(at("keymoot_cluster"), Some(Level::INFO));
        assert_eq!(at("openraft_rt"), Some(Level::WARN));
        assert_eq!(at("keymoot_store::log"), Some(Level::DEBUG));
        assert_eq!(at("keymoot_http::answer"), None);
        assert_eq!(at("audit"), Some(Level::TRACE));
        assert!(!read("openraft=3").unwrap().would_enable("keymoot", &Level::ERROR));
    }

    #[test]
    fn a_crate_is_found_by_its_name_of_today_and_of_before() {
        for text in ["warn,keymoot_store=debug", "warn,keymoot::store=debug"] {
            let targets = read(text).unwrap();
            assert!(targets.would_enable("keymoot_store::log", &Level::DEBUG), "{text}");
            assert!(!targets.would_enable("keymoot_http::answer", &Level::INFO), "{text}");
        }
        assert!(read("warn,keymoot::cli=debug").unwrap().would_enable("keymoot::cli::serve", &Level::DEBUG));
    }

    #[test]
    fn the_part_that_is_wrong_is_named() {
        let level =
            |part: &str, level: &str| LogLevelError::Level { part: part.to_owned(), level: level.to_owned() };
        let target = |part: &str| LogLevelError::Target { part: part.to_owned() };
        for (text, error) in [
            ("info,openraft=loud,x=warn", level("openraft=loud", "loud")),
            ("openraft=", level("openraft=", "")),
            ("a=info=warn", level("a=info=warn", "info=warn")),
            ("info,=warn", target("=warn")),
            ("openraft[append]=debug", target("openraft[append]=debug")),
            ("info warn", target("info warn")),
            ("", LogLevelError::Empty),
            (" , ", LogLevelError::Empty),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
        let said = read("info,openraft=loud").unwrap_err().to_string();
        assert_eq!(said, "`loud` in `openraft=loud` is no level");
    }
}
