//! From a message's topic to the cohorts that get it, and how each gets it.

use crate::cohorts::{CohortId, Cohorts, CohortsFull, Form, Terms};
use crate::filters::FilterId;
use crate::topics::{TopicId, Topics};
use ringcast_codec::mqtt::TopicFilter;

/// The subscriptions of a shard, and what is known of topics.
pub(crate) struct Routes {
    cohorts: Cohorts,
    topics: Topics,
    /// Of each cohort, by its number: in which route it was met last, and as which.
    met: Box<[Met]>,
    route: u32,
}

#[derive(Clone, Copy, Default)]
struct Met {
    route: u32,
    place: u32,
}

/// The cohorts that get a message. Made once, and filled for each.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    list: Vec<Match>,
    /// Subscription identifiers, each with the place of its match.
    identifiers: Vec<(u32, u32)>,
}

/// A cohort that gets a message, once, however many of its subscriptions match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Match {
    /// Which cohort.
    pub cohort: CohortId,
    /// The highest that a matching subscription allows.
    pub qos: u8,
    /// Whether one of them wants RETAIN as it was published.
    pub retain_as_published: bool,
    /// How many of them have an identifier.
    pub identifiers: u32,
}

impl Matches {
    /// Room for so many cohorts and identifiers; more of them allocate.
    pub(crate) fn with_capacity(cohorts: usize, identifiers: usize) -> Self {
        Self {
            list: Vec::with_capacity(cohorts),
            identifiers: Vec::with_capacity(identifiers),
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.list.clear();
        self.identifiers.clear();
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// The one at a place.
    pub(crate) fn at(&self, place: usize) -> Match {
        self.list[place]
    }

    /// All of them, in no order.
    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Match> {
        self.list.iter()
    }

    /// The identifiers that this match's frame carries, in ascending order.
    pub(crate) fn identifiers(&self, place: usize) -> impl Iterator<Item = u32> {
        let place = place as u32;
        let start = self
            .identifiers
            .partition_point(|(owner, _)| *owner < place);
        self.identifiers[start..]
            .iter()
            .take_while(move |(owner, _)| *owner == place)
            .map(|(_, identifier)| *identifier)
    }
}

impl Routes {
    /// For at most so many cohorts.
    pub(crate) fn new(cohorts: Cohorts, cohorts_max: usize, topics: Topics) -> Self {
        Self {
            cohorts,
            topics,
            met: vec![Met::default(); cohorts_max].into(),
            route: 0,
        }
    }

    /// The topics that are known.
    pub(crate) fn topics(&self) -> &Topics {
        &self.topics
    }

    /// See [`Topics::pin`].
    pub(crate) fn pin(&mut self, id: TopicId, pinned: bool) {
        self.topics.pin(id, pinned);
    }

    /// The cohorts, and who subscribes to what.
    pub(crate) fn cohorts(&self) -> &Cohorts {
        &self.cohorts
    }

    /// Whether a cohort that was met in the last route is still the same: not one that
    /// was founded since in its place.
    pub(crate) fn is_met(&self, id: CohortId) -> bool {
        self.met[id.0 as usize].route == self.route
    }

    /// See [`Cohorts::enter`].
    pub(crate) fn enter(&mut self, form: Form) -> Result<CohortId, CohortsFull> {
        self.cohorts.enter(form)
    }

    /// See [`Cohorts::leave`].
    pub(crate) fn leave(&mut self, id: CohortId) {
        if self.cohorts.members(id) == 1 {
            self.met[id.0 as usize].route = 0;
        }
        self.cohorts.leave(id);
        self.on_filters_changed();
    }

    /// See [`Cohorts::change_form`].
    pub(crate) fn change_form(
        &mut self,
        id: CohortId,
        form: Form,
    ) -> Result<CohortId, CohortsFull> {
        let alone = self.cohorts.members(id) == 1;
        let moved = self.cohorts.change_form(id, form);
        self.on_moved(id, alone, moved)
    }

    /// See [`Cohorts::subscribe`].
    pub(crate) fn subscribe(
        &mut self,
        id: CohortId,
        filter: TopicFilter<'_>,
        terms: Terms,
    ) -> Result<CohortId, CohortsFull> {
        let alone = self.cohorts.members(id) == 1;
        let moved = self.cohorts.subscribe(id, filter, terms);
        self.on_moved(id, alone, moved)
    }

    /// Takes a subscription back; nothing if there is none. See [`Cohorts::unsubscribe`].
    pub(crate) fn unsubscribe(
        &mut self,
        id: CohortId,
        filter: TopicFilter<'_>,
    ) -> Option<Result<CohortId, CohortsFull>> {
        self.cohorts.terms(id, filter)?;
        let filter = self.cohorts.filters().find(filter)?;
        let alone = self.cohorts.members(id) == 1;
        let moved = self.cohorts.unsubscribe(id, filter);
        Some(self.on_moved(id, alone, moved))
    }

    fn on_moved(
        &mut self,
        from: CohortId,
        alone: bool,
        moved: Result<CohortId, CohortsFull>,
    ) -> Result<CohortId, CohortsFull> {
        if alone && moved.is_ok_and(|to| to != from) {
            self.met[from.0 as usize].route = 0;
        }
        self.on_filters_changed();
        moved
    }

    fn on_filters_changed(&mut self) {
        while let Some(hash) = self.cohorts.filters_mut().next_exact_change() {
            self.topics.on_exact_change(hash);
        }
    }

    /// Finds who gets a message on this topic, whose hash this is. `own` is the cohort
    /// of its publisher, which does not get it where it said No Local.
    pub(crate) fn route(
        &mut self,
        hash: u64,
        topic: &[u8],
        own: Option<CohortId>,
        matches: &mut Matches,
    ) -> Option<TopicId> {
        let Self {
            cohorts,
            topics,
            met,
            route,
        } = self;
        matches.clear();
        *route = route.wrapping_add(1);
        if *route == 0 {
            // What was met 2^32 messages ago must not look as if it were now.
            met.fill(Met::default());
            *route = 1;
        }
        let filters = cohorts.filters();
        let mut meet = |filter| {
            for (cohort, terms) in cohorts.subscribers(filter) {
                if !(terms.no_local && own == Some(cohort)) {
                    matches.add(cohort, terms, *route, &mut met[cohort.0 as usize]);
                }
            }
        };
        let id = topics.find_or_learn(hash, topic);
        match id {
            Some(id) => topics.filters_of(id, topic, filters, meet),
            None => {
                filters.exact(hash, topic).into_iter().for_each(&mut meet);
                filters.wildcards(topic, &mut meet);
            }
        }
        matches.identifiers.sort_unstable();
        id
    }
}

impl Routes {
    /// How a cohort gets messages of one topic, whose hash this is, if it does; `is_own` if
    /// its member published them. The first of the matches is that, with its identifiers.
    pub(crate) fn delivery(
        &mut self,
        id: CohortId,
        (hash, topic): (u64, &[u8]),
        is_own: bool,
        matches: &mut Matches,
    ) -> Option<Match> {
        let Self {
            cohorts, topics, ..
        } = self;
        matches.clear();
        let mut met = Met::default();
        let filters = cohorts.filters();
        let mut meet = |filter| {
            let terms = cohorts.terms_of(id, filter);
            if let Some(terms) = terms.filter(|terms| !(is_own && terms.no_local)) {
                matches.add(id, terms, 1, &mut met);
            }
        };
        match topics.find(hash, topic) {
            Some(known) => topics.filters_of(known, topic, filters, meet),
            None => {
                filters.exact(hash, topic).into_iter().for_each(&mut meet);
                filters.wildcards(topic, &mut meet);
            }
        }
        matches.identifiers.sort_unstable();
        matches.list.first().copied()
    }

    /// The known topic that a filter without wildcards is; its text goes into the buffer.
    pub(crate) fn topic_of(&self, filter: FilterId, buffer: &mut Vec<u8>) -> Option<TopicId> {
        let hash = self.cohorts.filters().exact_text(filter, buffer)?;
        self.topics.find(hash, buffer)
    }

    /// The same for one that nobody need have subscribed to.
    pub(crate) fn topic_named(&self, topic: &[u8]) -> Option<TopicId> {
        self.topics.find(self.cohorts.filters().hash(topic), topic)
    }
}

impl Matches {
    fn add(&mut self, cohort: CohortId, terms: Terms, route: u32, met: &mut Met) {
        if met.route != route {
            let place = u32::try_from(self.list.len()).expect("fewer than 2^32 cohorts");
            *met = Met { route, place };
            self.list.push(Match {
                cohort,
                qos: 0,
                retain_as_published: false,
                identifiers: 0,
            });
        }
        let found = &mut self.list[met.place as usize];
        found.qos = found.qos.max(terms.qos);
        found.retain_as_published |= terms.retain_as_published;
        if terms.identifier > 0 {
            found.identifiers += 1;
            self.identifiers.push((met.place, terms.identifier));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Matches, Routes};
    use crate::cohorts::{CohortId, Cohorts, Form, Room, Terms};
    use crate::filters::Filters;
    use crate::topics::Topics;
    use proptest::prelude::*;
    use ringcast_codec::market::DeliveryClasses;
    use ringcast_codec::mqtt::{TopicFilter, TopicName};
    use ringcast_ring::TopicHasher;
    use std::collections::BTreeMap;

    const MEMBERS: usize = 4;

    const FILTERS: [&str; 10] = [
        "#", "a", "a/#", "a/b", "+/b", "a/+", "b", "b/+/a", "+", "$a/#",
    ];

    const TOPICS: [&str; 8] = ["a", "b", "a/b", "b/b/a", "b/a", "$a/b", "c/b", "x"];

    fn form() -> Form {
        Form {
            wire_form: 0,
            packet_bytes_max: 0,
        }
    }

    /// A member's number or that of nobody, a filter or a topic, and what to do.
    type Step = (usize, usize, Terms, u8);

    fn step() -> impl Strategy<Value = Step> {
        let terms = (0..3_u8, 0..4_u8, any::<bool>(), 0..3_u32).prop_map(
            |(qos, no_local, retain_as_published, identifier)| Terms {
                qos,
                no_local: no_local == 0,
                retain_as_published,
                identifier,
            },
        );
        (0..=MEMBERS, 0..FILTERS.len(), terms, 0..8_u8)
    }

    fn run(steps: Vec<Step>, topics: Topics) -> Result<(), TestCaseError> {
        let hasher = TopicHasher::new((7, 8));
        let filters = Filters::new(hasher, FILTERS.len(), 40, 100);
        let room = Room {
            cohorts: MEMBERS,
            subscriptions: MEMBERS * FILTERS.len(),
        };
        let cohorts = Cohorts::new(filters, FILTERS.len(), room, (9, 10));
        let mut routes = Routes::new(cohorts, MEMBERS, topics);
        let mut matches = Matches::default();
        let mut members: Vec<(CohortId, BTreeMap<&str, Terms>)> = (0..MEMBERS)
            .map(|_| {
                (
                    routes.enter(form()).expect("there is room"),
                    BTreeMap::new(),
                )
            })
            .collect();
        for (who, what, terms, kind) in steps {
            let filter = FILTERS[what];
            let parsed = TopicFilter::new(filter).expect("it is one");
            match kind {
                0..4 => {
                    if let Some((cohort, set)) = members.get_mut(who) {
                        *cohort = routes
                            .subscribe(*cohort, parsed, terms)
                            .expect("there is room");
                        set.insert(filter, terms);
                    }
                }
                4 => {
                    if let Some((cohort, set)) = members.get_mut(who) {
                        let moved = routes.unsubscribe(*cohort, parsed);
                        prop_assert_eq!(moved.is_some(), set.remove(filter).is_some());
                        if let Some(moved) = moved {
                            *cohort = moved.expect("there is room");
                        }
                    }
                }
                5 => {
                    if let Some((cohort, set)) = members.get_mut(who) {
                        routes.leave(*cohort);
                        set.clear();
                        *cohort = routes.enter(form()).expect("there is room");
                    }
                }
                _ => {
                    let topic = TOPICS[what % TOPICS.len()];
                    let own = members.get(who).map(|(cohort, _)| *cohort);
                    routes.route(
                        hasher.topic(topic.as_bytes()),
                        topic.as_bytes(),
                        own,
                        &mut matches,
                    );
                    let name = TopicName::new(topic).expect("it is one");
                    let mut expected = BTreeMap::new();
                    for (cohort, set) in &members {
                        let found: Vec<_> = set
                            .iter()
                            .filter(|(filter, _)| {
                                TopicFilter::new(filter).expect("it is one").matches(name)
                            })
                            .map(|(_, terms)| terms)
                            .filter(|terms| !(terms.no_local && own == Some(*cohort)))
                            .collect();
                        if let Some(qos) = found.iter().map(|terms| terms.qos).max() {
                            let retain = found.iter().any(|terms| terms.retain_as_published);
                            let mut identifiers: Vec<_> =
                                found.iter().map(|terms| terms.identifier).collect();
                            identifiers.retain(|identifier| *identifier > 0);
                            identifiers.sort_unstable();
                            expected.insert(cohort.0, (qos, retain, identifiers));
                        }
                    }
                    let mut found = BTreeMap::new();
                    for one in matches.iter() {
                        prop_assert!(routes.is_met(one.cohort));
                    }
                    for (place, one) in matches.iter().enumerate() {
                        let identifiers: Vec<_> = matches.identifiers(place).collect();
                        prop_assert_eq!(identifiers.len() as u32, one.identifiers);
                        let how = (one.qos, one.retain_as_published, identifiers);
                        prop_assert_eq!(found.insert(one.cohort.0, how), None, "each once");
                    }
                    prop_assert_eq!(found, expected, "of {}", topic);
                }
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn a_message_reaches_who_subscribed_to_it(steps in prop::collection::vec(step(), 0..200)) {
            run(steps, Topics::new(20, 40, 40, DeliveryClasses::standard()))?;
        }

        /// Topics are forgotten all the time, and what was found finds no room.
        #[test]
        fn it_does_so_without_room_to_remember(steps in prop::collection::vec(step(), 0..200)) {
            run(steps, Topics::new(3, 2, 2, DeliveryClasses::standard()))?;
        }
    }
}
