//! The scenarios that come with the program, by name: files like everybody's own.

use super::Scenario;

/// A scenario that comes with the program.
#[derive(Debug)]
pub(crate) struct Preset {
    pub(crate) name: &'static str,
    pub(crate) toml: &'static str,
}

macro_rules! presets {
    ($($name:literal)*) => {
        /// All of them.
        pub(crate) const ALL: &[Preset] = &[$(Preset {
            name: $name,
            toml: include_str!(concat!("../../presets/", $name, ".toml")),
        }),*];
    };
}

presets! {
    "conn-1m"
    "one-to-a-million"
    "market-day"
    "auction-burst"
    "slow-mix"
    "far-away"
    "reconnect-storm"
    "mqttbs/conn-tcp-1M-5K"
    "mqttbs/fanout-5-1000-5-250K"
    "mqttbs/p2p-50K-50K-50K-50K"
    "mqttbs/sharesub-50K-500-50K-50K"
    "mqttbs/composite"
}

/// The one of this name.
pub(crate) fn find(name: &str) -> Option<&'static Preset> {
    ALL.iter().find(|preset| preset.name == name)
}

impl Preset {
    /// The scenario itself.
    pub(crate) fn scenario(&self) -> Scenario {
        Scenario::from_toml(self.toml).expect("a test reads all presets")
    }

    /// What its first lines say about it.
    pub(crate) fn about(&self) -> String {
        let comment = self.toml.lines().map_while(|line| line.strip_prefix("# "));
        comment.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Scale;

    #[test]
    fn each_preset_can_be_run_whole_and_scaled() {
        for preset in ALL {
            let scenario = preset.scenario();
            assert_eq!(scenario.name, preset.name);
            assert!(!preset.about().is_empty());
            for scale in ["1", "1/50", "1/1000"] {
                let scale: Scale = scale.parse().expect("it is one");
                let scaled = scenario.clone().scaled(scale);
                assert_eq!(scaled.check(), Ok(()), "{} at {scale:?}", preset.name);
                let again = Scenario::from_toml(&scaled.to_toml()).expect("it was written here");
                assert_eq!(again, scaled, "{}", scaled.to_toml());
            }
        }
    }

    #[test]
    fn a_scaled_preset_keeps_what_each_client_does() {
        let whole = find("mqttbs/p2p-50K-50K-50K-50K")
            .expect("it is there")
            .scenario();
        let scaled = whole.scaled("1/50".parse().expect("it is one"));
        assert_eq!(
            (scaled.publishers.count, scaled.topics.count),
            (1_000, 1_000)
        );
        assert_eq!(
            (scaled.subscribers.count, scaled.load.rate),
            (1_000, 1_000.0)
        );
        let tick = find("one-to-a-million").expect("it is there").scenario();
        let scaled = tick.clone().scaled("1/50".parse().expect("it is one"));
        assert_eq!(
            (scaled.subscribers.count, scaled.load.rate),
            (20_000, tick.load.rate)
        );
    }
}
