//! `[[class]]`: how messages of some topics are delivered. A list of tables, the first
//! whose filter matches a topic is the topic's.

use super::nearest::nearest;
use ringcast_codec::market::{DeliveryClass, DeliveryClasses, SlowPolicy};
use ringcast_codec::mqtt::QoS;
use std::fmt;
use toml::{Table, Value};

/// The key of the list.
pub(super) const KEY: &str = "class";

/// The most classes: a topic that is new tries one after the other.
const CLASSES_MAX: usize = 1_024;

/// The keys of a class: name, default as TOML, what is allowed, what it is for.
pub(super) const FIELDS: [(&str, &str, &str, &str); 4] = [
    (
        "filter",
        "",
        "a topic filter of MQTT",
        "Which topics. It has no default.",
    ),
    (
        "qos_max",
        "2",
        "0, 1 or 2",
        "The highest quality of service of what the feed brings. What clients publish is what \
         they say.",
    ),
    (
        "retain",
        "false",
        "true or false",
        "Whether what the feed brings is kept as the topic's last value.",
    ),
    (
        "slow",
        "\"queue\"",
        "\"queue\", \"conflate\", \"resync\", \"drop\" or \"disconnect\"",
        "What a client loses that is too slow: nothing until its queue is full, all but last \
         values, increments that one snapshot replaces, what came meanwhile, or its connection.",
    ),
];

/// What is wrong with the list of classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ClassFault {
    /// It is no list of tables, or too long.
    NoList,
    /// A class has a key that classes do not have.
    UnknownKey {
        /// Which class, from 1.
        number: usize,
        /// The key.
        key: String,
        /// The known one that is nearest.
        nearest: &'static str,
    },
    /// A class has no filter.
    NoFilter {
        /// Which class, from 1.
        number: usize,
    },
    /// A value that is not allowed.
    NotAllowed {
        /// Which class, from 1.
        number: usize,
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

impl fmt::Display for ClassFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoList => write!(
                formatter,
                "class is not allowed; allowed is a list of at most {CLASSES_MAX} tables, each as \
                 [[class]] with a filter"
            ),
            Self::UnknownKey {
                number,
                key,
                nearest,
            } => write!(
                formatter,
                "class {number}: {key} is no setting; the nearest is {nearest}"
            ),
            Self::NoFilter { number } => write!(
                formatter,
                "class {number}: it has no filter; allowed is {}",
                FIELDS[0].2
            ),
            Self::NotAllowed {
                number,
                key,
                value,
                allowed,
            } => write!(
                formatter,
                "class {number}: {key} = {value} is not allowed; allowed is {allowed}"
            ),
        }
    }
}

/// Reads the list.
pub(super) fn read(value: &Value) -> Result<DeliveryClasses, ClassFault> {
    let list = value.as_array().ok_or(ClassFault::NoList)?;
    if list.len() > CLASSES_MAX {
        return Err(ClassFault::NoList);
    }
    let mut classes = Vec::with_capacity(list.len());
    for (place, entry) in list.iter().enumerate() {
        let table = entry.as_table().ok_or(ClassFault::NoList)?;
        classes.push(read_class(place + 1, table)?);
    }
    DeliveryClasses::new(classes).map_err(|(place, _)| {
        let table = list[place].as_table();
        let filter = table.and_then(|table| table.get("filter"));
        not_allowed(place + 1, 0, filter.unwrap_or(&list[place]))
    })
}

fn read_class(number: usize, table: &Table) -> Result<DeliveryClass, ClassFault> {
    let known = || FIELDS.iter().map(|(name, ..)| *name);
    if let Some(key) = table.keys().find(|key| !known().any(|known| known == *key)) {
        return Err(ClassFault::UnknownKey {
            number,
            key: key.clone(),
            nearest: nearest(key, known()),
        });
    }
    let filter = table.get("filter").ok_or(ClassFault::NoFilter { number })?;
    let text = filter
        .as_str()
        .ok_or_else(|| not_allowed(number, 0, filter))?;
    let mut class = DeliveryClass {
        filter: text.to_owned().into(),
        ..DeliveryClass::OTHER
    };
    if let Some(value) = table.get("qos_max") {
        class.qos_max = match value.as_integer() {
            Some(0) => QoS::AtMostOnce,
            Some(1) => QoS::AtLeastOnce,
            Some(2) => QoS::ExactlyOnce,
            _ => return Err(not_allowed(number, 1, value)),
        };
    }
    if let Some(value) = table.get("retain") {
        let retain = value.as_bool();
        class.retain = retain.ok_or_else(|| not_allowed(number, 2, value))?;
    }
    if let Some(value) = table.get("slow") {
        let slow = value.as_str().and_then(SlowPolicy::parse);
        class.slow = slow.ok_or_else(|| not_allowed(number, 3, value))?;
    }
    Ok(class)
}

fn not_allowed(number: usize, field: usize, value: &Value) -> ClassFault {
    let (key, _, allowed, _) = FIELDS[field];
    ClassFault::NotAllowed {
        number,
        key,
        value: value.to_string(),
        allowed,
    }
}

/// The list as TOML.
pub(super) fn write(classes: &DeliveryClasses) -> Vec<Table> {
    let table = |class: &DeliveryClass| {
        Table::from_iter([
            ("filter".into(), Value::String(class.filter.clone().into())),
            ("qos_max".into(), Value::Integer(class.qos_max as i64)),
            ("retain".into(), Value::Boolean(class.retain)),
            ("slow".into(), Value::String(class.slow.as_str().into())),
        ])
    };
    classes.iter().map(table).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_the_same() {
        for classes in [
            DeliveryClasses::standard(),
            DeliveryClasses::new(Vec::new()).unwrap(),
        ] {
            let list = write(&classes).into_iter().map(Value::Table).collect();
            assert_eq!(read(&Value::Array(list)), Ok(classes));
        }
    }

    #[test]
    fn what_is_left_out_is_as_for_topics_without_a_class() {
        let value = "class = [{ filter = \"#\" }]".parse::<Table>().unwrap();
        let classes = read(&value["class"]).unwrap();
        assert_eq!(classes.iter().next(), Some(&DeliveryClass::OTHER));
    }
}
