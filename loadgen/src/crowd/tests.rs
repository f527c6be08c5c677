//! A crowd without sockets: what it says, and what it makes of what it is told.

use super::{Crowd, Place, State};
use crate::outbox::Outbox;
use crate::plan::Plan;
use crate::quantity::Span;
use crate::scenario::{Protocol, Scenario};
use crate::stamp::Stamp;
use ringcast_allocations::{Counting, allocations};
use ringcast_codec::mqtt::{
    Delivery, Packet, PacketId, Properties, Publish, QoS, SubscriptionOptions, TopicName, Version,
};
use ringcast_wire::Close;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];
const SUBACK: [u8; 5] = [0x90, 3, 0, 1, 0];

const ALONE: Place = Place { number: 0, of: 1 };

fn plan(change: impl FnOnce(&mut Scenario)) -> Arc<Plan> {
    let mut scenario = Scenario::default();
    scenario.mqtt.version = Protocol::Mqtt311;
    change(&mut scenario);
    Arc::new(Plan::new(scenario, 7).expect("it can be worked out"))
}

/// A crowd of which all have connected.
fn connected(plan: &Arc<Plan>) -> Crowd {
    let mut crowd = Crowd::new(Arc::clone(plan), ALONE);
    for client in 0..crowd.count() {
        crowd.begin(client, 0);
        crowd.on_connected(client, 0);
        crowd.on_bytes(client, &CONNACK, 0);
        if crowd.client(client).state == State::AwaitingSuback {
            crowd.on_bytes(client, &SUBACK, 0);
        }
        assert_eq!(crowd.client(client).state, State::Ready);
    }
    said(&mut crowd.outbox);
    crowd
}

/// All that clients have to say, one behind the other.
fn said(outbox: &mut Outbox) -> Vec<u8> {
    let mut all = Vec::new();
    outbox.hand_over(|_, bytes| {
        all.extend_from_slice(bytes);
        true
    });
    all
}

/// A message of the only publisher in the only topic.
fn message(sequence: u32, delivery: Delivery) -> Vec<u8> {
    let mut payload = [0; 64];
    let stamp = Stamp {
        publisher: 0,
        topic: 0,
        sequence,
        intended_nanos: 0,
        sent_nanos: Some(0),
    };
    stamp.write(7, &mut payload);
    let publish = Packet::Publish(Publish {
        delivery,
        retain: false,
        topic: Some(TopicName::new("load/0").expect("it is one")),
        properties: Properties::EMPTY,
        payload: &payload,
    });
    let mut bytes = Vec::new();
    crate::plan::write(Version::V311, &mut bytes, &publish);
    bytes
}

fn plain(sequence: u32) -> Vec<u8> {
    message(sequence, Delivery::AtMostOnce)
}

#[test]
fn what_comes_may_be_cut_anywhere() {
    let plan = plan(|_| ());
    let stream: Vec<u8> = (1..=20).flat_map(plain).collect();
    for size in 1..200 {
        let mut crowd = connected(&plan);
        for bytes in stream.chunks(size) {
            crowd.on_bytes(0, bytes, 5);
        }
        let checked = crowd.tally.checked;
        assert_eq!(
            (checked.due, checked.wrong()),
            (20, 0),
            "in pieces of {size}"
        );
        assert_eq!(crowd.tally.response.len(), 20);
    }
}

#[test]
fn a_client_takes_little() {
    assert_eq!(size_of::<super::Client>(), 32);
    assert_eq!(size_of::<crate::watch::Watch>(), 8);
}

#[test]
fn a_message_costs_no_allocation() {
    let plan = plan(|_| ());
    let mut crowd = connected(&plan);
    let first: Vec<u8> = (1..=10).flat_map(plain).collect();
    let more: Vec<u8> = (11..=1_000).flat_map(plain).collect();
    crowd.on_bytes(0, &first, 5);
    assert_eq!(allocations(|| crowd.on_bytes(0, &more, 6)), 0);
    assert_eq!(crowd.tally.checked.due, 1_000);
}

#[test]
fn each_quality_of_service_is_answered() {
    let plan = plan(|scenario| scenario.subscribers.qos = 2);
    let mut crowd = connected(&plan);
    let packet_id = PacketId::new(9).expect("it is above 0");
    crowd.on_bytes(0, &plain(1), 0);
    assert_eq!(said(&mut crowd.outbox), b"");
    crowd.on_bytes(
        0,
        &message(
            2,
            Delivery::AtLeastOnce {
                packet_id,
                dup: false,
            },
        ),
        0,
    );
    assert_eq!(said(&mut crowd.outbox), b"\x40\x02\0\x09");
    let twice = message(
        3,
        Delivery::ExactlyOnce {
            packet_id,
            dup: false,
        },
    );
    crowd.on_bytes(0, &twice, 0);
    assert_eq!(said(&mut crowd.outbox), b"\x50\x02\0\x09");
    crowd.on_bytes(0, b"\x62\x02\0\x09", 0);
    assert_eq!(said(&mut crowd.outbox), b"\x70\x02\0\x09");
    assert_eq!(crowd.tally.checked.wrong(), 0);
    // Again, as it may be if it says so, and as it may not.
    crowd.on_bytes(
        0,
        &message(
            3,
            Delivery::ExactlyOnce {
                packet_id,
                dup: true,
            },
        ),
        0,
    );
    assert_eq!(crowd.tally.checked.duplicate, 0);
    crowd.on_bytes(0, &twice, 0);
    assert_eq!(crowd.tally.checked.duplicate, 1);
}

#[test]
fn what_a_publisher_sends_is_what_a_subscriber_takes() {
    let plan = plan(|scenario| {
        scenario.topics.count = 3;
        scenario.load.rate = 100.0;
        scenario.load.duration = Span::from_secs(1);
    });
    let mut crowd = connected(&plan);
    crowd.start(1_000, None);
    assert_eq!(crowd.publish(999), None, "nothing is due");
    let at = 1_000_000_000;
    assert_eq!(crowd.publish(at), Some(1_000));
    assert!(!crowd.is_published() || crowd.next_due().is_none());
    let bytes = said(&mut crowd.outbox);
    crowd.on_bytes(0, &bytes, at);
    let (checked, sent) = (crowd.tally.checked, crowd.tally.sent);
    assert_eq!((checked.due, checked.wrong()), (sent, 0));
    let published: u32 = crowd.published().iter().map(|(_, last)| last).sum();
    assert_eq!(u64::from(published), sent);
    // All but the first were sent later than they were meant to be.
    assert!(crowd.tally.late >= sent - 1);
    assert_eq!(
        crowd.tally.response.max(),
        crowd.tally.response.high_of(at - 1_000)
    );
}

trait HighOf {
    fn high_of(&self, value: u64) -> u64;
}

impl HighOf for hdrhistogram::Histogram<u64> {
    /// What stands for a value where only three digits are told apart.
    fn high_of(&self, value: u64) -> u64 {
        self.highest_equivalent(value)
    }
}

#[test]
fn a_publisher_does_not_outrun_its_server() {
    let plan = plan(|scenario| {
        scenario.publishers.qos = 1;
        scenario.publishers.unacknowledged_max = 2;
        scenario.load.rate = 10.0;
        scenario.load.duration = Span::from_secs(1);
    });
    let mut crowd = connected(&plan);
    crowd.start(0, None);
    crowd.publish(1_000_000_000);
    assert_eq!((crowd.tally.due, crowd.tally.sent), (10, 2));
    let publisher = plan.client_of_publisher(0);
    assert!(
        !crowd.publish_held(1_000_000_001),
        "nothing was acknowledged"
    );
    crowd.on_bytes(publisher, b"\x40\x02\0\x02", 1_000_000_001);
    assert!(crowd.publish_held(1_000_000_001));
    assert_eq!((crowd.tally.sent, crowd.tally.totals.acknowledged), (3, 1));
    assert!(!crowd.is_published());
    crowd.give_up_held();
    for id in [3, 4] {
        crowd.on_bytes(publisher, &[0x40, 2, 0, id], 1_000_000_002);
    }
    assert!(crowd.is_published());
}

/// Who is far away acknowledges everything, once, in its order, and later.
#[test]
fn a_late_acknowledgement_is_due_with_its_message() {
    let plan = plan(|scenario| {
        scenario.subscribers.qos = 1;
        scenario.subscribers.acknowledge_after = Span::from_secs(2);
    });
    let mut crowd = connected(&plan);
    let second = 1_000_000_000;
    for sequence in 1..=2 {
        let packet_id = PacketId::new(sequence).expect("not zero");
        let delivery = Delivery::AtLeastOnce {
            packet_id,
            dup: false,
        };
        let bytes = message(sequence.into(), delivery);
        crowd.on_bytes(0, &bytes, u64::from(sequence) * second);
    }
    assert_eq!(crowd.tally.totals.delivered, 2);
    assert_eq!(crowd.next_due(), Some(3 * second));
    assert_eq!(crowd.publish(3 * second), None, "only an answer is due");
    assert!(!crowd.answer_owed(3 * second - 1));
    assert!(crowd.answer_owed(3 * second));
    assert_eq!(said(&mut crowd.outbox), b"\x40\x02\0\x01");
    // Who is not there any more does not answer.
    crowd.leave(0, Close::Abrupt, false);
    assert!(crowd.answer_owed(9 * second));
    assert_eq!(said(&mut crowd.outbox), b"");
}

/// A kernel that takes all of a large backlog at once never says that it has room again.
#[test]
fn what_was_held_back_goes_on_when_the_backlog_has_gone() {
    let plan = plan(|scenario| {
        scenario.load.payload = 100_000;
        scenario.load.rate = 10.0;
        scenario.load.duration = Span::from_secs(1);
    });
    let mut crowd = connected(&plan);
    crowd.start(0, None);
    crowd.publish(1_000_000_000);
    assert_eq!((crowd.tally.due, crowd.tally.sent), (10, 3));
    assert!(!crowd.publish_held(1_000_000_000));
    while !crowd.is_published() {
        assert!(!said(&mut crowd.outbox).is_empty());
        crowd.publish_held(1_000_000_000);
    }
    assert_eq!(crowd.tally.sent, 10);
}

#[test]
fn what_never_came_is_missing_in_the_end() {
    for (conflation, missing, conflated) in [(false, 4, 0), (true, 1, 3)] {
        let plan = plan(|scenario| scenario.checks.conflation = conflation);
        let mut crowd = connected(&plan);
        crowd.on_bytes(0, &plain(1), 0);
        assert_eq!(crowd.outstanding(&[5]), 4);
        crowd.settle(&[5]);
        let checked = crowd.tally.checked;
        assert_eq!(
            (checked.due, checked.missing, checked.conflated),
            (5, missing, conflated)
        );
    }
}

#[test]
fn who_comes_again_under_load_begins_where_it_comes() {
    let plan = plan(|_| ());
    let mut crowd = connected(&plan);
    crowd.start(1, None);
    crowd.leave(0, Close::Abrupt, true);
    assert_eq!(crowd.next_close(), Some((0, Close::Abrupt)));
    crowd.on_gone(0);
    assert_eq!(crowd.next_returning(), Some(0));
    crowd.begin(0, 2);
    crowd.on_connected(0, 2);
    crowd.on_bytes(
        0,
        &[&CONNACK[..], &SUBACK, &plain(70), &plain(71)].concat(),
        3,
    );
    assert_eq!(
        (crowd.tally.checked.due, crowd.tally.checked.wrong()),
        (2, 0)
    );
    assert_eq!(
        (
            crowd.tally.totals.connections_opened,
            crowd.tally.totals.connections_reopened
        ),
        (2, 1)
    );
    assert_eq!(crowd.outstanding(&[80]), 9);
}

#[test]
fn pings_count_when_they_are_answered_or_late() {
    let plan = plan(|scenario| scenario.publishers.count = 0);
    let mut crowd = connected(&plan);
    let pings = |crowd: &Crowd| (crowd.tally.totals.pings, crowd.tally.totals.pings_answered);
    crowd.ping(1);
    assert_eq!(said(&mut crowd.outbox), b"\xC0\0");
    assert_eq!(pings(&crowd), (0, 0), "it is under way");
    crowd.on_bytes(0, b"\xD0\0", 0);
    assert_eq!(pings(&crowd), (1, 1));
    crowd.ping(1);
    crowd.ping(1);
    assert_eq!(pings(&crowd), (2, 1), "the one before was not answered");
}

#[test]
fn a_refusal_is_told_with_what_to_do() {
    let plan = plan(|scenario| scenario.publishers.count = 0);
    let mut crowd = Crowd::new(Arc::clone(&plan), ALONE);
    crowd.begin(0, 0);
    crowd.on_connected(0, 0);
    crowd.on_bytes(0, &[0x20, 2, 0, 4], 0);
    assert_eq!(
        (crowd.tally.totals.connections_refused, crowd.open()),
        (1, 0)
    );
    let trouble = crowd.trouble.take().expect("it is told");
    assert!(trouble.contains("--user"), "{trouble}");
    // The same goes for subscriptions.
    let mut crowd = Crowd::new(plan, ALONE);
    crowd.begin(0, 0);
    crowd.on_connected(0, 0);
    crowd.on_bytes(0, &[&CONNACK[..], &[0x90, 3, 0, 1, 0x80]].concat(), 0);
    assert_eq!(crowd.tally.totals.subscriptions, 0);
    assert!(
        crowd
            .trouble
            .take()
            .expect("it is told")
            .contains("refused a subscription")
    );
}

#[test]
fn who_does_not_wait_says_all_at_once() {
    let plan = plan(|scenario| scenario.connect.pipelined = true);
    let mut crowd = Crowd::new(Arc::clone(&plan), ALONE);
    crowd.begin(0, 0);
    crowd.on_connected(0, 0);
    let mut both = Vec::new();
    plan.write_connect(0, &mut both);
    plan.write_subscribe(0, &mut both);
    assert_eq!(said(&mut crowd.outbox), both);
    crowd.on_bytes(0, &CONNACK, 0);
    assert_eq!(crowd.client(0).state, State::AwaitingSuback);
    crowd.on_bytes(0, &SUBACK, 0);
    assert_eq!(crowd.client(0).state, State::Ready);
    assert_eq!(said(&mut crowd.outbox), b"");
}

#[test]
fn a_subscribe_asks_for_what_the_plan_says() {
    let plan = plan(|scenario| {
        scenario.topics.count = 4;
        scenario.subscribers.topics = 2;
        scenario.subscribers.count = 2;
        scenario.subscribers.qos = 1;
    });
    let mut bytes = Vec::new();
    plan.write_subscribe(1, &mut bytes);
    let decoder = ringcast_codec::mqtt::Decoder {
        version: Version::V311,
        sender: ringcast_codec::mqtt::Sender::Client,
        packet_bytes_max: 1_000,
    };
    let Ok(ringcast_codec::Progress::Done(Packet::Subscribe(subscribe), _)) =
        decoder.decode(&bytes)
    else {
        panic!("it is a SUBSCRIBE");
    };
    let filters: Vec<_> = subscribe.subscriptions.iter().collect();
    let options = SubscriptionOptions::at_most(QoS::AtLeastOnce);
    let names: Vec<_> = filters.iter().map(|(filter, _)| filter.as_str()).collect();
    assert_eq!(names, ["load/2", "load/3"]);
    assert!(filters.iter().all(|(_, asked)| *asked == options));
}
