//! What values a key may have: a rule reads a value of TOML into a typed one, writes it
//! back, and says in words what is allowed.
//!
//! Reading what a rule wrote gives the same value again; tests hold each key to it.

use super::nearest::nearest;
use super::value::{Auto, MqttListener, Speed};
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use toml::Value;

/// Which values are allowed.
pub(super) trait Rule {
    /// What they become.
    type Value;

    /// # Errors
    /// [`Wrong`], if the value is not allowed.
    fn read(&self, value: &Value) -> Result<Self::Value, Wrong>;

    /// The value in TOML.
    fn write(&self, value: &Self::Value) -> Value;

    /// What is allowed, in words that go on from "allowed is".
    fn allowed(&self) -> String;
}

/// Why a value is not allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is none of those that the rule allows.
    NotAllowed,
    /// It asks for something that does not exist yet.
    NotYet(&'static str),
    /// A table in it has a key that such a table does not have.
    UnknownKey { key: String, nearest: &'static str },
    /// The same is there twice.
    Repeated(String),
}

/// Whole numbers, with what they count.
pub(super) struct Whole<T> {
    least: T,
    most: T,
    unit: &'static str,
}

/// Whole numbers from `least` to `most`; the unit may be empty.
pub(super) fn whole<T>(least: T, most: T, unit: &'static str) -> Whole<T> {
    Whole { least, most, unit }
}

impl<T: Copy + PartialOrd + Display + TryFrom<i64> + TryInto<i64>> Rule for Whole<T> {
    type Value = T;

    fn read(&self, value: &Value) -> Result<T, Wrong> {
        let number = value.as_integer().ok_or(Wrong::NotAllowed)?;
        let number = T::try_from(number).map_err(|_| Wrong::NotAllowed)?;
        match number >= self.least && number <= self.most {
            true => Ok(number),
            false => Err(Wrong::NotAllowed),
        }
    }

    fn write(&self, value: &T) -> Value {
        Value::Integer((*value).try_into().unwrap_or(i64::MAX))
    }

    fn allowed(&self) -> String {
        let Self { least, most, unit } = self;
        match *unit {
            "" => format!("a whole number from {least} to {most}"),
            unit => format!("a whole number of {unit} from {least} to {most}"),
        }
    }
}

/// Powers of two.
pub(super) struct PowerOfTwo(Whole<usize>);

/// Bytes, a power of two from `least` to `most`.
pub(super) fn power_of_two(least: usize, most: usize) -> PowerOfTwo {
    PowerOfTwo(whole(least, most, "bytes"))
}

impl Rule for PowerOfTwo {
    type Value = usize;

    fn read(&self, value: &Value) -> Result<usize, Wrong> {
        match self.0.read(value)? {
            bytes if bytes.is_power_of_two() => Ok(bytes),
            _ => Err(Wrong::NotAllowed),
        }
    }

    fn write(&self, value: &usize) -> Value {
        self.0.write(value)
    }

    fn allowed(&self) -> String {
        format!("{}, a power of two", self.0.allowed())
    }
}

/// What another rule allows, and `"auto"`.
pub(super) struct AutoOr<R>(pub(super) R);

impl<R: Rule> Rule for AutoOr<R> {
    type Value = Auto<R::Value>;

    fn read(&self, value: &Value) -> Result<Self::Value, Wrong> {
        match value.as_str() {
            Some("auto") => Ok(Auto::Auto),
            _ => self.0.read(value).map(Auto::Set),
        }
    }

    fn write(&self, value: &Self::Value) -> Value {
        match value {
            Auto::Auto => Value::String("auto".into()),
            Auto::Set(value) => self.0.write(value),
        }
    }

    fn allowed(&self) -> String {
        format!("{}, or \"auto\"", self.0.allowed())
    }
}

/// Names that stand for values.
pub(super) struct Choice<T: 'static>(pub(super) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq> Rule for Choice<T> {
    type Value = T;

    fn read(&self, value: &Value) -> Result<T, Wrong> {
        let name = value.as_str().ok_or(Wrong::NotAllowed)?;
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value).ok_or(Wrong::NotAllowed)
    }

    fn write(&self, value: &T) -> Value {
        let found = self.0.iter().find(|(_, known)| known == value);
        Value::String(found.map_or("", |(name, _)| *name).into())
    }

    fn allowed(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|(name, _)| format!("{name:?}")).collect();
        match names.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => names.concat(),
        }
    }
}

/// `true` or `false`.
pub(super) struct Flag;

impl Rule for Flag {
    type Value = bool;

    fn read(&self, value: &Value) -> Result<bool, Wrong> {
        value.as_bool().ok_or(Wrong::NotAllowed)
    }

    fn write(&self, value: &bool) -> Value {
        Value::Boolean(*value)
    }

    fn allowed(&self) -> String {
        "true or false".into()
    }
}

/// A number of times, or `"max"`.
pub(super) struct SpeedOrMax;

impl SpeedOrMax {
    const LEAST: f64 = 0.001;
    const MOST: f64 = 1_000_000.0;
}

impl Rule for SpeedOrMax {
    type Value = Speed;

    fn read(&self, value: &Value) -> Result<Speed, Wrong> {
        #[allow(
            clippy::cast_precision_loss,
            reason = "what a float does not count exactly is out of range"
        )]
        let times = match value {
            Value::String(text) if text == "max" => return Ok(Speed::Max),
            Value::Integer(times) => *times as f64,
            Value::Float(times) => *times,
            _ => return Err(Wrong::NotAllowed),
        };
        match (Self::LEAST..=Self::MOST).contains(&times) {
            true => Ok(Speed::Times(times)),
            false => Err(Wrong::NotAllowed),
        }
    }

    fn write(&self, value: &Speed) -> Value {
        match value {
            Speed::Max => Value::String("max".into()),
            Speed::Times(times) => Value::Float(*times),
        }
    }

    fn allowed(&self) -> String {
        format!(
            "a number from {} to {}, or \"max\"",
            Self::LEAST,
            Self::MOST
        )
    }
}

/// A path, or `""` for none.
pub(super) struct PathOrNone;

impl Rule for PathOrNone {
    type Value = Option<PathBuf>;

    fn read(&self, value: &Value) -> Result<Self::Value, Wrong> {
        let path = value.as_str().ok_or(Wrong::NotAllowed)?;
        Ok((!path.is_empty()).then(|| path.into()))
    }

    fn write(&self, value: &Self::Value) -> Value {
        // A path comes from a text of TOML, and so is one.
        let path = value.as_ref().map(|path| path.to_string_lossy().into());
        Value::String(path.unwrap_or_default())
    }

    fn allowed(&self) -> String {
        "a path, or \"\" for none".into()
    }
}

/// Paths of files.
pub(super) struct Paths {
    most: usize,
}

/// A list of at most so many paths.
pub(super) fn paths(most: usize) -> Paths {
    Paths { most }
}

impl Rule for Paths {
    type Value = Vec<PathBuf>;

    fn read(&self, value: &Value) -> Result<Self::Value, Wrong> {
        let list = value.as_array().ok_or(Wrong::NotAllowed)?;
        if list.len() > self.most {
            return Err(Wrong::NotAllowed);
        }
        let path = |value: &Value| match value.as_str() {
            Some(path) if !path.is_empty() => Ok(path.into()),
            _ => Err(Wrong::NotAllowed),
        };
        list.iter().map(path).collect()
    }

    fn write(&self, value: &Self::Value) -> Value {
        let text = |path: &PathBuf| Value::String(path.to_string_lossy().into());
        Value::Array(value.iter().map(text).collect())
    }

    fn allowed(&self) -> String {
        format!("a list of at most {} paths", self.most)
    }
}

/// The numbers of cores: one for each shard.
pub(super) struct CoreList {
    pub(super) core: Whole<usize>,
    pub(super) most: usize,
}

impl Rule for CoreList {
    type Value = Vec<usize>;

    fn read(&self, value: &Value) -> Result<Self::Value, Wrong> {
        let list = value.as_array().ok_or(Wrong::NotAllowed)?;
        if list.is_empty() || list.len() > self.most {
            return Err(Wrong::NotAllowed);
        }
        list.iter().map(|core| self.core.read(core)).collect()
    }

    fn write(&self, value: &Self::Value) -> Value {
        Value::Array(value.iter().map(|core| self.core.write(core)).collect())
    }

    fn allowed(&self) -> String {
        format!("a list of 1 to {} numbers of CPUs", self.most)
    }
}

/// A list of addresses, each alone or in a table.
pub(super) struct MqttListeners {
    pub(super) most: usize,
}

impl MqttListeners {
    const KEYS: &[&'static str] = &["addr"];
    /// Keys of a listener that come with their features.
    const KEYS_TO_COME: &[&'static str] = &["tls", "auth", "proxy", "profile"];

    fn read_table(table: &toml::Table) -> Result<MqttListener, Wrong> {
        for key in table.keys().map(String::as_str) {
            if let Some(to_come) = Self::KEYS_TO_COME.iter().find(|known| **known == key) {
                return Err(Wrong::NotYet(to_come));
            }
            if !Self::KEYS.contains(&key) {
                return Err(Wrong::UnknownKey {
                    key: key.into(),
                    nearest: nearest(key, Self::KEYS.iter().chain(Self::KEYS_TO_COME).copied()),
                });
            }
        }
        read_address(table.get("addr")).map(|address| MqttListener { address })
    }
}

impl Rule for MqttListeners {
    type Value = Vec<MqttListener>;

    fn read(&self, value: &Value) -> Result<Self::Value, Wrong> {
        let list = value.as_array().ok_or(Wrong::NotAllowed)?;
        if list.len() > self.most {
            return Err(Wrong::NotAllowed);
        }
        let mut listeners: Vec<MqttListener> = Vec::new();
        for entry in list {
            let listener = match entry {
                Value::Table(table) => Self::read_table(table)?,
                entry => MqttListener {
                    address: read_address(Some(entry))?,
                },
            };
            if listener.address.port() != 0 && listeners.contains(&listener) {
                return Err(Wrong::Repeated(listener.address.to_string()));
            }
            listeners.push(listener);
        }
        Ok(listeners)
    }

    fn write(&self, value: &Self::Value) -> Value {
        let text = |listener: &MqttListener| Value::String(listener.address.to_string());
        Value::Array(value.iter().map(text).collect())
    }

    fn allowed(&self) -> String {
        format!(
            "a list of at most {}, each an address such as \"127.0.0.1:1883\" or \"[::]:1883\", or \
             a table {{ addr = \"127.0.0.1:1883\" }}",
            self.most
        )
    }
}

fn read_address(value: Option<&Value>) -> Result<SocketAddr, Wrong> {
    let text = value.and_then(Value::as_str).ok_or(Wrong::NotAllowed)?;
    text.parse().map_err(|_| Wrong::NotAllowed)
}

/// An address, or `""` for none.
pub(super) struct AddressOrNone;

impl Rule for AddressOrNone {
    type Value = Option<SocketAddr>;

    fn read(&self, value: &Value) -> Result<Self::Value, Wrong> {
        match value.as_str() {
            Some("") => Ok(None),
            _ => read_address(Some(value)).map(Some),
        }
    }

    fn write(&self, value: &Self::Value) -> Value {
        Value::String(value.map_or_else(String::new, |address| address.to_string()))
    }

    fn allowed(&self) -> String {
        "an address such as \"127.0.0.1:9883\", or \"\" for none".into()
    }
}

/// A list that is empty until what it lists exists.
pub(super) struct EmptyUntil(pub(super) &'static str);

impl Rule for EmptyUntil {
    type Value = ();

    fn read(&self, value: &Value) -> Result<(), Wrong> {
        match value.as_array().map(Vec::as_slice) {
            Some([]) => Ok(()),
            Some(_) => Err(Wrong::NotYet(self.0)),
            None => Err(Wrong::NotAllowed),
        }
    }

    fn write(&self, (): &()) -> Value {
        Value::Array(Vec::new())
    }

    fn allowed(&self) -> String {
        format!("[], until there are {}", self.0)
    }
}
