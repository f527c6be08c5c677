//! Where newcomers go: the home shard of each.

use crate::addresses::AddressPlace;
use ringcast_wire::Newcomer;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::OwnedFd;
use tokio::sync::mpsc;

/// A newcomer on its way to its home shard.
#[derive(Debug)]
pub struct Handover {
    /// Who it is; the descriptor does not block.
    pub newcomer: Newcomer<OwnedFd>,
    /// To be kept until the connection is gone: see [`AddressPlace`].
    pub address_place: AddressPlace,
}

/// One shard, as the door sees it.
pub struct Home {
    /// Takes newcomers. Bounded: while it is full, they wait, and keep their places
    /// among the newcomers.
    pub newcomers: mpsc::Sender<Handover>,
    /// Called after each push, so that a shard that is parked looks. Must not wait.
    pub wake: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Home {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Home")
            .field("newcomers", &self.newcomers)
            .finish_non_exhaustive()
    }
}

/// All shards, and which is whose home.
#[derive(Debug)]
pub(crate) struct Homes {
    homes: Box<[Home]>,
    /// SipHash with random keys: nobody can choose identifiers that meet in one shard.
    hasher: RandomState,
}

impl Homes {
    pub(crate) fn new(homes: Vec<Home>) -> Self {
        assert!(!homes.is_empty(), "an engine has at least one shard");
        Self {
            homes: homes.into(),
            hasher: RandomState::new(),
        }
    }

    /// The number of the shard where the sessions of this client live.
    pub(crate) fn index_of(&self, client_id: &str) -> usize {
        (self.hasher.hash_one(client_id) % self.homes.len() as u64) as usize
    }

    pub(crate) fn of(&self, client_id: &str) -> &Home {
        &self.homes[self.index_of(client_id)]
    }
}
