//! A model of a broker that keeps all rules, or has one [`Flaw`].

use std::collections::HashSet;

use ringcast_referee::topic;

use super::{
    ALIASES, CLIENTS, Delivery, Flaw, Message, Open, RECEIVE_MAXIMUM, Said, Session, Subscription,
    Told, World,
};
use crate::support::{self as bytes, Publish, message};

impl World {
    pub(super) fn handle(&mut self) {
        let Some(link) = self.draw_link(|link| !link.arriving.is_empty()) else {
            return;
        };
        let said = self.links[link].arriving.pop_front().expect("not empty");
        if !self.links[link].broker_open {
            return;
        }
        let client = self.links[link].client;
        let version = CLIENTS[client].1;
        match said {
            Said::Connect { clean, will } => self.accept(link, clean, will),
            Said::Closed | Said::Nonsense => self.drop_link(link, true),
            Said::Disconnect => self.drop_link(link, self.has(Flaw::GoodbyeIgnored)),
            Said::Pingreq => {
                self.tell(link, bytes::pingresp(), Told::Other);
                let open = self.session(client).open.first();
                let first = open.map(|open| (open.id, open.delivery.clone()));
                if let (Some((id, delivery)), true) = (first, self.has(Flaw::ResentAlive)) {
                    self.send(link, &delivery, id, true);
                }
            }
            Said::Publish(publish) => self.receive(link, publish),
            Said::Pubrel(id) => {
                self.session(client).inbound.remove(&id);
                self.tell(link, bytes::pubcomp(id), Told::Pubcomp(id));
            }
            Said::Puback(id) | Said::Pubcomp(id) => {
                self.session(client).open.retain(|open| open.id != id);
                self.pump(client);
            }
            Said::Pubrec(id) => {
                let open = self
                    .session(client)
                    .open
                    .iter_mut()
                    .find(|open| open.id == id);
                if let Some(open) = open {
                    open.released = true;
                }
                self.tell(link, bytes::pubrel(id), Told::Pubrel(id));
            }
            Said::Subscribe(id, subscription) => {
                let packet = bytes::suback(version, id, &[subscription.qos]);
                self.tell(link, packet, Told::Other);
                self.take_subscription(client, subscription);
            }
            Said::Unsubscribe(id, filter) => {
                let deaf = self.has(Flaw::UnsubscribeIgnored);
                let session = self.session(client);
                let before = session.subscriptions.len();
                let stays = |found: &Subscription| deaf || found.filter != filter;
                session.subscriptions.retain(stays);
                let code = if session.subscriptions.len() < before {
                    0
                } else {
                    0x11
                };
                self.tell(link, bytes::unsuback(version, id, &[code]), Told::Other);
            }
        }
    }

    fn session(&mut self, client: usize) -> &mut Session {
        self.sessions.entry(client).or_default()
    }

    fn tell(&mut self, link: usize, packet: Vec<u8>, told: Told) {
        if self.links[link].broker_open && !self.links[link].deaf {
            self.links[link].coming.push_back((packet, told));
        }
    }

    fn accept(&mut self, link: usize, clean: bool, will: Option<Vec<u8>>) {
        let client = self.links[link].client;
        let version = CLIENTS[client].1;
        if let Some(old) = self.sessions.get(&client).and_then(|session| session.link) {
            if version == 5 {
                self.tell(old, bytes::disconnect(0x8e), Told::Other);
            }
            self.drop_link(old, true);
        }
        if clean {
            self.sessions.remove(&client);
        }
        let present = self.sessions.contains_key(&client) || self.has(Flaw::SessionInvented);
        let session = self.session(client);
        session.link = Some(link);
        session.lasting = !clean;
        self.links[link].accepted = true;
        self.links[link].will = will;
        let packet = bytes::connack(version, present, 0, &[]);
        self.tell(link, packet, Told::Connack { present });
        let mut open: Vec<_> = self
            .session(client)
            .open
            .iter()
            .map(|open| (open.id, open.delivery.clone(), open.released))
            .collect();
        if self.has(Flaw::ResentBackwards) {
            open.reverse();
        }
        for (id, delivery, released) in open {
            if released && !self.has(Flaw::PublishAfterPubrel) {
                self.tell(link, bytes::pubrel(id), Told::Pubrel(id));
            } else {
                self.send(link, &delivery, id, !self.has(Flaw::DupMissing));
            }
        }
        self.pump(client);
    }

    fn drop_link(&mut self, link: usize, badly: bool) {
        self.tell(link, Vec::new(), Told::Closed);
        let client = self.links[link].client;
        self.links[link].broker_open = false;
        if !self.links[link].accepted {
            return;
        }
        let will = self.links[link].will.take();
        let session = self.session(client);
        session.link = None;
        session.queue.retain(|delivery| delivery.qos > 0);
        if !session.lasting {
            self.sessions.remove(&client);
        }
        if let Some(payload) = will.filter(|_| badly) {
            let publish = message(CLIENTS[client].1, "b", payload);
            self.route(
                &Message {
                    publish,
                    publisher: client,
                },
                true,
            );
        }
    }

    fn receive(&mut self, link: usize, publish: Publish) {
        let client = self.links[link].client;
        let (qos, id) = (publish.qos, publish.id);
        let new = qos < 2 || self.session(client).inbound.insert(id) || self.has(Flaw::Qos2Twice);
        if new {
            self.route(
                &Message {
                    publish,
                    publisher: client,
                },
                false,
            );
        }
        match qos {
            1 => {
                self.tell(link, bytes::puback(id), Told::Puback(id));
                if self.has(Flaw::AckTwice) {
                    self.tell(link, bytes::puback(id), Told::Puback(id));
                }
            }
            2 => self.tell(link, bytes::pubrec(id), Told::Pubrec(id)),
            _ => {}
        }
    }

    fn take_subscription(&mut self, client: usize, subscription: Subscription) {
        let session = self.session(client);
        let before = session.subscriptions.len();
        session
            .subscriptions
            .retain(|found| found.filter != subscription.filter);
        let new = session.subscriptions.len() == before;
        session.subscriptions.push(subscription);
        let replays = match subscription.handling {
            0 => true,
            1 => new,
            _ => false,
        };
        if !replays || subscription.filter.starts_with('$') {
            return;
        }
        let kept: Vec<_> = self
            .retained
            .values()
            .filter(|message| topic::matches(subscription.filter, message.publish.topic))
            .filter(|message| !subscription.no_local || message.publisher != client)
            .cloned()
            .collect();
        for message in kept {
            let delivery = Delivery {
                qos: subscription.qos.min(message.publish.qos),
                retain: true,
                identifiers: identifiers(&[&subscription]),
                message,
            };
            self.session(client).queue.push_back(delivery);
        }
        self.pump(client);
    }

    fn route(&mut self, message: &Message, will: bool) {
        let publish = &message.publish;
        if publish.retain {
            if publish.payload.is_empty() {
                self.retained.remove(publish.topic);
            } else {
                self.retained.insert(publish.topic, message.clone());
            }
        }
        let mut served = HashSet::new();
        let clients: Vec<_> = self.sessions.keys().copied().collect();
        for client in clients {
            let session = &self.sessions[&client];
            let matching = |found: &&Subscription| topic::matches(found.filter, publish.topic);
            let plain: Vec<_> = session
                .subscriptions
                .iter()
                .filter(matching)
                .filter(|found| !found.filter.starts_with('$'))
                .filter(|found| {
                    let own = !will && message.publisher == client;
                    !own || !found.no_local || self.has(Flaw::NoLocalIgnored)
                })
                .collect();
            let mut copies = Vec::new();
            if !plain.is_empty() {
                copies.push(plain);
            }
            for shared in session.subscriptions.iter().filter(matching) {
                // The first member in line is as good as any.
                let first = shared.filter.starts_with('$')
                    && (served.insert(shared.filter) || self.has(Flaw::SharedWithAll));
                if first {
                    copies.push(vec![shared]);
                }
            }
            let mut deliveries: Vec<_> =
                copies.iter().map(|ways| delivery(message, ways)).collect();
            for delivery in &mut deliveries {
                delivery.retain |= publish.retain && self.has(Flaw::RetainLeft);
            }
            let online = session.link.is_some();
            let queue = &mut self.session(client).queue;
            queue.extend(
                deliveries
                    .into_iter()
                    .filter(|found| online || found.qos > 0),
            );
            self.pump(client);
        }
    }

    /// Sends what the quota allows, in order.
    fn pump(&mut self, client: usize) {
        let quota = match self.flaw {
            Some(Flaw::QuotaIgnored) => RECEIVE_MAXIMUM + 1,
            _ => RECEIVE_MAXIMUM,
        };
        let reused = self.has(Flaw::IdentifierReused);
        if self.has(Flaw::OrderLost) {
            // Some are collected, and leave with the last one first.
            let queue = &mut self.session(client).queue;
            if queue.len() < 6 {
                return;
            }
            queue.make_contiguous().reverse();
        }
        loop {
            let session = self.session(client);
            let (Some(link), Some(next)) = (session.link, session.queue.front()) else {
                return;
            };
            if next.qos > 0 && session.open.len() >= quota {
                return;
            }
            let delivery = session.queue.pop_front().expect("not empty");
            let mut id = 0;
            if delivery.qos > 0 {
                // Few, so that they come round.
                let range = if reused { 2 } else { 5 };
                let in_use = |id| session.open.iter().any(|open| open.id == id) && !reused;
                while session.last_id == 0 || in_use(session.last_id) {
                    session.last_id = session.last_id % range + 1;
                }
                id = session.last_id;
                session.last_id = session.last_id % range + 1;
                session.open.push(Open {
                    id,
                    delivery: delivery.clone(),
                    released: false,
                });
            }
            self.send(link, &delivery, id, false);
            if delivery.qos == 2 && self.has(Flaw::PubrelTooSoon) {
                self.tell(link, bytes::pubrel(id), Told::Pubrel(id));
            }
        }
    }

    fn send(&mut self, link: usize, delivery: &Delivery, id: u16, dup: bool) {
        let version = CLIENTS[self.links[link].client].1;
        let mut publish = Publish {
            version,
            qos: delivery.qos,
            id,
            dup,
            retain: delivery.retain,
            ..delivery.message.publish.clone()
        };
        if let (true, Some(first)) = (self.has(Flaw::PayloadChanged), publish.payload.first_mut()) {
            *first ^= 0x20;
        }
        if version == 5 {
            if delivery.message.publish.version < 5 || self.has(Flaw::PropertiesLost) {
                publish.properties.clear();
            }
            let undefined = self.has(Flaw::AliasUndefined);
            for identifier in &delivery.identifiers {
                publish.properties.extend([11, *identifier]);
            }
            let aliases = &mut self.links[link].aliases;
            let known = aliases.iter().position(|topic| *topic == publish.topic);
            let place = known.or((aliases.len() < ALIASES).then_some(aliases.len()));
            if let Some(place) = place {
                let alias = u16::try_from(place + 1).expect("small");
                publish = publish.with(bytes::two(35, alias));
            }
            if known.is_some() || (undefined && place.is_some()) {
                publish.topic = "";
            } else if place.is_some() {
                aliases.push(publish.topic);
            }
        }
        let told = Told::Publish {
            qos: delivery.qos,
            id,
        };
        self.tell(link, publish.bytes(), told);
    }
}

fn delivery(message: &Message, ways: &[&Subscription]) -> Delivery {
    let granted = ways.iter().map(|way| way.qos).max().unwrap_or(0);
    Delivery {
        message: message.clone(),
        qos: granted.min(message.publish.qos),
        retain: message.publish.retain && ways.iter().any(|way| way.as_published),
        identifiers: identifiers(ways),
    }
}

fn identifiers(ways: &[&Subscription]) -> Vec<u8> {
    let all = ways.iter().map(|way| way.identifier);
    all.filter(|identifier| *identifier > 0).collect()
}
