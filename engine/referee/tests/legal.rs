//! No innocent server is convicted: a model of a broker, which keeps all rules, speaks
//! with clients that are cut off, come back, take over, do not acknowledge or talk
//! nonsense. What is in flight between the three parties is delayed and cut at random.

#[path = "support/broker.rs"]
mod broker;
mod support;

use broker::World;
use proptest::prelude::*;
use ringcast_referee::{Report, Rule};

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_rule_convicts_an_innocent_server(choices in prop::collection::vec(any::<u16>(), 0..3000)) {
        let report = World::new(choices).run();
        prop_assert!(report.violations().is_empty(), "{report}");
    }
}

/// The test above proves something only of rules that the model gives an occasion.
#[test]
fn the_model_tries_what_a_broker_does() {
    let mut sum = Report::default();
    let mut state = 1u32;
    for _ in 0..60 {
        let choices = (0..3000)
            .map(|_| {
                // The generator of Numerical Recipes; its upper half is good enough.
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 16) as u16
            })
            .collect();
        sum.merge(World::new(choices).run());
    }
    println!("{sum}");
    assert!(sum.violations().is_empty(), "{sum}");
    let not_tried = sum.without_occasion(Rule::ALL);
    let elsewhere = [
        Rule::Blame,
        Rule::Takeover,
        Rule::KeepAlive,
        Rule::FaultCloses,
        Rule::Answered,
        Rule::ResendAll,
        Rule::WillDue,
        Rule::ResponseInformation,
        Rule::ProblemInformation,
        Rule::AssignedIdentifier,
        Rule::Private,
        Rule::SessionKept,
    ];
    let missing: Vec<_> = not_tried
        .iter()
        .filter(|rule| !elsewhere.contains(rule))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
