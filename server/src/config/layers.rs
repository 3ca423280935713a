//! Defaults, file, environment and flags laid over one another.

use toml::{Table, Value};

use super::Config;

/// Where a configuration comes from, besides the defaults.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// Name and text of the TOML file.
    pub file: Option<(String, String)>,
    /// All environment variables; those that do not begin with `STARLING_` are passed over.
    pub environment: Vec<(String, String)>,
    /// `section.key` and value of each flag, in order.
    pub flags: Vec<(String, String)>,
}

/// Why a configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file is no TOML, names an unknown key or gives a wrong value.
    #[error("{file}: {why}")]
    File {
        /// The file's name.
        file: String,
        /// What is wrong, with line and column.
        why: String,
    },
    /// An environment variable or a flag names an unknown key or gives a wrong value.
    #[error("{origin}: {why}")]
    Setting {
        /// The variable or the flag.
        origin: String,
        /// What is wrong.
        why: String,
    },
    /// A value that can be read but cannot work.
    #[error("{key}: {why}")]
    Refused {
        /// The key.
        key: &'static str,
        /// Why it cannot work.
        why: String,
    },
}

/// The start of the names of environment variables that belong to the configuration.
const PREFIX: &str = "STARLING_";

impl Config {
    /// Lays the layers over the defaults and checks the outcome.
    pub fn load(layers: &Layers) -> Result<Self, ConfigError> {
        let mut table = match &layers.file {
            Some((name, text)) => read_file(name, text)?,
            None => Table::new(),
        };
        let variables = layers.environment.iter().filter_map(|(name, value)| {
            let key = name.strip_prefix(PREFIX)?.to_ascii_lowercase().replace("__", ".");
            Some((name.clone(), key, value))
        });
        let flags = layers
            .flags
            .iter()
            .map(|(key, value)| (format!("--set {key}={value}"), key.clone(), value));
        for (origin, key, value) in variables.chain(flags) {
            lay(&mut table, &origin, &key, value)?;
        }
        let config: Self = Value::Table(table).try_into().map_err(|error: toml::de::Error| {
            ConfigError::Setting { origin: "configuration".to_owned(), why: error.to_string() }
        })?;
        config.check()?;
        Ok(config)
    }
}

/// Reads the file alone first, so that an error names its line and column.
fn read_file(name: &str, text: &str) -> Result<Table, ConfigError> {
    let wrong = |error: toml::de::Error| ConfigError::File {
        file: name.to_owned(),
        why: error.to_string(),
    };
    toml::from_str::<Config>(text).map_err(wrong)?;
    text.parse::<Table>().map_err(wrong)
}

/// Puts one setting into the table and checks that the table still reads as a configuration.
fn lay(table: &mut Table, origin: &str, key: &str, text: &str) -> Result<(), ConfigError> {
    let wrong = |why: String| ConfigError::Setting { origin: origin.to_owned(), why };
    for value in readings(text) {
        let mut tried = table.clone();
        put(&mut tried, key, value).map_err(&wrong)?;
        if Value::Table(tried.clone()).try_into::<Config>().is_ok() {
            *table = tried;
            return Ok(());
        }
    }
    let mut tried = Table::new();
    put(&mut tried, key, Value::String(text.to_owned())).map_err(&wrong)?;
    match Value::Table(tried).try_into::<Config>() {
        Ok(_) => Err(wrong(format!("{text:?} does not fit {key}"))),
        Err(error) => Err(wrong(error.message().to_owned())),
    }
}

/// What a setting's text may mean: TOML as it stands, a string, or a list of strings.
fn readings(text: &str) -> Vec<Value> {
    let toml = format!("value = {text}").parse::<Table>().ok();
    let value = toml.and_then(|mut table| table.remove("value"));
    let list = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let list = list.map(|item| Value::String(item.to_owned())).collect();
    value.into_iter().chain([Value::String(text.to_owned()), Value::Array(list)]).collect()
}

fn put(table: &mut Table, key: &str, value: Value) -> Result<(), String> {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
            Ok(())
        }
        Some((section, rest)) => {
            let entry = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            let inner = entry.as_table_mut().ok_or_else(|| format!("{section} is no section"))?;
            put(inner, rest, value)
        }
    }
}
