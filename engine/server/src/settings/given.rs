//! What the operator gave: values by dotted key, each with where it came from, and the
//! faults found while they are taken out one by one. What is left then is unknown.

use super::class;
use super::fault::{Fault, Origin};
use super::nearest::nearest;
use super::rule::{Rule, Wrong};
use super::schema::{GROUPS, keys};
use ringcast_codec::market::DeliveryClasses;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// Values by dotted key.
#[derive(Debug)]
pub(super) struct Given {
    values: BTreeMap<String, (Value, Origin)>,
    known: Vec<String>,
    pub(super) faults: Vec<Fault>,
}

impl Given {
    pub(super) fn new() -> Self {
        let mut known: Vec<_> = keys().iter().map(super::schema::Key::dotted).collect();
        known.push(class::KEY.into());
        Self {
            values: BTreeMap::new(),
            known,
            faults: Vec::new(),
        }
    }

    /// Adds a whole file.
    pub(super) fn add_file(&mut self, text: &str, origin: &Origin) {
        match text.parse::<Table>() {
            Ok(table) => {
                for (key, value) in table {
                    self.add(key, value, origin);
                }
            }
            Err(error) => self.faults.push(Fault::NotToml {
                origin: origin.clone(),
                error: error.into(),
            }),
        }
    }

    /// Adds `KEY=VALUE` of the command line, which wins over what was added before.
    pub(super) fn add_assignment(&mut self, assignment: &str) {
        let origin = Origin::Set;
        let Some((key, text)) = assignment.split_once('=') else {
            let assignment = assignment.into();
            return self.faults.push(Fault::NoAssignment { assignment });
        };
        match read_value(text.trim()) {
            Ok(value) => self.add(key.trim().into(), value, &origin),
            Err(error) => self.faults.push(Fault::NotToml {
                origin: Origin::SetOf(key.trim().into()),
                error: error.into(),
            }),
        }
    }

    /// Tables are taken apart down to the keys that are known, or to where nothing is.
    fn add(&mut self, key: String, value: Value, origin: &Origin) {
        let is_group = GROUPS.iter().any(|(group, _)| *group == key);
        match value {
            Value::Table(table)
                if !self.known.contains(&key) && (is_group || !table.is_empty()) =>
            {
                for (inner, value) in table {
                    self.add(format!("{key}.{inner}"), value, origin);
                }
            }
            value => {
                self.values.insert(key, (value, origin.clone()));
            }
        }
    }

    /// Whether such a key was given.
    pub(super) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// Takes a key out; its default, if it was not given or is wrong.
    pub(super) fn take<R: Rule>(
        &mut self,
        group: &str,
        field: &str,
        rule: &R,
        default: &str,
    ) -> R::Value {
        let key = format!("{group}.{field}");
        if let Some((value, origin)) = self.values.remove(&key) {
            match rule.read(&value) {
                Ok(value) => return value,
                Err(wrong) => {
                    let allowed = rule.allowed();
                    self.faults.push(fault(origin, key, &value, wrong, allowed));
                }
            }
        }
        let default = read_value(default).expect("a default is TOML, as a test of all keys says");
        match rule.read(&default) {
            Ok(value) => value,
            Err(_) => unreachable!("a default is allowed, as a test of all keys says"),
        }
    }

    /// Takes the classes out; the standard ones, if none were given or they are wrong.
    pub(super) fn take_classes(&mut self) -> DeliveryClasses {
        let Some((value, origin)) = self.values.remove(class::KEY) else {
            return DeliveryClasses::standard();
        };
        match class::read(&value) {
            Ok(classes) => classes,
            Err(fault) => {
                self.faults.push(Fault::Class { origin, fault });
                DeliveryClasses::standard()
            }
        }
    }

    /// Everything that is wrong, once all known keys were taken out.
    pub(super) fn finish(mut self) -> Vec<Fault> {
        for (key, (_, origin)) in self.values {
            // A whole table is compared with tables.
            let groups = GROUPS.iter().map(|(group, _)| *group).chain([class::KEY]);
            let nearest = match key.contains('.') {
                true => nearest(&key, self.known.iter().map(String::as_str)),
                false => nearest(&key, groups),
            };
            let nearest = nearest.to_owned();
            self.faults.push(Fault::UnknownKey {
                origin,
                key,
                nearest,
            });
        }
        self.faults
    }
}

fn fault(origin: Origin, key: String, value: &Value, wrong: Wrong, allowed: String) -> Fault {
    match wrong {
        Wrong::NotAllowed => Fault::NotAllowed {
            origin,
            key,
            value: value.to_string(),
            allowed,
        },
        Wrong::NotYet(what) => Fault::NotYet {
            origin,
            key,
            what,
            allowed,
        },
        Wrong::UnknownKey {
            key: inner,
            nearest,
        } => Fault::UnknownKey {
            origin,
            key: format!("{key}.{inner}"),
            nearest: format!("{key}.{nearest}"),
        },
        Wrong::Repeated(value) => Fault::Repeated { origin, key, value },
    }
}

/// A value of TOML; what is none, and is a word without anything that TOML gives a
/// meaning to, is a string.
pub(super) fn read_value(text: &str) -> Result<Value, toml::de::Error> {
    // `[::1]:1883` is an address, whatever else begins with a bracket is a list.
    let is_list = text.starts_with('[') && !text.contains("]:");
    let is_word = !text.is_empty()
        && !is_list
        && !text.contains(|character: char| {
            character.is_whitespace() || character.is_control() || "\"'{},=#".contains(character)
        });
    // As the only key of a document: a line end in the text could bring others along.
    let document = format!("value = {text}").parse::<Table>();
    match document {
        Ok(mut table) if table.len() == 1 => {
            Ok(table.remove("value").expect("the only key is this one"))
        }
        _ if is_word => Ok(Value::String(text.into())),
        Err(error) => Err(error),
        // Says what is wrong with more than a value.
        Ok(_) => "value".parse::<Table>().map(Value::Table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_value_is_a_string() {
        let value = |text| read_value(text).unwrap();
        assert_eq!(value("5"), Value::Integer(5));
        assert_eq!(value("true"), Value::Boolean(true));
        assert_eq!(value("\"a b\""), Value::String("a b".into()));
        assert_eq!(value("[1, 2]"), Value::Array(vec![1.into(), 2.into()]));
        for word in ["max", "127.0.0.1:0", "[::1]:0", "/etc/users", "64MiB"] {
            assert_eq!(value(word), Value::String(word.into()));
        }
        for wrong in ["", "a b", "\"a", "[1", "1\nother = 2", "a\nb = 1"] {
            assert!(read_value(wrong).is_err(), "{wrong:?}");
        }
    }
}
