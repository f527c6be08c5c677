//! Cohorts: connections and absent sessions that get the same bytes.
//!
//! Who has the same form of frames, the same largest packet and the same set of
//! subscriptions is in one cohort, and a message is appended once for all of them. A
//! cohort is found by its key, a keyed sum over its set that follows each change in one
//! step. So a member that subscribes moves to the cohort that has such a set already,
//! or, if it was alone, takes its cohort along, or founds one.
//!
//! ```text
//!   filter ──► its subscribers: (cohort, entry) ◄──► entry: (filter, subscriber) ◄── cohort's set
//! ```
//!
//! Sets of more than [`SHARED_FILTERS_MAX`] filters are their member's own: to copy
//! them would take too long. So are sets with an option that makes bytes differ between
//! members (No Local).

use crate::bag::{Bag, Bags, Place};
use crate::filters::{FilterId, Filters, FiltersFull};
use crate::index::Index;
use ringcast_codec::mqtt::TopicFilter;
use siphasher::sip128::{Hasher128, SipHasher13};
use slab::Slab;
use std::hash::Hasher;

/// All cohorts of a shard, and who subscribes to which filter.
pub(crate) struct Cohorts {
    filters: Filters,
    /// Of each filter, by its number.
    subscribers_of: Box<[Bag]>,
    subscribers: Bags<Subscriber, 3>,
    entries: Bags<Entry, 4>,
    cohorts: Slab<Cohort>,
    cohorts_max: usize,
    /// Those that may be shared, by their keys.
    by_key: Index,
    key: (u64, u64),
}

/// Names a cohort while it has members.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct CohortId(pub u32);

/// What members of a cohort have in common beside their subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Form {
    /// Protocol, version and transport, by a number that the shard gives.
    pub wire_form: u8,
    /// The largest packet that they take, in bytes.
    pub packet_bytes_max: u32,
}

/// What a subscription asks for, in so far as it makes a difference to what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Terms {
    /// At most this, 0 to 2.
    pub qos: u8,
    /// Not what the member itself published.
    pub no_local: bool,
    /// RETAIN is passed on as it was published.
    pub retain_as_published: bool,
    /// 1 to 268,435,455; 0 if there is none.
    pub identifier: u32,
}

/// There is no room for another cohort, filter or subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CohortsFull;

/// The largest set that members share.
pub(crate) const SHARED_FILTERS_MAX: usize = 64;

struct Cohort {
    form: Form,
    sum: u128,
    set: Bag,
    /// How many entries of the set have No Local.
    no_local: u32,
    members: u32,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    filter: FilterId,
    subscriber: Place,
    terms: Terms,
}

#[derive(Clone, Copy, Default)]
struct Subscriber {
    cohort: CohortId,
    entry: Place,
}

/// How large the tables are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Cohorts; as many as connections and sessions is always enough.
    pub cohorts: usize,
    /// Subscriptions, counted once for each cohort.
    pub subscriptions: usize,
}

impl Cohorts {
    /// With these filters, of which there are at most `filters_max`.
    pub(crate) fn new(filters: Filters, filters_max: usize, room: Room, key: (u64, u64)) -> Self {
        Self {
            filters,
            subscribers_of: vec![Bag::default(); filters_max].into(),
            // A page is begun for each filter, and filled after that.
            subscribers: Bags::new(room.subscriptions.div_ceil(3) + filters_max),
            entries: Bags::new(room.subscriptions.div_ceil(4) + room.cohorts),
            cohorts: Slab::with_capacity(room.cohorts),
            cohorts_max: room.cohorts,
            by_key: Index::new(room.cohorts),
            key,
        }
    }

    /// The filters that they subscribed to.
    pub(crate) fn filters(&self) -> &Filters {
        &self.filters
    }

    /// To be told of changes.
    pub(crate) fn filters_mut(&mut self) -> &mut Filters {
        &mut self.filters
    }

    /// A new member without subscriptions.
    pub(crate) fn enter(&mut self, form: Form) -> Result<CohortId, CohortsFull> {
        let sum = self.sum_of_form(form);
        let id = match self.find(form, sum) {
            Some(id) => id,
            None => self.found(form, sum)?,
        };
        self.get_mut(id).members += 1;
        Ok(id)
    }

    /// A member is gone; its cohort goes with the last one.
    pub(crate) fn leave(&mut self, id: CohortId) {
        let cohort = self.get_mut(id);
        cohort.members -= 1;
        if cohort.members == 0 {
            self.dissolve(id);
        }
    }

    /// How many members a cohort has.
    pub(crate) fn members(&self, id: CohortId) -> u32 {
        self.get(id).members
    }

    /// What the members of a cohort have subscribed to this filter on.
    pub(crate) fn terms(&self, id: CohortId, filter: TopicFilter<'_>) -> Option<Terms> {
        self.terms_of(id, self.filters.find(filter)?)
    }

    /// A member of this cohort subscribes, or changes what it subscribed to. Returns
    /// the cohort where it is now. If there is no room, nothing has changed.
    pub(crate) fn subscribe(
        &mut self,
        id: CohortId,
        filter: TopicFilter<'_>,
        terms: Terms,
    ) -> Result<CohortId, CohortsFull> {
        let filter = self
            .filters
            .acquire(filter)
            .map_err(|FiltersFull| CohortsFull)?;
        // Held until the cohort it leads to holds it, if one does.
        let moved = self.change(id, filter, Some(terms));
        self.filters.release(filter);
        moved
    }

    /// A member of this cohort takes a subscription back, which it has. Returns the
    /// cohort where it is now. If there is no room, nothing has changed.
    pub(crate) fn unsubscribe(
        &mut self,
        id: CohortId,
        filter: FilterId,
    ) -> Result<CohortId, CohortsFull> {
        self.change(id, filter, None)
    }

    /// A member of this cohort takes frames of another form from now on. Returns the cohort
    /// where it is now. If there is no room, nothing has changed.
    pub(crate) fn change_form(
        &mut self,
        id: CohortId,
        form: Form,
    ) -> Result<CohortId, CohortsFull> {
        let cohort = self.get(id);
        let before = cohort.form;
        if before == form {
            return Ok(id);
        }
        let sum = cohort
            .sum
            .wrapping_sub(self.sum_of_form(before))
            .wrapping_add(self.sum_of_form(form));
        if self.may_be_shared(id)
            && let Some(target) = self.find(form, sum)
        {
            self.get_mut(target).members += 1;
            self.leave(id);
            return Ok(target);
        }
        if self.get(id).members == 1 {
            self.forget_key(id);
            let cohort = self.get_mut(id);
            (cohort.form, cohort.sum) = (form, sum);
            self.keep_key(id);
            return Ok(id);
        }
        let new = self.found_unshared(form, sum)?;
        self.fill_split_off(id, new, None, None)
    }

    /// The cohorts that subscribe to a filter, each once, with their terms.
    pub(crate) fn subscribers(&self, filter: FilterId) -> impl Iterator<Item = (CohortId, Terms)> {
        let bag = self.subscribers_of[filter.0 as usize];
        self.subscribers
            .iter(bag)
            .map(|(_, subscriber)| (subscriber.cohort, self.entries.get(subscriber.entry).terms))
    }

    /// Moves one member to the cohort whose set has these terms for this filter.
    fn change(
        &mut self,
        id: CohortId,
        filter: FilterId,
        terms: Option<Terms>,
    ) -> Result<CohortId, CohortsFull> {
        let before = self
            .entry_of(id, filter)
            .map(|place| (place, self.entries.get(place).terms));
        if before.map(|(_, terms)| terms) == terms {
            return Ok(id);
        }
        let cohort = self.get(id);
        let form = cohort.form;
        let part = |terms| self.sum_of_entry(filter, terms);
        let sum = cohort
            .sum
            .wrapping_sub(before.map_or(0, |(_, terms)| part(terms)))
            .wrapping_add(terms.map_or(0, part));
        let len = cohort.set.len() + usize::from(terms.is_some()) - usize::from(before.is_some());
        let has = |terms: Option<Terms>| u32::from(terms.is_some_and(|terms| terms.no_local));
        let no_local = cohort.no_local + has(terms) - has(before.map(|(_, terms)| terms));
        let alone = cohort.members == 1;
        if no_local == 0
            && len <= SHARED_FILTERS_MAX
            && let Some(target) = self.find(form, sum)
        {
            self.get_mut(target).members += 1;
            self.leave(id);
            return Ok(target);
        }
        if alone {
            return self.rekey(id, filter, before.map(|(place, _)| place), terms, sum);
        }
        self.split_off(id, filter, terms, sum)
    }

    /// Changes the set of a cohort with one member.
    fn rekey(
        &mut self,
        id: CohortId,
        filter: FilterId,
        before: Option<Place>,
        terms: Option<Terms>,
        sum: u128,
    ) -> Result<CohortId, CohortsFull> {
        self.forget_key(id);
        match (before, terms) {
            (Some(place), Some(terms)) => {
                let old = std::mem::replace(&mut self.entries.get_mut(place).terms, terms);
                let cohort = self.get_mut(id);
                cohort.no_local += u32::from(terms.no_local);
                cohort.no_local -= u32::from(old.no_local);
            }
            (Some(place), None) => self.remove_entry(id, place),
            (None, Some(terms)) => {
                if let Err(full) = self.add_entry(id, filter, terms) {
                    self.keep_key(id);
                    return Err(full);
                }
            }
            (None, None) => unreachable!("something changes"),
        }
        self.get_mut(id).sum = sum;
        self.keep_key(id);
        Ok(id)
    }

    /// Founds a cohort for one member of another, with these terms for this filter.
    fn split_off(
        &mut self,
        id: CohortId,
        filter: FilterId,
        terms: Option<Terms>,
        sum: u128,
    ) -> Result<CohortId, CohortsFull> {
        let form = self.get(id).form;
        let new = self.found_unshared(form, sum)?;
        let changed = terms.map(|terms| (filter, terms));
        self.fill_split_off(id, new, Some(filter), changed)
    }

    /// A new cohort gets the set of another, without one filter and with another entry, and
    /// one of its members.
    fn fill_split_off(
        &mut self,
        id: CohortId,
        new: CohortId,
        without: Option<FilterId>,
        with: Option<(FilterId, Terms)>,
    ) -> Result<CohortId, CohortsFull> {
        let set = self.get(id).set;
        let same: Vec<_> = self
            .entries
            .iter(set)
            .map(|(_, entry)| (entry.filter, entry.terms))
            .filter(|(other, _)| Some(*other) != without)
            .collect();
        for (filter, terms) in same.into_iter().chain(with) {
            if let Err(full) = self.add_entry(new, filter, terms) {
                self.dissolve_unshared(new);
                return Err(full);
            }
        }
        self.keep_key(new);
        self.get_mut(new).members = 1;
        self.leave(id);
        Ok(new)
    }

    fn add_entry(
        &mut self,
        id: CohortId,
        filter: FilterId,
        terms: Terms,
    ) -> Result<(), CohortsFull> {
        let bag = &mut self.subscribers_of[filter.0 as usize];
        let subscriber = Subscriber {
            cohort: id,
            entry: Place(0),
        };
        let subscriber = self.subscribers.push(bag, subscriber).ok_or(CohortsFull)?;
        let cohort = &mut self.cohorts[id.0 as usize];
        let entry = Entry {
            filter,
            subscriber,
            terms,
        };
        let Some(entry) = self.entries.push(&mut cohort.set, entry) else {
            // The last of its bag: nothing moves.
            self.subscribers.remove(bag, subscriber);
            return Err(CohortsFull);
        };
        self.subscribers.get_mut(subscriber).entry = entry;
        cohort.no_local += u32::from(terms.no_local);
        self.filters.share(filter);
        Ok(())
    }

    fn remove_entry(&mut self, id: CohortId, place: Place) {
        let entry = *self.entries.get(place);
        let bag = &mut self.subscribers_of[entry.filter.0 as usize];
        if let Some(moved) = self.subscribers.remove(bag, entry.subscriber) {
            self.entries.get_mut(moved.entry).subscriber = entry.subscriber;
        }
        let cohort = &mut self.cohorts[id.0 as usize];
        if let Some(moved) = self.entries.remove(&mut cohort.set, place) {
            self.subscribers.get_mut(moved.subscriber).entry = place;
        }
        cohort.no_local -= u32::from(entry.terms.no_local);
        self.filters.release(entry.filter);
    }

    /// Looked for where there is less to look at: among the filters of the cohort, or
    /// the cohorts of the filter.
    fn entry_of(&self, id: CohortId, filter: FilterId) -> Option<Place> {
        let set = self.get(id).set;
        let subscribers = self.subscribers_of[filter.0 as usize];
        if subscribers.len() < set.len() {
            let mut subscribers = self.subscribers.iter(subscribers);
            return subscribers
                .find(|(_, subscriber)| subscriber.cohort == id)
                .map(|(_, subscriber)| subscriber.entry);
        }
        let mut entries = self.entries.iter(set);
        entries
            .find(|(_, entry)| entry.filter == filter)
            .map(|(place, _)| place)
    }

    /// What the members of a cohort have subscribed to this filter on.
    pub(crate) fn terms_of(&self, id: CohortId, filter: FilterId) -> Option<Terms> {
        let place = self.entry_of(id, filter)?;
        Some(self.entries.get(place).terms)
    }

    /// The filters of a cohort, in no order.
    pub(crate) fn set(&self, id: CohortId) -> impl ExactSizeIterator<Item = FilterId> {
        let set = self.get(id).set;
        let mut entries = self.entries.iter(set);
        (0..set.len()).map(move |_| {
            let (_, entry) = entries.next().expect("as many as it is long");
            entry.filter
        })
    }

    fn found(&mut self, form: Form, sum: u128) -> Result<CohortId, CohortsFull> {
        let id = self.found_unshared(form, sum)?;
        self.keep_key(id);
        Ok(id)
    }

    fn found_unshared(&mut self, form: Form, sum: u128) -> Result<CohortId, CohortsFull> {
        if self.cohorts.len() == self.cohorts_max {
            return Err(CohortsFull);
        }
        let number = self.cohorts.insert(Cohort {
            form,
            sum,
            set: Bag::default(),
            no_local: 0,
            members: 0,
        });
        Ok(CohortId(
            u32::try_from(number).expect("fewer than 2^32 cohorts"),
        ))
    }

    fn dissolve(&mut self, id: CohortId) {
        self.forget_key(id);
        self.dissolve_unshared(id);
    }

    fn dissolve_unshared(&mut self, id: CohortId) {
        while let Some(place) = self.entries.last(self.get(id).set) {
            self.remove_entry(id, place);
        }
        self.cohorts.remove(id.0 as usize);
    }

    /// The cohort with this key, if it may be shared.
    fn find(&self, form: Form, sum: u128) -> Option<CohortId> {
        let is_it = |number| {
            let cohort = self.get(CohortId(number));
            cohort.sum == sum && cohort.form == form
        };
        self.by_key.find(sum as u64, is_it).map(CohortId)
    }

    fn keep_key(&mut self, id: CohortId) {
        if self.may_be_shared(id) {
            self.by_key.insert(self.get(id).sum as u64, id.0);
        }
    }

    fn forget_key(&mut self, id: CohortId) {
        if self.may_be_shared(id) {
            self.by_key.remove(self.get(id).sum as u64, id.0);
        }
    }

    fn may_be_shared(&self, id: CohortId) -> bool {
        let cohort = self.get(id);
        cohort.no_local == 0 && cohort.set.len() <= SHARED_FILTERS_MAX
    }

    fn sum_of_form(&self, form: Form) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write_u8(form.wire_form);
        hasher.write_u32(form.packet_bytes_max);
        hasher.finish128().as_u128()
    }

    /// A filter keeps its number as long as a set has it, so the number will do.
    fn sum_of_entry(&self, filter: FilterId, terms: Terms) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write_u32(filter.0);
        hasher.write_u32(terms.identifier);
        hasher.write_u8(terms.qos);
        hasher.write_u8(terms.no_local.into());
        hasher.write_u8(terms.retain_as_published.into());
        hasher.finish128().as_u128()
    }

    fn get(&self, id: CohortId) -> &Cohort {
        &self.cohorts[id.0 as usize]
    }

    fn get_mut(&mut self, id: CohortId) -> &mut Cohort {
        &mut self.cohorts[id.0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::{CohortId, Cohorts, CohortsFull, Form, Room, SHARED_FILTERS_MAX, Terms};
    use crate::filters::Filters;
    use proptest::prelude::*;
    use ringcast_codec::mqtt::TopicFilter;
    use ringcast_ring::TopicHasher;
    use std::collections::BTreeMap;

    const MEMBERS: usize = 6;

    #[derive(Debug, Clone)]
    enum Step {
        Enter(usize, Form),
        Leave(usize),
        Subscribe(usize, usize, Terms),
        Unsubscribe(usize, usize),
    }

    fn step(filters: usize) -> impl Strategy<Value = Step> {
        let form = (0..2_u8, 0..2_u32).prop_map(|(wire_form, packet_bytes_max)| Form {
            wire_form,
            packet_bytes_max,
        });
        let terms = (0..2_u8, 0..8_u8, any::<bool>(), 0..2_u32).prop_map(
            |(qos, no_local, retain_as_published, identifier)| Terms {
                qos,
                no_local: no_local == 0,
                retain_as_published,
                identifier,
            },
        );
        prop_oneof![
            2 => (0..MEMBERS, form).prop_map(|(member, form)| Step::Enter(member, form)),
            1 => (0..MEMBERS).prop_map(Step::Leave),
            8 => (0..MEMBERS, 0..filters, terms)
                .prop_map(|(member, filter, terms)| Step::Subscribe(member, filter, terms)),
            3 => (0..MEMBERS, 0..filters)
                .prop_map(|(member, filter)| Step::Unsubscribe(member, filter)),
        ]
    }

    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Member {
        cohort: CohortId,
        form: Form,
        set: BTreeMap<usize, Terms>,
    }

    impl Member {
        fn may_share(&self) -> bool {
            self.set.len() <= SHARED_FILTERS_MAX && self.set.values().all(|terms| !terms.no_local)
        }
    }

    fn text(filter: usize) -> String {
        match filter % 3 {
            0 => format!("topic/{filter}"),
            1 => format!("+/{filter}"),
            _ => format!("{filter}/#"),
        }
    }

    /// Members with equal sets share a cohort, others do not, and each filter has just
    /// the subscribers that it should.
    fn check(
        cohorts: &Cohorts,
        members: &[Option<Member>],
        filters: usize,
    ) -> Result<(), TestCaseError> {
        let present: Vec<_> = members.iter().flatten().collect();
        for (place, one) in present.iter().enumerate() {
            let peers = present.iter().filter(|other| other.cohort == one.cohort);
            prop_assert_eq!(cohorts.members(one.cohort) as usize, peers.count());
            for other in &present[place + 1..] {
                let same = one.form == other.form && one.set == other.set && one.may_share();
                prop_assert_eq!(one.cohort == other.cohort, same, "{:?} {:?}", one, other);
            }
        }
        for filter in 0..filters {
            let text = text(filter);
            let filter_ = TopicFilter::new(&text).expect("it is one");
            let mut expected = BTreeMap::new();
            for member in &present {
                let terms = member.set.get(&filter).copied();
                prop_assert_eq!(cohorts.terms(member.cohort, filter_), terms);
                if let Some(terms) = terms {
                    expected.insert(member.cohort.0, terms);
                }
            }
            let id = cohorts.filters().find(filter_);
            prop_assert_eq!(id.is_some(), !expected.is_empty(), "a filter has users");
            let found: Vec<_> = id
                .into_iter()
                .flat_map(|id| cohorts.subscribers(id))
                .collect();
            prop_assert_eq!(found.len(), expected.len());
            for (cohort, terms) in found {
                prop_assert_eq!(expected.get(&cohort.0), Some(&terms));
            }
        }
        Ok(())
    }

    fn run(steps: Vec<Step>, filters: usize, room: Room) -> Result<(), TestCaseError> {
        let table = Filters::new(
            TopicHasher::new((3, 4)),
            filters,
            3 * filters + 1,
            9 * filters,
        );
        let mut cohorts = Cohorts::new(table, filters, room, (5, 6));
        let free = (
            cohorts.subscribers.free_pages(),
            cohorts.entries.free_pages(),
        );
        let mut members: Vec<Option<Member>> = vec![None; MEMBERS];
        let enough = room.cohorts >= MEMBERS && room.subscriptions >= MEMBERS * filters;
        for step in steps {
            match step {
                Step::Enter(member, form) => {
                    if members[member].is_none() {
                        match cohorts.enter(form) {
                            Ok(cohort) => {
                                let set = BTreeMap::new();
                                members[member] = Some(Member { cohort, form, set });
                            }
                            Err(CohortsFull) => prop_assert!(!enough),
                        }
                    }
                }
                Step::Leave(member) => {
                    if let Some(member) = members[member].take() {
                        cohorts.leave(member.cohort);
                    }
                }
                Step::Subscribe(member, filter, terms) => {
                    if let Some(member) = &mut members[member] {
                        let text = text(filter);
                        let filter_ = TopicFilter::new(&text).expect("it is one");
                        match cohorts.subscribe(member.cohort, filter_, terms) {
                            Ok(cohort) => {
                                member.cohort = cohort;
                                member.set.insert(filter, terms);
                            }
                            Err(CohortsFull) => prop_assert!(!enough),
                        }
                    }
                }
                Step::Unsubscribe(member, filter) => {
                    if let Some(member) = &mut members[member]
                        && member.set.contains_key(&filter)
                    {
                        let text = text(filter);
                        let filter_ = TopicFilter::new(&text).expect("it is one");
                        let id = cohorts.filters().find(filter_).expect("it has a user");
                        match cohorts.unsubscribe(member.cohort, id) {
                            Ok(cohort) => {
                                member.cohort = cohort;
                                member.set.remove(&filter);
                            }
                            Err(CohortsFull) => prop_assert!(!enough),
                        }
                    }
                }
            }
            check(&cohorts, &members, filters)?;
        }
        for member in members.into_iter().flatten() {
            cohorts.leave(member.cohort);
        }
        prop_assert_eq!(
            (
                cohorts.subscribers.free_pages(),
                cohorts.entries.free_pages()
            ),
            free
        );
        prop_assert!(cohorts.cohorts.is_empty());
        Ok(())
    }

    proptest! {
        #[test]
        fn equal_sets_share_a_cohort(steps in prop::collection::vec(step(5), 0..80)) {
            run(steps, 5, Room { cohorts: MEMBERS, subscriptions: 5 * MEMBERS })?;
        }

        #[test]
        fn what_has_no_room_changes_nothing(steps in prop::collection::vec(step(5), 0..80)) {
            run(steps, 5, Room { cohorts: 3, subscriptions: 4 })?;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn large_sets_are_their_members_own(steps in prop::collection::vec(step(70), 100..400)) {
            run(steps, 70, Room { cohorts: MEMBERS, subscriptions: 70 * MEMBERS })?;
        }
    }
}
