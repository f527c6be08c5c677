//! A PUBLISH that reaches a client: whether it may, whether it is in its place, and
//! whether its bytes are right.

use super::link::{Link, What};
use super::log::Logged;
use super::session::{Session, Subscription};
use super::{Oracle, Seen, Verdict};
use crate::kind::Kind;
use crate::packets;
use crate::topics::{self, Policy, TOPICS};
use ringcast_referee::packet::{Properties, Publish, Value, Version, property};

/// The subscriptions that a message can have come by.
struct Ways<'a> {
    session: &'a Session,
    version: Version,
    /// Those that are not answered yet.
    pending: Vec<Subscription>,
    /// The filters whose subscriptions end or change with a request that is not answered,
    /// and where the log ended when it was sent.
    unsure: Vec<(&'a str, u64)>,
}

impl<'a> Ways<'a> {
    fn new(session: &'a Session, link: &'a Link, qos_max: u8) -> Self {
        let mut unsure: Vec<(&str, u64)> = Vec::new();
        for asked in link.requests.iter().chain(&session.unanswered) {
            match &asked.what {
                What::Subscribe(requests, _) => {
                    let filters = requests.iter().map(|request| &*request.filter);
                    unsure.extend(filters.map(|filter| (filter, asked.at)));
                }
                What::Unsubscribe(filters) => {
                    unsure.extend(filters.iter().map(|filter| (&**filter, asked.at)));
                }
            }
        }
        Self {
            session,
            version: link.version,
            pending: link.pending(&session.unanswered, qos_max),
            unsure,
        }
    }

    /// All there are.
    fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.session.subscriptions.iter().chain(&self.pending)
    }

    /// Those that may bring a message.
    fn may(&self, message: &Logged, is_own: bool) -> impl Iterator<Item = &Subscription> {
        self.iter()
            .filter(move |one| one.may_bring(message, is_own))
    }

    /// Those that bring it, if anything does.
    fn sure(&self, message: &Logged, is_own: bool) -> impl Iterator<Item = &Subscription> {
        self.iter().filter(move |one| {
            let mut unsure = self.unsure.iter();
            one.surely_brings(message, is_own)
                && !unsure
                    .any(|(filter, at)| *filter == one.request.filter && message.sequence > *at)
        })
    }
}

/// How a message came.
enum Way {
    /// As it was published.
    Live,
    /// As the retained message of this subscription.
    Replay(usize),
    /// One or the other.
    Unclear,
    /// Once more, on another connection.
    Again,
}

impl Oracle {
    pub(super) fn on_delivery(
        &mut self,
        link: &mut Link,
        publish: &Publish,
        whole: &[u8],
        seen: Seen,
    ) -> Verdict {
        let topic = link.topic_of(publish)?;
        let number = topics::number(&topic).ok_or("nobody publishes there")?;
        if topics::is_shared(number) {
            return self.on_shared(link, publish, number, whole, seen);
        }
        if link.is_unknown {
            return Ok(());
        }
        let ways = Ways::new(&self.sessions[link.session], link, self.abilities.qos_max);
        let as_it_is = self.log.saying(number, &publish.payload);
        let original = || self.log.saying(number, &unmarked(&publish.payload));
        let is_conflated = as_it_is.is_none();
        let sequence = as_it_is
            .or_else(original)
            .ok_or("nobody has published this")?;
        let message = self.log.at(sequence);
        self.check_time(link, message, seen)?;
        if is_conflated && !(link.is_slow(seen) && TOPICS[number].policy == Policy::Latest) {
            return Err("it has a mark that it must not have".to_owned());
        }
        let owner = topic
            .strip_prefix("user/")
            .and_then(|rest| rest.split('/').next());
        if owner.is_some() && owner != link.user.as_deref() {
            return Err("it is private".to_owned());
        }
        let is_own = self.is_own(link, message);
        let is_again = publish.dup && ways.session.sent.contains(&sequence);
        let way = match is_again {
            true => Way::Again,
            // It was on its way to the connection before, whose client saw nothing of it.
            false if publish.dup && link.is_resumed => Way::Unclear,
            false if publish.dup => return Err(format!("message {sequence} was not sent before")),
            false => way(&ways, publish, message, is_own)?,
        };
        self.check_bytes(link, publish, message, whole, seen)?;
        if let Way::Live = way {
            self.check_live(link, publish, sequence, &ways, seen)?;
            let expired = self.expired_before(link, sequence, publish.qos, seen);
            self.counts.add(Kind::Expired, expired);
        }
        if is_conflated {
            self.counts.count(Kind::Conflated);
        }
        let is_retained = self.log.at(sequence).draft.retain;
        self.note_sent(link, publish, sequence);
        let session = &mut self.sessions[link.session];
        let reader = &mut session.readers[number][usize::from(publish.qos)];
        if is_retained {
            reader.retained_last = reader.retained_last.max(sequence);
        }
        match way {
            Way::Live => {
                reader.last = sequence;
                let numbers = self.log.of_topic(number);
                reader.checked = numbers.partition_point(|other| *other <= sequence);
            }
            Way::Again => self.counts.count(Kind::Again),
            Way::Unclear => {
                reader.unclear.insert(sequence);
            }
            Way::Replay(subscription) => {
                self.counts.count(Kind::Replay);
                let all = &mut self.sessions[link.session].subscriptions;
                if let Some(held) = all.get_mut(subscription) {
                    held.replayed.insert(number);
                }
            }
        }
        Ok(())
    }

    /// A message comes after its shard has read it, and before it has expired.
    pub(super) fn check_time(&self, link: &Link, message: &Logged, seen: Seen) -> Verdict {
        let sequence = message.sequence;
        if sequence > seen.routed {
            return Err(format!("message {sequence} was not read yet"));
        }
        let expires = message.expires_micros;
        let has_expired = expires > 0 && expires + self.bounds.late_micros_max < seen.wall_micros;
        match has_expired && !link.is_slow(seen) {
            true => Err(format!("message {sequence} has expired")),
            false => Ok(()),
        }
    }

    /// What has to be acknowledged is remembered.
    pub(super) fn note_sent(&mut self, link: &mut Link, publish: &Publish, sequence: u64) {
        if publish.qos == 0 {
            return;
        }
        let session = &mut self.sessions[link.session];
        session.sent.insert(sequence);
        session.open.insert(sequence, link.socket);
        // Whoever may be sent no more is as slow as who takes no more.
        link.free_quota();
        let most = link.receive_maximum.min(self.bounds.inflight_max);
        link.held += 1;
        link.was_blocked |= link.held.max(session.open.len()) >= most;
        session.ids.insert(publish.packet_id, sequence);
    }

    /// A message as it was published: in its place, and none is left out before it.
    fn check_live(
        &self,
        link: &Link,
        publish: &Publish,
        sequence: u64,
        ways: &Ways<'_>,
        seen: Seen,
    ) -> Verdict {
        let message = self.log.at(sequence);
        let session = &self.sessions[link.session];
        let topic = message.draft.topic;
        let reader = &session.readers[topic][usize::from(publish.qos)];
        if sequence <= reader.last {
            return Err(format!("message {sequence} after message {}", reader.last));
        }
        let numbers = self.log.of_topic(topic);
        let before = numbers.partition_point(|other| *other < sequence);
        let between = &numbers[reader.checked..before.max(reader.checked)];
        if let Some(missing) = self.missing(link, session, between, publish.qos, seen) {
            return Err(format!("message {sequence} without {missing} before it"));
        }
        let is_own = self.is_own(link, message);
        let held = || ways.may(message, is_own);
        let sure = || ways.sure(message, is_own);
        let qos = publish.qos;
        if !held().any(|one| one.qos.min(message.draft.qos) == qos)
            || sure().any(|one| one.qos.min(message.draft.qos) > qos)
        {
            return Err(format!("QoS {qos} was not granted"));
        }
        let keeps = |one: &Subscription| one.request.retain_as_published && message.draft.retain;
        let is_flag_right = match publish.retain {
            true => held().any(keeps),
            false => !sure().any(keeps),
        };
        if !is_flag_right {
            return Err("its RETAIN flag is wrong".to_owned());
        }
        match identifiers_fit(ways, publish, message, is_own) {
            true => Ok(()),
            false => Err("its identifiers are others".to_owned()),
        }
    }

    /// How many messages were left out before one because they had expired.
    fn expired_before(&self, link: &Link, sequence: u64, qos: u8, seen: Seen) -> u64 {
        let session = &self.sessions[link.session];
        let topic = self.log.at(sequence).draft.topic;
        let numbers =
            self.log.of_topic(topic)[session.readers[topic][usize::from(qos)].checked..].iter();
        let expired = numbers
            .take_while(|other| **other < sequence)
            .filter(|other| {
                let message = self.log.at(**other);
                let has_expired = (1..=seen.wall_micros).contains(&message.expires_micros);
                has_expired && session.must_get(message, self.is_own(link, message)) == Some(qos)
            });
        expired.count() as u64
    }

    /// The bytes are those of an independent encoding.
    pub(super) fn check_bytes(
        &self,
        link: &Link,
        publish: &Publish,
        message: &Logged,
        whole: &[u8],
        seen: Seen,
    ) -> Verdict {
        // Where an alias stands is the server's choice, and what was sent once does not
        // expire any more.
        let is_open = publish.properties.has(property::TOPIC_ALIAS) || publish.dup;
        if is_open {
            return Ok(());
        }
        let mut list = Properties::default();
        let told = publish.properties.number(property::MESSAGE_EXPIRY);
        if message.expires_micros > 0 && link.version == Version::V5 {
            let told = told.ok_or("it does not say that it expires")?;
            let lives = message.expires_micros.saturating_sub(message.ingest_micros);
            let left = message.expires_micros.saturating_sub(seen.wall_micros);
            // What was blocked was written before it waited.
            let is_late = !link.is_slow(seen)
                && u64::from(told) * 1_000_000 > left + self.bounds.late_micros_max;
            if told == 0 || is_late || u64::from(told) > lives.div_ceil(1_000_000) {
                return Err(format!("it says that it expires in {told} s"));
            }
            list.0.push((property::MESSAGE_EXPIRY, Value::Number(told)));
        }
        let identifiers = publish
            .properties
            .numbers(property::SUBSCRIPTION_IDENTIFIER);
        let identifiers =
            identifiers.map(|id| (property::SUBSCRIPTION_IDENTIFIER, Value::Number(id)));
        list.0.extend(identifiers);
        let mut block = packets::block(&list);
        block.extend_from_slice(&message.draft.block);
        let expected = packets::Publish {
            dup: publish.dup,
            qos: publish.qos,
            retain: publish.retain,
            packet_id: publish.packet_id,
            topic: TOPICS[message.draft.topic].name,
            block: &block,
            payload: &publish.payload,
        };
        match expected.encode(link.version) == whole {
            true => Ok(()),
            false => Err("its bytes are not those of its message".to_owned()),
        }
    }
}

/// Whether a message that came as it was published has the identifiers of the
/// subscriptions that brought it, in ascending order.
fn identifiers_fit(ways: &Ways<'_>, publish: &Publish, message: &Logged, is_own: bool) -> bool {
    if ways.version != Version::V5 {
        // MQTT 3 can not say those that its session got by MQTT 5.
        return true;
    }
    let told: Vec<u32> = identifiers(publish).collect();
    let can_be = |id: &u32| {
        let mut held = ways.may(message, is_own);
        held.any(|one| one.identifier == *id)
    };
    let is_told = |one: &Subscription| one.identifier == 0 || told.contains(&one.identifier);
    let mut sure = ways.sure(message, is_own);
    told.iter().all(can_be) && sure.all(is_told) && told.is_sorted()
}

fn identifiers(publish: &Publish) -> impl Iterator<Item = u32> + '_ {
    publish
        .properties
        .numbers(property::SUBSCRIPTION_IDENTIFIER)
}

/// How a message can have come, if it can at all.
fn way(ways: &Ways<'_>, publish: &Publish, message: &Logged, is_own: bool) -> Result<Way, String> {
    let topic = message.draft.topic;
    let sequence = message.sequence;
    let readers = &ways.session.readers[topic];
    let reader = &readers[usize::from(publish.qos)];
    let retained_last = readers
        .iter()
        .map(|reader| reader.retained_last)
        .max()
        .unwrap_or(0);
    let may = || ways.may(message, is_own);
    let is_marked = || may().any(|one| one.request.retain_as_published && message.draft.retain);
    let live = match publish.retain {
        false => may().next().is_some(),
        true => is_marked() && may().any(|one| one.qos.min(message.draft.qos) == publish.qos),
    };
    if live && !publish.retain {
        return Ok(Way::Live);
    }
    let fits = || identifiers_fit(ways, publish, message, is_own);
    let live = live && sequence > reader.last && fits();
    if !publish.retain {
        let name = TOPICS[topic].name;
        let near = ways
            .iter()
            .filter(|one| ringcast_referee::topic::matches(&one.request.filter, name))
            .map(|one| {
                let (filter, until) = (&one.request.filter, one.gone);
                format!("{filter} from {} to {until:?}", one.asked)
            });
        let near: Vec<_> = near.collect();
        return Err(format!(
            "message {sequence} was not asked for, but {near:?}"
        ));
    }
    if !live && (!message.draft.retain || message.draft.payload.is_empty()) {
        return Err(format!("message {sequence} is not retained"));
    }
    if !live && retained_last > sequence {
        return Err(format!(
            "message {sequence} was replaced by message {retained_last}"
        ));
    }
    let identifier = identifiers(publish).next().unwrap_or(0);
    let place = ways.iter().position(|one| {
        one.replays
            && (one.identifier == identifier || ways.version != Version::V5)
            && one.qos.min(message.draft.qos) == publish.qos
            && !(is_own && one.request.no_local)
            && sequence <= one.granted
            && !one.replayed.contains(&topic)
            && ringcast_referee::topic::matches(&one.request.filter, TOPICS[topic].name)
    });
    match place {
        Some(_) if live && !reader.unclear.contains(&sequence) => Ok(Way::Unclear),
        Some(place) => Ok(Way::Replay(place)),
        None if live => Ok(Way::Live),
        None => Err(format!("the retained message {sequence} was not asked for")),
    }
}

/// A market message as it was before it was marked as conflated, by the book: instead of
/// the mark it had the number before its own.
fn unmarked(payload: &[u8]) -> Vec<u8> {
    const MARK: &str = ",\"conflated\":true";
    let text = String::from_utf8_lossy(payload);
    let original = text.split_once(MARK).and_then(|(head, tail)| {
        let (_, sequence) = head.split_once("\"seq\":")?;
        let sequence: u64 = sequence.parse().ok()?;
        Some(format!("{head},\"prev\":{}{tail}", sequence - 1))
    });
    original.map_or_else(Vec::new, String::into_bytes)
}
