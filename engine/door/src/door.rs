//! The door itself: its listeners, open until it is drained or dropped.

use crate::accept::{Entrance, Trouble, accept_all};
use crate::authenticate::Authenticate;
use crate::bans::Bans;
use crate::counters::Counters;
use crate::hall::Hall;
use crate::home::Home;
use crate::limits::Limits;
use crate::listener::Listener;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Meets newcomers at its listeners. Dropping it closes these and all newcomers whose
/// CONNECT is not whole; [`drain`](Self::drain) is kinder.
#[derive(Debug)]
pub struct Door {
    hall: Arc<Hall>,
    listening: JoinSet<()>,
    _watching: JoinSet<()>,
}

impl Door {
    /// A door without listeners, before homes in the order of their shards.
    ///
    /// # Panics
    /// Outside of a tokio runtime with time and I/O, or if there is no home.
    #[must_use]
    pub fn new(limits: Limits, homes: Vec<Home>) -> Self {
        let hall = Arc::new(Hall::new(limits, homes));
        let mut watching = JoinSet::new();
        let watched = Arc::clone(&hall);
        watching.spawn(async move { watched.lobby.watch().await });
        Self {
            hall,
            listening: JoinSet::new(),
            _watching: watching,
        }
    }

    /// Accepts newcomers at this listener from now on, and asks this one who they are.
    /// What troubles it is reported, once each time that it begins, on the event loop:
    /// a report must not wait.
    ///
    /// # Errors
    /// If the event loop can't take the listener.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O.
    pub fn open(
        &mut self,
        listener: Listener,
        authenticate: Arc<dyn Authenticate>,
        report: Arc<dyn Fn(Trouble) + Send + Sync>,
    ) -> io::Result<()> {
        let entrance = Arc::new(Entrance {
            address: listener.address(),
            authenticate,
            report,
        });
        for socket in listener.sockets {
            let socket = TcpListener::from_std(socket)?;
            let hall = Arc::clone(&self.hall);
            self.listening
                .spawn(accept_all(socket, Arc::clone(&entrance), hall));
        }
        Ok(())
    }

    /// What it has seen.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.hall.counters)
    }

    /// Bans these, and nobody else, from now on. Who is in stays in.
    pub fn set_bans(&self, bans: Bans) {
        self.hall.set_bans(bans);
    }

    /// The number of the shard that is the home of this client.
    #[must_use]
    pub fn home_of(&self, client_id: &str) -> usize {
        self.hall.homes.index_of(client_id)
    }

    /// Closes the listeners and waits until no newcomer is left: those whose CONNECT was
    /// whole are served to the end; whoever ends its CONNECT from now on is told that the
    /// server is not available; and time runs out for the rest as always.
    pub async fn drain(mut self) {
        self.hall.is_draining.store(true, Ordering::Relaxed);
        self.listening.shutdown().await;
        self.hall.empty().await;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.hall.lobby.close();
    }
}
