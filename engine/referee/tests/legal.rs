//! No innocent server is convicted: a model of a broker, which keeps all rules, speaks
//! with clients that are cut off, come back, take over, do not acknowledge or talk
//! nonsense. What is in flight between the three parties is delayed and cut at random.

mod support;
#[path = "support/world.rs"]
mod world;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use ringcast_referee::{Report, Rule};
use world::{Flaw, World};

/// The same conversations in each run. To try others, ever longer: another seed.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 300,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(1),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_rule_convicts_an_innocent_server(choices in prop::collection::vec(any::<u16>(), 0..3000)) {
        let report = World::new(choices, None).run();
        prop_assert!(report.violations().is_empty(), "{report}");
    }
}

/// The test above proves something only of rules that the model gives an occasion.
#[test]
fn the_model_tries_what_a_broker_does() {
    let mut sum = Report::default();
    for choices in conversations(60) {
        sum.merge(World::new(choices, None).run());
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

/// Conversations that are the same in each run.
fn conversations(count: usize) -> impl Iterator<Item = Vec<u16>> {
    // The generator of Numerical Recipes; its upper half is good enough.
    let mut state = 1u32;
    let mut next = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as u16
    };
    (0..count).map(move |_| (0..3000).map(|_| next()).collect())
}

/// All that excuses the innocent does not excuse the guilty.
#[test]
fn each_flaw_is_found_in_spite_of_delays() {
    for (flaw, rule) in [
        (Flaw::AckTwice, Rule::AckAsked),
        (Flaw::AliasUndefined, Rule::TopicAlias),
        (Flaw::DupMissing, Rule::DupSet),
        (Flaw::GoodbyeIgnored, Rule::WillEarly),
        (Flaw::IdentifierReused, Rule::IdentifierFree),
        (Flaw::NoLocalIgnored, Rule::NoLocal),
        (Flaw::OrderLost, Rule::Order),
        (Flaw::PayloadChanged, Rule::Published),
        (Flaw::PropertiesLost, Rule::Unchanged),
        (Flaw::PubrelTooSoon, Rule::PubrelAfterPubrec),
        (Flaw::PublishAfterPubrel, Rule::PublishAfterPubrel),
        (Flaw::Qos2Twice, Rule::Once),
        (Flaw::QuotaIgnored, Rule::ReceiveMaximum),
        (Flaw::ResentAlive, Rule::ResendLive),
        (Flaw::ResentBackwards, Rule::ResendOrder),
        (Flaw::RetainLeft, Rule::RetainFlag),
        (Flaw::SessionInvented, Rule::SessionPresent),
        (Flaw::SharedWithAll, Rule::SharedOnce),
        (Flaw::UnsubscribeIgnored, Rule::Subscribed),
    ] {
        let found = conversations(400).position(|choices| {
            let report = World::new(choices, Some(flaw)).run();
            report
                .violations()
                .iter()
                .any(|violation| violation.rule == rule)
        });
        println!("{flaw:?}: {rule} in conversation {found:?}");
        assert!(found.is_some(), "{flaw:?} goes unpunished");
    }
}
