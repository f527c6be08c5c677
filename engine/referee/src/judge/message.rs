//! Rules about a message that reaches a client for the first time.
//!
//! A message is known by its topic and payload. All that published the same count as
//! its origin, and all subscriptions that can have been in force for one of them as
//! its way. A rule convicts if no origin and no way together explain what came. On
//! topics where the server itself publishes, nobody knows the origin, and rules that
//! need it have no occasion.

use crate::packet::{Properties, Publish, Value, Version, property};
use crate::referee::Scope;
use crate::rule::Rule;
use crate::state::{Connection, Content, Contents, Moment, Publication, Session, Subscription};
use crate::topic;

use super::connecting::SECOND;

/// A rule, whether it is kept (`None`: it had no occasion), and why not.
pub(crate) type Verdict = (Rule, Option<bool>, &'static str);

/// A topic and its publisher, published and delivered QoS.
type OrderKey = (String, String, u8, u8);

/// What a delivery changes in its session.
pub(crate) struct Effects {
    /// Up to which number of whom the session has got.
    pub order: Option<(OrderKey, u64)>,
    /// The same for what took the place of a retained message.
    pub retained: Option<((String, String), u64)>,
    /// It can only be the replay of a retained message.
    pub replay: bool,
}

pub(crate) struct Message<'a> {
    publish: &'a Publish,
    topic: &'a str,
    connection: &'a Connection,
    session: &'a Session,
    content: Option<&'a Content>,
    origins: &'a [Publication],
    origins_complete: bool,
    scope: &'a Scope,
    now: Moment,
    ways: Vec<&'a Subscription>,
}

impl<'a> Message<'a> {
    #[allow(
        clippy::too_many_arguments,
        reason = "all that the rules look at, once"
    )]
    pub(crate) fn new(
        publish: &'a Publish,
        topic: &'a str,
        connection: &'a Connection,
        session: &'a Session,
        content: Option<&'a Content>,
        contents: &Contents,
        scope: &'a Scope,
        now: Moment,
    ) -> Self {
        let own = scope
            .own_topics
            .iter()
            .any(|filter| topic::matches(filter, topic));
        let origins = content
            .filter(|_| !own)
            .map_or(&[][..], |content| &content.publications);
        let ways = session
            .subscriptions
            .iter()
            .filter(|way| topic::matches(&way.request.filter, topic))
            .filter(|way| {
                let in_time = |until: Moment| origins.iter().any(|origin| origin.at < until);
                origins.is_empty() || way.until.is_none_or(in_time)
            })
            .collect();
        Self {
            publish,
            topic,
            connection,
            session,
            content,
            origins,
            origins_complete: scope.all_publishers && !own && !contents.incomplete,
            scope,
            now,
            ways,
        }
    }

    /// All rules of this module. `session` is the session's number.
    pub(crate) fn verdicts(&self, session: usize) -> Vec<Verdict> {
        let mut verdicts = vec![
            (Rule::Published, self.published(), "nobody published this"),
            (
                Rule::Unchanged,
                self.unchanged(),
                "its properties are not those that were published",
            ),
            (
                Rule::Expiry,
                self.expiry(),
                "it has expired, or what remains is not what can remain",
            ),
        ];
        if !self.session.known {
            return verdicts;
        }
        let subscribed = !self.ways.is_empty();
        verdicts.push((
            Rule::Subscribed,
            Some(subscribed),
            "no subscription that can be in force matches",
        ));
        if !subscribed {
            return verdicts;
        }
        verdicts.extend([
            (
                Rule::Qos,
                Some(self.qos()),
                "published and granted QoS say another",
            ),
            (
                Rule::SubscriptionIdentifier,
                self.identifiers(),
                "its subscription identifiers are not those of matching subscriptions",
            ),
            (
                Rule::NoLocal,
                self.no_local(),
                "the client published it, and all its matching subscriptions say No Local",
            ),
        ]);
        if self.session.current != self.connection.number || self.session.doubt() {
            return verdicts;
        }
        verdicts.extend([
            (
                Rule::RetainFlag,
                self.retain_flag(),
                "its RETAIN flag is neither as published, where asked, nor that of a replay",
            ),
            (
                Rule::Order,
                self.order_verdict(),
                "a later message of its publisher came before",
            ),
            (
                Rule::RetainedOrder,
                self.retained_order(),
                "the message that took its place came before",
            ),
            (
                Rule::Once,
                self.once(session),
                "it came as often as it was published already",
            ),
        ]);
        verdicts
    }

    /// `published`: what a client publishes is seen before it can be delivered.
    fn published(&self) -> Option<bool> {
        let crowded = self.content.is_some_and(|content| content.crowded);
        let known = crowded || !self.origins.is_empty();
        self.origins_complete.then_some(known)
    }

    /// `unchanged`: no origin has these properties.
    fn unchanged(&self) -> Option<bool> {
        let told = self.connection.version == Some(Version::V5) && !self.origins.is_empty();
        let found = forwarded(&self.publish.properties);
        told.then(|| {
            self.origins
                .iter()
                .any(|origin| forwarded(&origin.properties) == found)
        })
    }

    /// `expiry`. The server had the message at least from when it was seen until it
    /// was seen again, less what the observer may have been late.
    fn expiry(&self) -> Option<bool> {
        self.origins.iter().find_map(Publication::expiry_secs)?;
        let version5 = self.connection.version == Some(Version::V5);
        let remaining = self.publish.properties.number(property::MESSAGE_EXPIRY);
        Some(self.origins.iter().any(|origin| {
            let Some(expiry_secs) = origin.expiry_secs() else {
                return remaining.is_none();
            };
            // A will is published when its connection has ended, whenever that is.
            let waited = match origin.will_of {
                Some(_) => 0,
                None => (self.now.nanos - origin.at.nanos).saturating_sub(self.scope.slack_nanos),
            };
            let remains_secs = u64::from(expiry_secs).checked_sub(waited / SECOND);
            match (remains_secs, remaining) {
                (None, _) => false,
                (Some(most), Some(told)) => u64::from(told) <= most,
                (Some(_), None) => !version5,
            }
        }))
    }

    /// `qos`: before SUBACK, anything up to what was asked may have been granted.
    fn qos(&self) -> bool {
        let qos = self.publish.qos;
        self.ways.iter().any(|way| {
            let granted = way.request.qos;
            let fits = |published: u8| match way.granted {
                Some(_) => qos == published.min(granted),
                None => qos <= published.min(granted),
            };
            if self.origins.is_empty() {
                qos <= granted
            } else {
                self.origins.iter().any(|origin| fits(origin.qos))
            }
        })
    }

    /// `subscription-identifier`.
    fn identifiers(&self) -> Option<bool> {
        if self.connection.version != Some(Version::V5) {
            // The session may have got them by MQTT 5; here nobody can be told.
            return None;
        }
        let told = |id| self.publish.properties.numbers(id);
        let mut found = told(property::SUBSCRIPTION_IDENTIFIER).peekable();
        let any = self.ways.iter().any(|way| way.identifier.is_some());
        if found.peek().is_none() {
            let needless = self.ways.iter().any(|way| way.identifier.is_none());
            return any.then_some(needless);
        }
        Some(found.all(|id| self.ways.iter().any(|way| way.identifier == Some(id))))
    }

    /// `no-local`: a will is published by the server.
    fn no_local(&self) -> Option<bool> {
        let asked = self.ways.iter().any(|way| way.request.no_local);
        let other_way = self.ways.iter().any(|way| !way.request.no_local);
        let other_origin = self
            .origins
            .iter()
            .any(|origin| origin.will_of.is_some() || origin.publisher != self.session.client_id);
        (asked && !self.origins.is_empty()).then_some(other_way || other_origin)
    }

    /// `retain-flag`. Without Retain As Published the flag is 0 on what comes as it is
    /// published; a replay of a retained message has 1, once for each SUBSCRIBE and
    /// topic, if its Retain Handling allows it.
    fn retain_flag(&self) -> Option<bool> {
        let retain = self.publish.retain;
        let interesting = retain || self.origins.iter().any(|origin| origin.retain);
        interesting.then(|| self.live() || self.replay())
    }

    fn live(&self) -> bool {
        let retain = self.publish.retain;
        self.ways.iter().any(|way| {
            if way.request.retain_as_published {
                self.origins.is_empty() || self.origins.iter().any(|origin| origin.retain == retain)
            } else {
                !retain
            }
        })
    }

    /// Whether a subscription can have replayed this. Which one it was is not told, so
    /// the replays of a topic are counted against all SUBSCRIBEs that allow one.
    fn replay(&self) -> bool {
        let kept = self.origins.is_empty() || self.origins.iter().any(|origin| origin.retain);
        if !self.publish.retain || self.publish.payload.is_empty() || !kept {
            return false;
        }
        let allows = |way: &Subscription| {
            let allowed = match way.request.retain_handling {
                0 => true,
                1 => way.fresh,
                _ => false,
            };
            let shared = topic::split_shared(&way.request.filter).0.is_some();
            allowed && !shared
        };
        let all = self.session.matching(self.topic);
        let allowed = all.filter(|way| allows(way)).count();
        let before = self.session.replayed.get(self.topic).copied().unwrap_or(0);
        before < allowed && self.ways.iter().any(|way| allows(way))
    }

    /// The one publisher of a message that came as it was published and not through a
    /// shared subscription; with it, the numbers that the message may have.
    fn place_in_order(&self) -> Option<(OrderKey, Vec<u64>)> {
        let shared = |way: &Subscription| topic::split_shared(&way.request.filter).0.is_some();
        let first = self.origins.first()?;
        let alike = self.origins.iter().all(|origin| {
            origin.publisher == first.publisher
                && origin.qos == first.qos
                && origin.will_of.is_none()
                && !origin.numbers.is_empty()
        });
        if self.publish.retain || !alike || self.ways.iter().any(|way| shared(way)) {
            return None;
        }
        let publisher = first.publisher.clone();
        let key = (
            self.topic.to_owned(),
            publisher,
            first.qos,
            self.publish.qos,
        );
        let numbers = self
            .origins
            .iter()
            .flat_map(|origin| origin.numbers.iter().copied());
        Some((key, numbers.collect()))
    }

    /// The least number that is not before what the session has.
    fn next_in_order(&self) -> Option<(OrderKey, Option<u64>)> {
        let (key, numbers) = self.place_in_order()?;
        let last = self.session.delivered_last.get(&key).copied().unwrap_or(0);
        let next = numbers.into_iter().filter(|number| *number >= last).min();
        Some((key, next))
    }

    /// `order`: a publisher's packets are seen in its order, and so are the
    /// subscriber's. What was published again may come again in its new place.
    fn order_verdict(&self) -> Option<bool> {
        self.next_in_order().map(|(_, next)| next.is_some())
    }

    /// The highest number under its topic that this message may have.
    fn number_of_topic(&self) -> Option<((String, String), u64)> {
        let first = self.origins.first()?;
        let alike = self
            .origins
            .iter()
            .all(|origin| origin.publisher == first.publisher && origin.number_of_topic > 0);
        let highest = self
            .origins
            .iter()
            .map(|origin| origin.number_of_topic)
            .max()?;
        alike.then(|| ((self.topic.to_owned(), first.publisher.clone()), highest))
    }

    /// `retained-order`: one publisher, one topic; the newer one was itself published
    /// with RETAIN, so the server had put it in the older one's place.
    fn retained_order(&self) -> Option<bool> {
        if !self.publish.retain || self.live() {
            return None;
        }
        let (key, number) = self.number_of_topic()?;
        let newest = self.session.retained_last.get(&key).copied().unwrap_or(0);
        Some(number >= newest)
    }

    /// `once`. Each publication may come once for each subscription that matches it.
    /// Replays are not counted; of what has RETAIN 0, none is one.
    fn once(&self, session: usize) -> Option<bool> {
        if self.origins.is_empty() || self.publish.retain {
            return None;
        }
        let allowed = self.origins.len() * self.ways.len();
        let before = self.content?.delivered.get(&session).copied().unwrap_or(0);
        Some(before < allowed as u64)
    }

    /// The shared filter by which alone the message can have come.
    pub(crate) fn shared_filter(&self) -> Option<&'a str> {
        let filter = self.ways.first()?.request.filter.as_str();
        let alone = self.ways.iter().all(|way| way.request.filter == filter);
        let shared = topic::split_shared(filter).0.is_some();
        (self.session.known && shared && alone && !self.origins.is_empty()).then_some(filter)
    }

    /// How often it was published.
    pub(crate) fn copies(&self) -> usize {
        self.origins.len()
    }

    /// The one connection whose will this is, if it can be nothing else. A will that
    /// was retained may come again later.
    pub(crate) fn will(&self) -> Option<u64> {
        match self.origins {
            [only] if !self.publish.retain => only.will_of,
            _ => None,
        }
    }

    pub(crate) fn effects(&self) -> Effects {
        let replaced = |origin: &Publication| origin.retain;
        let retained = (!self.publish.retain && self.origins.iter().all(replaced))
            .then(|| self.number_of_topic())
            .flatten();
        Effects {
            order: self
                .next_in_order()
                .and_then(|(key, next)| next.map(|next| (key, next))),
            retained: retained.filter(|_| self.origins.len() == 1),
            replay: !self.live() && self.replay(),
        }
    }
}

/// What a server passes on as it is: user properties in their order, after the others,
/// whose order says nothing.
fn forwarded(properties: &Properties) -> Vec<&(u8, Value)> {
    let (user, mut other): (Vec<_>, Vec<_>) = properties
        .0
        .iter()
        .filter(|(id, _)| {
            matches!(
                *id,
                property::PAYLOAD_FORMAT
                    | property::CONTENT_TYPE
                    | property::RESPONSE_TOPIC
                    | property::CORRELATION_DATA
                    | property::USER_PROPERTY
            )
        })
        .partition(|(id, _)| *id == property::USER_PROPERTY);
    other.sort_by_key(|(id, _)| *id);
    other.extend(user);
    other
}
