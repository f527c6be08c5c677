//! Connections as the kernel has them: begun, heard of, read, and closed.

use super::{
    CONNECTS_MAX, EVENTS_MAX, MUCH_BYTES, Phase, READS, READS_OF_MUCH, SECOND, SLOW_RECEIVE_BYTES,
    UNSENT_BYTES_MAX, Worker,
};
use crate::crowd::{Place, State};
use crate::plan::Plan;
use crate::scenario::Behaviour;
use crate::schedule::Schedule;
use nix::sys::socket::{setsockopt, sockopt};
use ringcast_lane::connect;
use ringcast_wire::{Arrival, Event, Wire};
use std::io;
use std::os::fd::OwnedFd;

impl Worker {
    /// Begins connections: those that come again, and those whose time has come.
    pub(super) fn connect(&mut self, now: u64) -> bool {
        let window = self.crowd.plan().scenario.connect.window as usize;
        let mut begun = 0;
        while begun < CONNECTS_MAX && self.crowd.underway() < window {
            let Some(client) = self.next_to_connect(now) else {
                break;
            };
            begun += 1;
            if !self.begin(client, now) {
                break;
            }
        }
        if now - self.gave_up_at > SECOND {
            self.gave_up_at = now;
            self.crowd.give_up(now);
        }
        begun > 0
    }

    fn next_to_connect(&mut self, now: u64) -> Option<u32> {
        while let Some(client) = self.crowd.next_returning() {
            if self.crowd.behaviour(client).is_none() {
                return Some(client);
            }
            self.timers.come_again(self.crowd.client(client).key, now);
        }
        if self.crowd.is_hopeless() {
            self.next_client = self.crowd.count();
        }
        if self.next_client == self.crowd.count() || matches!(self.phase, Phase::Goodbyes { .. }) {
            return None;
        }
        if let Some(schedule) = &mut self.connecting {
            // Behind its end, where fractions have left one over, the rate is no matter.
            if schedule
                .next_nanos()
                .is_some_and(|at| self.began + at > now)
            {
                return None;
            }
            schedule.advance();
        }
        self.next_client += 1;
        Some(self.next_client - 1)
    }

    /// False if the system refused.
    pub(super) fn begin(&mut self, client: u32, now: u64) -> bool {
        let number = self.crowd.number(client);
        let (source, destination) = self.crowd.plan().addresses().of(number);
        let key = self.crowd.begin(client, now);
        let begun = connect(source, destination, UNSENT_BYTES_MAX)
            .and_then(|socket| self.prepare(client, socket))
            .and_then(|socket| self.lanes.adopt_connecting(key, socket));
        if let Err(error) = &begun {
            self.crowd.on_refused_socket(client, error);
        }
        begun.is_ok()
    }

    fn prepare(&self, client: u32, socket: OwnedFd) -> io::Result<OwnedFd> {
        if let Some(Behaviour::Slow { .. } | Behaviour::Stalled) = self.crowd.behaviour(client) {
            setsockopt(&socket, sockopt::RcvBuf, &SLOW_RECEIVE_BYTES)?;
        }
        Ok(socket)
    }

    /// Hears what happened to connections.
    pub(super) fn reap(&mut self, now: u64) -> bool {
        let mut events = std::mem::take(&mut self.events);
        self.lanes.reap(&mut events, EVENTS_MAX);
        let has_worked = !events.is_empty();
        for event in events.drain(..) {
            self.on_event(event, now);
        }
        self.events = events;
        has_worked
    }

    fn on_event(&mut self, event: Event, now: u64) {
        let (Event::Readable(key) | Event::Writable(key) | Event::Closed(key) | Event::Gone(key)) =
            event;
        let Some(client) = self.crowd.index(key) else {
            return;
        };
        match event {
            Event::Writable(_)
                if self.crowd.client(client).state == State::AwaitingSocket
                    && self.is_new(client) =>
            {
                self.on_connected(client, now);
            }
            Event::Writable(_) => {
                if let Some(tls) = &mut self.tls {
                    tls.sealed.unblock(client);
                }
                self.crowd.outbox.unblock(client);
            }
            Event::Readable(_) => {
                if self.timers.may_read(&self.crowd, client, now) {
                    self.read_soon(client);
                }
            }
            // Reading tells why, after what came before it.
            Event::Closed(_) => self.read_soon(client),
            Event::Gone(_) => self.crowd.on_gone(client),
        }
    }

    /// Whether its connection has only just come to stand.
    fn is_new(&self, client: u32) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.has(client))
    }

    fn on_connected(&mut self, client: u32, now: u64) {
        self.timers.on_connected(&self.crowd, client, now);
        let Some(tls) = &mut self.tls else {
            self.crowd.on_connected(client, now);
            return;
        };
        let number = self.crowd.number(client);
        let (_, destination) = self.crowd.plan().addresses().of(number);
        if let Err(error) = tls.begin(self.crowd.client(client).key, destination) {
            self.crowd.on_tls_fault(client, &error.to_string());
        }
    }

    pub(super) fn read_soon(&mut self, client: u32) {
        if self.crowd.put_to_read(client) {
            self.to_read.push_back(client);
        }
    }

    /// Reads a batch of those who have something.
    pub(super) fn read(&mut self) -> bool {
        let mut keys = Vec::with_capacity(self.reads.min(self.to_read.len()));
        while keys.len() < self.reads
            && let Some(client) = self.to_read.pop_front()
        {
            // It may have left since.
            keys.extend(self.crowd.take_to_read(client));
        }
        if keys.is_empty() {
            return false;
        }
        let mut received = self.received.take().expect("it is put back");
        self.lanes.receive(&keys, &mut received);
        let now = self.clock.nanos();
        let mut read = 0;
        for (key, arrival) in received.arrivals() {
            read += self.on_arrival(key.index(), arrival, now);
        }
        self.reads = if read > MUCH_BYTES {
            READS_OF_MUCH
        } else {
            READS
        };
        self.received = Some(received);
        true
    }

    /// Returns how many bytes came.
    fn on_arrival(&mut self, client: u32, arrival: Arrival<'_>, now: u64) -> usize {
        match arrival {
            Arrival::Nothing => 0,
            Arrival::End => {
                self.crowd.on_end(client, None);
                0
            }
            Arrival::Broken(kind) => {
                self.crowd.on_end(client, Some(kind));
                0
            }
            Arrival::Bytes { bytes, more } => {
                match self.tls {
                    None => self.crowd.on_bytes(client, bytes, now),
                    Some(_) => self.open(client, bytes, now),
                }
                if self
                    .timers
                    .may_go_on(&self.crowd, client, bytes.len(), more, now)
                {
                    self.read_soon(client);
                }
                bytes.len()
            }
        }
    }

    fn open(&mut self, client: u32, bytes: &[u8], now: u64) {
        let Some(tls) = &mut self.tls else {
            return;
        };
        self.plain.clear();
        match tls.open(self.crowd.client(client).key, bytes, &mut self.plain) {
            Err(error) => self.crowd.on_tls_fault(client, &error.to_string()),
            Ok(is_established) => {
                if is_established {
                    self.crowd.on_connected(client, now);
                }
                if !self.plain.is_empty() {
                    self.crowd.on_bytes(client, &self.plain, now);
                }
            }
        }
    }

    /// Ends the connections that are to end.
    pub(super) fn close(&mut self) -> bool {
        let mut has_worked = false;
        while let Some((client, how)) = self.crowd.next_close() {
            has_worked = true;
            if let Some(tls) = &mut self.tls {
                tls.forget(client);
            }
            self.lanes.close(self.crowd.client(client).key, how);
        }
        has_worked
    }
}

/// When the clients of a thread begin to connect; none if as fast as it goes.
pub(super) fn connecting(plan: &Plan, place: Place) -> Option<Schedule> {
    let connect = &plan.scenario.connect;
    let clients = plan.scenario.clients();
    if connect.rate == 0.0 {
        return None;
    }
    let share = f64::from(place.part_of(clients)) / f64::from(clients.max(1));
    let rate = connect.rate * share;
    let in_ramp = rate * connect.ramp.seconds() / 2.0;
    let behind = (f64::from(place.part_of(clients)) - in_ramp).max(0.0) / rate;
    let corners = [
        (connect.ramp.nanos(), (0.0, rate)),
        ((behind * 1e9) as u64, (rate, rate)),
    ];
    Some(Schedule::new(
        &corners,
        f64::from(place.number) / f64::from(place.of),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantity::Span;
    use crate::scenario::Scenario;

    /// When the clients of one of two threads connect.
    fn times(rate: f64, ramp: Span, number: u32) -> Option<Vec<u64>> {
        let mut scenario = Scenario::default();
        scenario.idle.count = 98;
        scenario.connect.rate = rate;
        scenario.connect.ramp = ramp;
        let plan = Plan::new(scenario, 1).expect("it can be worked out");
        let mut schedule = connecting(&plan, Place { number, of: 2 })?;
        let mut times = Vec::new();
        while let Some(at) = schedule.next_nanos() {
            times.push(at);
            schedule.advance();
        }
        Some(times)
    }

    #[test]
    fn threads_share_the_rate_of_connections() {
        let both =
            [0, 1].map(|number| times(100.0, Span::default(), number).expect("there is a rate"));
        let mut all = both.concat();
        all.sort_unstable();
        let expected: Vec<_> = (0..100).map(|client| client * SECOND / 100).collect();
        assert_eq!(all, expected);
        assert_eq!(times(0.0, Span::default(), 0), None);
    }

    #[test]
    fn a_ramp_has_half_of_the_clients_of_its_time() {
        let times = times(100.0, Span::from_secs(1), 0).expect("there is a rate");
        assert_eq!(times.len(), 50);
        assert_eq!(times.iter().filter(|&&at| at < SECOND).count(), 25);
    }
}
