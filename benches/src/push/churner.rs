//! One that comes and goes: what it says when, and what it must get meanwhile. Pure; the
//! storm does its input and output.
//!
//! ```text
//!   connects ──► Connack ──► Suback ──► Messages ──► Unsuback ──► Silence ──┐
//!                   ▲           ▲           │ leaves at once          │     │ leaves
//!                   │           └───────────┼─ subscribes again ◄─────┘     │
//!                   └───────────────────────┴───────────────────────────────┘
//! ```
//!
//! From SUBACK to UNSUBACK it must get every message, once and in order. Messages may come
//! before SUBACK (section 3.8.4), and after UNSUBACK those that were on their way; what is
//! published after it must not come [MQTT-3.10.4-2].

use crate::error::DeliveryFault;
use crate::probe::{Moment, Stamp};

/// Messages that it wants before it has enough.
const MESSAGES_ENOUGH: u32 = 2;

/// What it awaits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaits {
    Connack,
    Suback,
    Messages,
    Unsuback,
    /// Nothing, for a while.
    Silence,
}

/// What a server said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    Connack,
    Suback,
    Unsuback,
    Message(Stamp),
}

/// What it does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Nothing,
    Subscribe,
    Unsubscribe,
    /// It listens for a while; [`Churner::on_rested`] follows.
    Rest,
    /// It leaves, with a DISCONNECT or without, and connects anew.
    Leave {
        is_polite: bool,
    },
}

/// One that comes and goes.
#[derive(Debug)]
pub(super) struct Churner {
    number: usize,
    /// The topic that it wants; `None` stands for all.
    topic: Option<u32>,
    awaits: Awaits,
    stream: Gapless,
    /// Messages since SUBACK.
    messages: u32,
    /// How often it had enough.
    cycles: usize,
}

impl Churner {
    /// Every other one wants all topics, the rest one of so many each.
    pub(super) fn new(number: usize, topics: usize) -> Self {
        let topic = (number % 2 == 1).then(|| ((number / 2) % topics) as u32);
        Self {
            number,
            topic,
            awaits: Awaits::Connack,
            stream: Gapless::default(),
            messages: 0,
            cycles: 0,
        }
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// The topic that it wants; `None` stands for all.
    pub(super) fn topics(&self) -> Option<[u32; 1]> {
        self.topic.map(|topic| [topic])
    }

    /// For people.
    pub(super) fn awaited(&self) -> &'static str {
        match self.awaits {
            Awaits::Connack => "a CONNACK",
            Awaits::Suback => "a SUBACK",
            Awaits::Messages => "a message",
            Awaits::Unsuback => "an UNSUBACK",
            Awaits::Silence => "another message for those who stay",
        }
    }

    /// How many messages that it may want there were.
    fn published(&self, moment: &Moment<'_>) -> u64 {
        match self.topic {
            Some(topic) => moment.numbers[topic as usize].into(),
            None => moment.published,
        }
    }

    /// The one place of transitions but [`Self::on_rested`].
    pub(super) fn on_heard(
        &mut self,
        heard: Heard,
        moment: &Moment<'_>,
    ) -> Result<Answer, DeliveryFault> {
        let published = self.published(moment);
        let (awaits, answer) = match (self.awaits, heard) {
            (Awaits::Connack, Heard::Connack) => {
                self.stream = Gapless::default();
                self.stream.on_ask(published);
                (Awaits::Suback, Answer::Subscribe)
            }
            (Awaits::Suback, Heard::Suback) => {
                self.stream.on_granted(published);
                self.messages = 0;
                (Awaits::Messages, Answer::Nothing)
            }
            (Awaits::Unsuback, Heard::Unsuback) => {
                self.stream.on_ended(published);
                (Awaits::Silence, Answer::Rest)
            }
            (Awaits::Messages, Heard::Message(stamp)) => {
                self.take(stamp, published)?;
                self.messages += 1;
                if self.messages < MESSAGES_ENOUGH {
                    (Awaits::Messages, Answer::Nothing)
                } else {
                    self.on_enough()
                }
            }
            (
                awaits @ (Awaits::Suback | Awaits::Unsuback | Awaits::Silence),
                Heard::Message(stamp),
            ) => {
                self.take(stamp, published)?;
                (awaits, Answer::Nothing)
            }
            (awaits, heard) => {
                let what = format!("{heard:?} while it awaited {awaits:?}");
                return Err(DeliveryFault::Foreign(what));
            }
        };
        self.awaits = awaits;
        Ok(answer)
    }

    /// Of three times it goes once without a word.
    fn on_enough(&mut self) -> (Awaits, Answer) {
        self.cycles += 1;
        match (self.number + self.cycles) % 3 {
            0 => (Awaits::Connack, Answer::Leave { is_polite: false }),
            _ => (Awaits::Unsuback, Answer::Unsubscribe),
        }
    }

    /// The silence has lasted long enough.
    pub(super) fn on_rested(&mut self, moment: &Moment<'_>) -> Answer {
        assert_eq!(self.awaits, Awaits::Silence, "nobody else rests");
        match (self.number + self.cycles) % 3 {
            1 => {
                self.awaits = Awaits::Suback;
                let published = self.published(moment);
                self.stream.on_ask(published);
                Answer::Subscribe
            }
            _ => {
                self.awaits = Awaits::Connack;
                Answer::Leave { is_polite: true }
            }
        }
    }

    fn take(&mut self, stamp: Stamp, published: u64) -> Result<(), DeliveryFault> {
        let number = match self.topic {
            None => stamp.sequence,
            Some(topic) if topic == stamp.topic => stamp.number.into(),
            Some(_) => return Err(DeliveryFault::Unwanted { topic: stamp.topic }),
        };
        if number >= published {
            let Stamp { sequence, .. } = stamp;
            return Err(DeliveryFault::NeverPublished { sequence });
        }
        self.stream.take(number, stamp.topic)
    }
}

/// What one connection gets of one filter, by the numbers of the messages that match it.
#[derive(Debug, Default)]
struct Gapless {
    /// The last that came.
    last: Option<u64>,
    /// How many had been published when it subscribed, when that was granted, and when its
    /// end was.
    asked: u64,
    granted: Option<u64>,
    ended: Option<u64>,
}

impl Gapless {
    fn on_ask(&mut self, published: u64) {
        self.asked = published;
        self.granted = None;
        self.ended = None;
    }

    fn on_granted(&mut self, published: u64) {
        self.granted = Some(published);
    }

    fn on_ended(&mut self, published: u64) {
        self.ended = Some(published);
    }

    fn take(&mut self, number: u64, topic: u32) -> Result<(), DeliveryFault> {
        let found = number;
        let due = self.last.map_or(0, |last| last + 1);
        if number < due {
            return Err(DeliveryFault::Sequence {
                expected: due,
                found,
            });
        }
        if self.ended.is_some_and(|ended| number >= ended) {
            return Err(DeliveryFault::Unwanted { topic });
        }
        // What is older than the request may be left of an earlier subscription, or not
        // be there.
        if number >= self.asked {
            let latest = if due > self.asked {
                due
            } else {
                // The first: at the latest what was published next after the SUBACK.
                self.granted.unwrap_or(u64::MAX)
            };
            if number > latest {
                return Err(DeliveryFault::Sequence {
                    expected: latest,
                    found,
                });
            }
        }
        self.last = Some(number);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(published: u64) -> Moment<'static> {
        Moment {
            now: 0,
            published,
            numbers: &[],
        }
    }

    fn message(sequence: u64) -> Heard {
        Heard::Message(Stamp {
            sequence,
            intended_nanos: 0,
            topic: 3,
            number: 0,
        })
    }

    fn fault(expected: u64, found: u64) -> Result<(), DeliveryFault> {
        Err(DeliveryFault::Sequence { expected, found })
    }

    /// Asked at 10, granted at 12.
    fn granted() -> Gapless {
        let mut stream = Gapless::default();
        stream.on_ask(10);
        stream.on_granted(12);
        stream
    }

    #[test]
    fn nothing_is_missing_between_suback_and_unsuback() {
        // The first is at the latest the next after the SUBACK.
        assert_eq!(granted().take(12, 0), Ok(()));
        assert_eq!(granted().take(13, 0), fault(12, 13));
        // Before it may come, too, and then all that follow.
        let mut stream = granted();
        assert_eq!(stream.take(10, 0), Ok(()));
        assert_eq!(stream.take(12, 0), fault(11, 12));
        assert_eq!(stream.take(11, 0), Ok(()));
        assert_eq!(stream.take(11, 0), fault(12, 11));
        assert_eq!(stream.take(12, 0), Ok(()));
        // What was on its way may still come, what is published later may not.
        stream.on_ended(15);
        assert_eq!(stream.take(14, 0), fault(13, 14));
        assert_eq!(stream.take(13, 0), Ok(()));
        assert_eq!(
            stream.take(15, 7),
            Err(DeliveryFault::Unwanted { topic: 7 })
        );
        // Leftovers of the first subscription are no part of the second.
        stream.on_ask(20);
        assert_eq!(stream.take(14, 0), Ok(()));
        stream.on_granted(22);
        assert_eq!(stream.take(21, 0), Ok(()));
        assert_eq!(stream.take(14, 0), fault(22, 14));
        assert_eq!(stream.take(23, 0), fault(22, 23));
        assert_eq!(stream.take(22, 0), Ok(()));
    }

    /// Every state, and what each thing that a server says leads to.
    #[test]
    fn states_and_what_is_heard() {
        let states = [
            Awaits::Connack,
            Awaits::Suback,
            Awaits::Messages,
            Awaits::Unsuback,
            Awaits::Silence,
        ];
        let things = [Heard::Connack, Heard::Suback, Heard::Unsuback, message(4)];
        let mut table = Vec::new();
        for awaits in states {
            for heard in things {
                let mut churner = Churner::new(0, 1);
                churner.awaits = awaits;
                churner.messages = 1;
                let row = match churner.on_heard(heard, &moment(5)) {
                    Ok(answer) => format!("{:?}, {answer:?}", churner.awaits),
                    Err(_) => "fault".to_owned(),
                };
                table.push(row);
            }
        }
        let expected = [
            ["Suback, Subscribe", "fault", "fault", "fault"],
            ["fault", "Messages, Nothing", "fault", "Suback, Nothing"],
            ["fault", "fault", "fault", "Unsuback, Unsubscribe"],
            ["fault", "fault", "Silence, Rest", "Unsuback, Nothing"],
            ["fault", "fault", "fault", "Silence, Nothing"],
        ];
        assert_eq!(table, expected.concat(), "{table:#?}");
    }

    /// A churner that subscribed when 10 messages were published, was granted it at 12, and
    /// hears this while 20 are.
    fn hears(after: &[(Heard, u64)], last: Heard) -> Result<Answer, DeliveryFault> {
        let mut churner = Churner::new(0, 1);
        let before = [(Heard::Connack, 10), (Heard::Suback, 12)];
        for (heard, published) in before.iter().chain(after) {
            let answer = churner.on_heard(*heard, &moment(*published));
            answer.expect("is right so far");
        }
        churner.on_heard(last, &moment(20))
    }

    #[test]
    fn what_it_must_get_follows_from_what_it_heard() {
        let sequence = |expected, found| Err(DeliveryFault::Sequence { expected, found });
        assert_eq!(hears(&[], message(12)), Ok(Answer::Nothing));
        assert_eq!(hears(&[], message(13)), sequence(12, 13));
        let one = [(message(11), 13)];
        assert_eq!(hears(&one, message(13)), sequence(12, 13));
        let ended = [(message(12), 13), (message(13), 14), (Heard::Unsuback, 16)];
        assert_eq!(hears(&ended, message(14)), Ok(Answer::Nothing));
        assert_eq!(hears(&ended, message(15)), sequence(14, 15));
        let on_its_way = [&ended[..], &[(message(14), 17), (message(15), 17)]].concat();
        let unwanted = Err(DeliveryFault::Unwanted { topic: 3 });
        assert_eq!(hears(&on_its_way, message(16)), unwanted);
    }

    #[test]
    fn it_leaves_in_every_way() {
        let mut churner = Churner::new(0, 1);
        let mut ways = Vec::new();
        for cycle in 0..6 {
            let published = 10 * cycle + 2;
            let now = moment(published);
            if churner.awaits == Awaits::Connack {
                churner.on_heard(Heard::Connack, &now).expect("is right");
            }
            churner.on_heard(Heard::Suback, &now).expect("is right");
            let later = moment(published + 2);
            churner
                .on_heard(message(published), &later)
                .expect("is right");
            let enough = churner
                .on_heard(message(published + 1), &later)
                .expect("is right");
            ways.push(enough);
            if enough == Answer::Unsubscribe {
                churner.on_heard(Heard::Unsuback, &later).expect("is right");
                ways.push(churner.on_rested(&moment(published + 5)));
            }
        }
        let round = [
            Answer::Unsubscribe,
            Answer::Subscribe,
            Answer::Unsubscribe,
            Answer::Leave { is_polite: true },
            Answer::Leave { is_polite: false },
        ];
        assert_eq!(ways, round.repeat(2));
    }

    #[test]
    fn one_topic_is_counted_by_its_own_numbers() {
        let mut churner = Churner::new(1, 8);
        assert_eq!(churner.topics(), Some([0]));
        churner.awaits = Awaits::Messages;
        let numbers = [9];
        let now = Moment {
            now: 0,
            published: 100,
            numbers: &numbers,
        };
        let stamp = |topic, number| Stamp {
            sequence: 50,
            intended_nanos: 0,
            topic,
            number,
        };
        let mut take = |stamp| churner.on_heard(Heard::Message(stamp), &now);
        assert_eq!(take(stamp(0, 7)), Ok(Answer::Nothing));
        assert_eq!(take(stamp(1, 8)), Err(DeliveryFault::Unwanted { topic: 1 }));
        let never_published = DeliveryFault::NeverPublished { sequence: 50 };
        assert_eq!(take(stamp(0, 9)), Err(never_published));
    }
}
