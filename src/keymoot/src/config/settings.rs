//! From sources to values: defaults, file, environment; each value remembers its source.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use keymoot_cluster::settings::NetworkProfile;
use keymoot_crypto::secret_file::beside;
use keymoot_crypto::toml_file;

use super::{Config, ConfigError, Problem};

pub use keymoot_command::ENV_PREFIX;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The file, at a line counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// An environment variable of this name.
    Environment(String),
    /// The network profile, because nobody chose a value.
    Profile(NetworkProfile),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Profile(profile) => write!(f, "cluster.profile {}", profile.name()),
        }
    }
}

/// One value with its source.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The key, with its section: `http.listen`.
    pub key: String,
    /// The value in effect. Paths are as the program uses them.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

/// A checked configuration and where each of its values came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    origins: BTreeMap<String, Origin>,
}

impl Loaded {
    /// Reads defaults, `file` and this process's environment.
    ///
    /// # Errors
    /// [`ConfigError`], naming file or variable and key; nothing else has happened then.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        Self::from_sources(file, std::env::vars_os())
    }

    /// As [`Loaded::load`], with the environment given.
    ///
    /// # Errors
    /// [`ConfigError`], naming file or variable and key.
    pub fn from_sources(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::new();
        if let Some(path) = file {
            layers.add_file(path)?;
        }
        layers.add_environment(environment)?;
        let loaded = layers.finish()?;
        let problems: Vec<Problem> = super::validate::problems(&loaded.config)
            .into_iter()
            .map(|(key, problem)| Problem { origin: loaded.origin_of(key), key: key.to_owned(), problem })
            .collect();
        if problems.is_empty() { Ok(loaded) } else { Err(ConfigError::Invalid(problems)) }
    }

    /// Every value in effect with its source, in the order of the shipped file.
    pub fn settings(&self) -> Vec<Setting> {
        keys_of(&table_of(&self.config))
            .map(|(key, value)| Setting { origin: self.origin_of(&key), key, value })
            .collect()
    }

    fn origin_of(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }
}

/// The values gathered so far. Every value was tried on its own, so that an error names its key.
struct Layers {
    defaults: Table,
    values: Table,
    origins: BTreeMap<String, Origin>,
    problems: Vec<Problem>,
}

impl Layers {
    fn new() -> Self {
        let defaults = table_of(&Config::default());
        Self { values: defaults.clone(), defaults, origins: BTreeMap::new(), problems: Vec::new() }
    }

    fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = toml_file::text(path, "configuration")?;
        let syntax = |error| toml_file::syntax(path, &text, &error);
        let values: Table = toml::from_str(&text).map_err(syntax)?;
        let spans = toml::de::DeTable::parse(&text).map_err(syntax)?;
        for (section, content) in spans.get_ref() {
            let at = |start| Origin::File { path: path.to_owned(), line: toml_file::line_at(&text, start) };
            let Some(keys) = content.get_ref().as_table() else {
                return Err(self.unknown(at(section.span().start), section.get_ref().to_string()));
            };
            if !self.defaults.contains_key(section.get_ref().as_ref()) {
                return Err(self.unknown(at(section.span().start), section.get_ref().to_string()));
            }
            for key in keys.keys() {
                let origin = at(key.span().start);
                let value = values
                    .get(section.get_ref().as_ref())
                    .and_then(|table| table.get(key.get_ref().as_ref()));
                let name = format!("{}.{}", section.get_ref(), key.get_ref());
                match value {
                    Some(value) => self.set(&name, value.clone(), origin)?,
                    None => return Err(self.unknown(origin, name)),
                }
            }
        }
        Ok(())
    }

    fn add_environment(
        &mut self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(), ConfigError> {
        for (variable, text) in environment {
            let variable = variable.to_string_lossy().into_owned();
            let Some(name) = variable.strip_prefix(ENV_PREFIX) else { continue };
            let origin = Origin::Environment(variable.clone());
            let key = name.to_ascii_lowercase().replacen("__", ".", 1);
            let text = text.into_string().map_err(|_| ConfigError::NotText { variable: variable.clone() })?;
            let Some(default) = lookup(&self.defaults, &key) else {
                return Err(self.unknown(origin, key));
            };
            let value = value_of(default, text);
            self.set(&key, value, origin)?;
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), ConfigError> {
        if lookup(&self.defaults, key).is_none() {
            return Err(self.unknown(origin, key.to_owned()));
        }
        // The defaults with this one value changed fail only for a fault of this value.
        let mut trial = self.defaults.clone();
        replace(&mut trial, key, value.clone());
        match trial.try_into::<Config>() {
            Ok(_) => {
                replace(&mut self.values, key, value);
                self.origins.insert(key.to_owned(), origin);
            }
            Err(error) => self.problems.push(Problem {
                origin,
                key: key.to_owned(),
                problem: error.message().to_owned(),
            }),
        }
        Ok(())
    }

    fn finish(self) -> Result<Loaded, ConfigError> {
        if !self.problems.is_empty() {
            return Err(ConfigError::Invalid(self.problems));
        }
        let mut origins = self.origins;
        let mut config: Config = self.values.try_into().map_err(|error| {
            let problem = toml::de::Error::message(&error).to_owned();
            ConfigError::Invalid(vec![Problem {
                origin: Origin::Default,
                key: "configuration".to_owned(),
                problem,
            }])
        })?;
        for key in config.cluster.apply_profile() {
            origins.insert(key.to_owned(), Origin::Profile(config.cluster.profile));
        }
        for (key, path) in config.paths_mut() {
            if let Some(Origin::File { path: file, .. }) = origins.get(key) {
                *path = beside(file, path);
            }
        }
        Ok(Loaded { config, origins })
    }

    fn unknown(&self, origin: Origin, key: String) -> ConfigError {
        let near = self.suggestion(&key);
        ConfigError::UnknownKey { origin, near, key }
    }

    /// What was meant by a key that does not exist. The same key in another section is the
    /// likeliest mistake, then a misspelt section, then a misspelt key.
    fn suggestion(&self, key: &str) -> Option<String> {
        let (section, own) = key.split_once('.').unwrap_or((key, ""));
        let keys: Vec<String> = keys_of(&self.defaults).map(|(name, _)| name).collect();
        let moved = keys.iter().find(|name| name.split_once('.').is_some_and(|(_, last)| last == own));
        if let Some(moved) = moved {
            return Some(moved.clone());
        }
        match self.defaults.get(section).and_then(Value::as_table) {
            Some(table) => nearest(own, table.keys()).map(|near| format!("{section}.{near}")),
            None => nearest(section, self.defaults.keys()).cloned(),
        }
    }
}

/// The name that resembles `text` most, if one does at all.
fn nearest<'n>(text: &str, names: impl Iterator<Item = &'n String>) -> Option<&'n String> {
    let likeness = |name: &String| strsim::jaro_winkler(name, text);
    names.max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|name| likeness(name) > 0.8)
}

/// Reads the text of a variable as the kind of value that the key holds. A text of another kind
/// stays a text, and is refused with the key's name when it is tried.
fn value_of(default: &Value, text: String) -> Value {
    match default {
        Value::Integer(_) => text.parse().map(Value::Integer).unwrap_or(Value::String(text)),
        Value::Boolean(_) => text.parse().map(Value::Boolean).unwrap_or(Value::String(text)),
        Value::Array(_) => Value::Array(items(&text)),
        _ => Value::String(text),
    }
}

/// A list as TOML has it, or its items with commas between them.
fn items(text: &str) -> Vec<Value> {
    let as_toml = || toml::from_str::<Table>(&format!("items = {text}")).ok()?.remove("items");
    if text.trim_start().starts_with('[')
        && let Some(Value::Array(items)) = as_toml()
    {
        return items;
    }
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(Value::from).collect()
}

fn lookup<'t>(table: &'t Table, key: &str) -> Option<&'t Value> {
    let (section, key) = key.split_once('.')?;
    table.get(section)?.get(key)
}

fn replace(table: &mut Table, key: &str, value: Value) {
    if let Some((section, key)) = key.split_once('.')
        && let Some(Value::Table(section)) = table.get_mut(section)
    {
        section.insert(key.to_owned(), value);
    }
}

fn keys_of(table: &Table) -> impl Iterator<Item = (String, Value)> + '_ {
    table.iter().filter_map(|(section, content)| Some((section, content.as_table()?))).flat_map(
        |(section, content)| {
            content.iter().map(move |(key, value)| (format!("{section}.{key}"), value.clone()))
        },
    )
}

#[allow(clippy::expect_used)] // Every type of the configuration has a TOML form; the tests write all of them.
fn table_of(config: &Config) -> Table {
    Table::try_from(config).expect("a configuration is representable in TOML")
}

#[cfg(test)]
mod tests;
