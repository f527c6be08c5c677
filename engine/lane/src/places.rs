//! Where each connection is: in which lane, and under which descriptor.

use crate::entries::Descriptor;
use crate::files::Files;
use io_uring::types::{Fd, Fixed};
use ringcast_wire::ConnectionKey;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd};

/// The places of all connections of a shard.
pub(crate) struct Places {
    lane_connections: u32,
    is_one_lane: bool,
    /// Where connections have plain descriptors, each by its index.
    plain: Box<[Option<OwnedFd>]>,
}

impl Places {
    pub(crate) fn new(connections: u32, lane_connections: u32, files: Files) -> Self {
        let plain = match files {
            Files::Direct => 0,
            Files::Plain => connections,
        };
        Self {
            lane_connections,
            is_one_lane: connections <= lane_connections,
            plain: (0..plain).map(|_| None).collect(),
        }
    }

    pub(crate) fn lane(&self, key: ConnectionKey) -> usize {
        if self.is_one_lane {
            return 0;
        }
        (key.index() / self.lane_connections) as usize
    }

    /// # Panics
    /// If the connection was not adopted, or was closed.
    pub(crate) fn descriptor(&self, key: ConnectionKey) -> Descriptor {
        match self.plain.get(key.index() as usize) {
            None => Descriptor::Direct(self.slot(key)),
            Some(plain) => {
                let plain = plain.as_ref().expect("it was adopted and not closed");
                Descriptor::Plain(Fd(plain.as_raw_fd()))
            }
        }
    }

    /// Keeps a socket, or gives it back with its place in the table of its lane.
    pub(crate) fn keep(&mut self, key: ConnectionKey, socket: OwnedFd) -> Option<(Fixed, OwnedFd)> {
        if let Some(place) = self.plain.get_mut(key.index() as usize) {
            *place = Some(socket);
            return None;
        }
        Some((self.slot(key), socket))
    }

    /// The kernel is going to close it: until then it belongs to nobody.
    pub(crate) fn give_up(&mut self, key: ConnectionKey) {
        let plain = self.plain.get_mut(key.index() as usize);
        let _ = plain.and_then(Option::take).map(IntoRawFd::into_raw_fd);
    }

    fn slot(&self, key: ConnectionKey) -> Fixed {
        match self.is_one_lane {
            true => Fixed(key.index()),
            false => Fixed(key.index() % self.lane_connections),
        }
    }
}
