//! What of a scenario can't be, each as a sentence with what to do.

use super::{Protocol, Scenario};
use crate::stamp;
use crate::topics::{NUMBER, Names};
use std::fmt;

/// Two values of a scenario that can't go together, or one that can't be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// Which key.
    key: &'static str,
    /// What is wrong and what is allowed.
    says: String,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.key, self.says)
    }
}

impl std::error::Error for Contradiction {}

/// No payload is larger: with what is around it, it has to fit a packet of MQTT.
const PAYLOAD_BYTES_MAX: u32 = 128 << 20;

/// `require!(condition, key, says…)`: without the condition, the check ends with that.
macro_rules! require {
    ($condition:expr, $key:literal, $($says:tt)*) => {
        require($condition, $key, format_args!($($says)*))?
    };
}

fn require(
    condition: bool,
    key: &'static str,
    says: fmt::Arguments<'_>,
) -> Result<(), Contradiction> {
    match condition {
        true => Ok(()),
        false => Err(Contradiction {
            key,
            says: says.to_string(),
        }),
    }
}

impl Scenario {
    /// Whether it can be run.
    ///
    /// # Errors
    /// The first thing that can't be.
    pub fn check(&self) -> Result<(), Contradiction> {
        self.check_clients()?;
        self.check_topics()?;
        self.check_load()?;
        self.check_behaviour()
    }

    fn check_clients(&self) -> Result<(), Contradiction> {
        require!(
            self.clients() > 0,
            "subscribers.count",
            "there is no client at all"
        );
        require!(
            !self.target.addresses.is_empty(),
            "target.addresses",
            "there is no address of a server"
        );
        require!(
            self.connect.rate >= 0.0 && self.connect.rate.is_finite(),
            "connect.rate",
            "{} is not a rate: 0 or more a second",
            self.connect.rate
        );
        require!(
            self.connect.window > 0,
            "connect.window",
            "it must be 1 at least"
        );
        require!(
            self.generator.processes > 0,
            "generator.processes",
            "it must be 1 at least"
        );
        for (key, qos) in [
            ("subscribers.qos", self.subscribers.qos),
            ("publishers.qos", self.publishers.qos),
        ] {
            require(
                qos <= 2,
                key,
                format_args!("{qos} is not a quality of service: 0, 1 or 2"),
            )?;
        }
        require!(
            self.mqtt.keep_alive.seconds() <= 65_535.0,
            "mqtt.keep_alive",
            "MQTT has no longer one than 65535s"
        );
        require!(
            self.mqtt.clean || self.mqtt.client_id.contains("{client}"),
            "mqtt.client_id",
            "sessions that stay need {{client}} in their identifier, or they are one another's"
        );
        require!(
            self.subscribers.share.is_none() || self.mqtt.version == Protocol::Mqtt5,
            "subscribers.share",
            "shared subscriptions came with MQTT 5: set mqtt.version = \"5\""
        );
        require!(
            self.mqtt.session_expiry.is_zero() || self.mqtt.version == Protocol::Mqtt5,
            "mqtt.session_expiry",
            "it came with MQTT 5: set mqtt.version = \"5\""
        );
        require!(
            self.mqtt.password.is_none()
                || self.mqtt.user.is_some()
                || self.mqtt.version == Protocol::Mqtt5,
            "mqtt.password",
            "MQTT 3.1.1 has no password without a user [MQTT3-3.1.2-22]: set mqtt.user"
        );
        Ok(())
    }

    fn check_topics(&self) -> Result<(), Contradiction> {
        if !self.load.recording.is_empty() {
            return Ok(());
        }
        let (topics, publishers) = (self.topics.count, self.publishers.count);
        require!(topics > 0, "topics.count", "it must be 1 at least");
        require!(
            topics == 1 || self.topics.name.contains(NUMBER),
            "topics.name",
            "{:?} is one topic: with {topics} of them it needs {NUMBER} for their numbers",
            self.topics.name
        );
        require!(
            publishers == 0
                || topics.is_multiple_of(publishers)
                || publishers.is_multiple_of(topics),
            "publishers.count",
            "{publishers} publishers can't share {topics} topics evenly: the one must be a multiple of the other"
        );
        require!(
            self.subscribers.topics <= topics,
            "subscribers.topics",
            "each wants {} topics, and there are {topics}",
            self.subscribers.topics
        );
        let wildcard = self.subscribers.topics == 0 && self.subscribers.count > 0;
        require!(
            !wildcard || Names::from_text(&self.topics.name).filter().is_some(),
            "subscribers.topics",
            "no filter means all of {:?}: give {NUMBER} a level of its own, or say how many topics each wants",
            self.topics.name
        );
        require!(
            self.topics.zipf >= 0.0 && self.subscribers.zipf >= 0.0,
            "topics.zipf",
            "an exponent below 0 is none"
        );
        Ok(())
    }

    fn check_load(&self) -> Result<(), Contradiction> {
        let load = &self.load;
        require!(
            load.rate.is_finite() && load.rate >= 0.0,
            "load.rate",
            "{} is not a rate: 0 or more a second",
            load.rate
        );
        require!(
            (stamp::BYTES_MIN..=PAYLOAD_BYTES_MAX).contains(&load.payload),
            "load.payload",
            "{} bytes can't be checked: {} to {PAYLOAD_BYTES_MAX} can",
            load.payload,
            stamp::BYTES_MIN
        );
        let is_short = (load.payload as usize) < stamp::LONG_BYTES_MIN;
        require!(
            !is_short || self.publishers.count <= self.topics.count,
            "load.payload",
            "{} bytes can't say who published them, and a topic has several publishers: {} can",
            load.payload,
            stamp::LONG_BYTES_MIN
        );
        require!(
            load.warm_up < load.duration || load.warm_up.is_zero(),
            "load.warm_up",
            "nothing is left of {} of load",
            load.duration
        );
        require!(
            load.speed.is_finite() && load.speed > 0.0,
            "load.speed",
            "{} times as fast is never",
            load.speed
        );
        let messages: f64 = load
            .shape
            .corners(load.rate, load.duration)
            .iter()
            .map(|(nanos, rates)| *nanos as f64 / 1e9 * (rates.0 + rates.1) / 2.0)
            .sum();
        let sequences_max = f64::from(u32::MAX - 1);
        require!(
            messages < sequences_max,
            "load.duration",
            "{messages} messages are more than their sequences can count ({sequences_max})"
        );
        Ok(())
    }

    fn check_behaviour(&self) -> Result<(), Contradiction> {
        if let Some(storm) = &self.storm {
            require!(
                storm.part > 0.0 && storm.part <= 1.0,
                "storm.part",
                "{} is not a part: above 0, up to 1",
                storm.part
            );
        }
        if let Some(churn) = &self.churn {
            require!(
                churn.rate.is_finite() && churn.rate >= 0.0,
                "churn.rate",
                "{} is not a rate: 0 or more a second",
                churn.rate
            );
        }
        if let Some(search) = &self.search {
            require!(
                search.from > 0.0 && search.from <= search.to,
                "search.from",
                "it must be above 0 and at most search.to"
            );
            require!(
                search.within > 0.0 && search.within < 1.0,
                "search.within",
                "{} is not a part of the rate: above 0, below 1",
                search.within
            );
            require!(
                self.load.recording.is_empty() && self.storm.is_none(),
                "search",
                "a recording and a storm have no rate to search for"
            );
        }
        Ok(())
    }
}
