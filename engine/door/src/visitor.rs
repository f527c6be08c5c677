//! One newcomer, from accept until it is handed over or turned away.
//!
//! ```text
//!   accept ─► (transport) ─► CONNECT ─► banned? ─► who? ─► banned? ─► home has room ─► Handover
//!                               │           └────────┴────────┴─────────────┤
//!                               └───────────────────────────────────────────┴─► refused
//! ```
//!
//! What a listener puts between TCP and MQTT (a TLS handshake, a WebSocket upgrade) is a
//! step before CONNECT is read: it gets the stream, and gives one that carries MQTT.
//!
//! A task of its own serves each newcomer. While CONNECT is awaited it sits in the
//! [lobby](crate::lobby), which may abort it; so the task holds as little as possible
//! then, and what comes later is boxed. Bytes are read into the stack of the reading
//! call: a newcomer that sent nothing has no buffer.

use crate::accept::Entrance;
use crate::addresses::AddressPlace;
use crate::authenticate::{Denial, Verdict};
use crate::counters::Counters;
use crate::hall::{Hall, Place};
use crate::home::{Handover, Home};
use crate::lobby::{Awaited, Seat};
use crate::opening::{Opening, examine};
use crate::refusal::{Refusal, TurnedAway};
use ringcast_wire::{LINGER_MILLIS, Newcomer};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc::Permit;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

/// A newcomer, and all that it holds.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) entrance: Arc<Entrance>,
    pub(crate) hall: Arc<Hall>,
    pub(crate) _place: Place,
    pub(crate) address_place: AddressPlace,
}

/// Bytes read at once. A CONNECT rarely has more.
const READ_BYTES: usize = 4096;

/// Bytes that are thrown away behind a refusal before the connection is closed.
const DISCARDED_BYTES_MAX: usize = 256 * 1024;

impl Visitor {
    /// Starts to serve the newcomer.
    pub(crate) fn enter(self) {
        let hall = Arc::clone(&self.hall);
        let until = Instant::now() + hall.limits.connect_time_max();
        hall.lobby.sit(until, Awaited::Connect, |seat| {
            tokio::spawn(self.serve(seat)).abort_handle()
        });
    }

    async fn serve(self, seat: Seat) {
        let mut received = Vec::new();
        let opening = self.read_connect(&mut received).await;
        // Whoever makes room for others at this very moment is closed.
        let Some(task) = self.hall.lobby.rise(seat) else {
            return;
        };
        match opening {
            Ok(opening) => Box::pin(self.conclude(opening, received, task)).await,
            Err(_) => Counters::add(&self.hall.counters.left),
        }
    }

    /// Reads until CONNECT is whole, or wrong.
    async fn read_connect(
        &self,
        received: &mut Vec<u8>,
    ) -> io::Result<Result<Opening, TurnedAway>> {
        loop {
            self.stream.readable().await?;
            match read(&self.stream, received) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {
                    let limit = self.hall.limits.connect_bytes_max;
                    if let Some(opening) = examine(received, limit, self.peer) {
                        return Ok(opening);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn conclude(
        self,
        opening: Result<Opening, TurnedAway>,
        received: Vec<u8>,
        task: AbortHandle,
    ) {
        let hall = Arc::clone(&self.hall);
        let admitted = match opening {
            Ok(opening) => admit(&hall, &self.entrance, opening).await,
            Err(turned_away) => Err(turned_away),
        };
        match admitted {
            Ok(admitted) => self.hand_over(admitted, received),
            Err(turned_away) => self.turn_away(turned_away, task).await,
        }
    }

    fn hand_over(self, admitted: Admitted<'_>, received: Vec<u8>) {
        // It fails if the event loop is gone, and then all is.
        let Ok(socket) = self.stream.into_std() else {
            return Counters::add(&self.hall.counters.left);
        };
        admitted.room.send(Handover {
            newcomer: Newcomer {
                socket: OwnedFd::from(socket),
                peer: self.peer,
                user: admitted.user,
                received: received.into(),
                assigned_client_id: admitted.assigned_client_id,
            },
            address_place: self.address_place,
        });
        (admitted.home.wake)();
        Counters::add(&self.hall.counters.handed_over);
    }

    /// Says why, and closes so that it is heard: a close with unread input would send a
    /// reset, which destroys what the peer has not read yet. So the rest of the input is
    /// thrown away for a while, in the lobby again, where there is a limit of time and
    /// where this one makes room before others do.
    async fn turn_away(mut self, turned_away: TurnedAway, task: AbortHandle) {
        self.hall.counters.add_refused(turned_away.refusal);
        let Some(packet) = turned_away.packet() else {
            return;
        };
        let until = Instant::now() + Duration::from_millis(LINGER_MILLIS.into());
        let seat = self.hall.lobby.sit(until, Awaited::End, |_| task);
        // An error means that there is nobody left to tell.
        let _ = self.farewell(&packet).await;
        self.hall.lobby.rise(seat);
    }

    async fn farewell(&mut self, packet: &[u8]) -> io::Result<()> {
        self.stream.write_all(packet).await?;
        self.stream.shutdown().await?;
        let mut discarded = 0;
        while discarded < DISCARDED_BYTES_MAX {
            self.stream.readable().await?;
            match discard(&self.stream) {
                Ok(0) => break,
                Ok(bytes) => discarded += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Someone who may come in, and whose home has room.
struct Admitted<'a> {
    user: Option<Box<str>>,
    assigned_client_id: Option<Box<str>>,
    home: &'a Home,
    room: Permit<'a, Handover>,
}

/// Finds out who it is, and waits until its home has room for it.
async fn admit<'a>(
    hall: &'a Hall,
    entrance: &Entrance,
    opening: Opening,
) -> Result<Admitted<'a>, TurnedAway> {
    let Opening {
        version,
        claim,
        is_assigned,
    } = opening;
    let refused = |refusal| TurnedAway::new(version, refusal);
    if hall.is_draining.load(Ordering::Relaxed) {
        return Err(refused(Refusal::ServerUnavailable));
    }
    if hall.is_banned(|bans| {
        bans.addresses.contains(&claim.peer.ip()) || bans.client_ids.contains(&claim.client_id)
    }) {
        return Err(refused(Refusal::Banned));
    }
    let verdict = hall.verifier.verify(&entrance.authenticate, &claim).await;
    let user = match verdict {
        Ok(Verdict::Granted(user)) => user,
        Ok(Verdict::Denied(denial)) => return Err(refused(denial.into())),
        Err(_busy) => return Err(refused(Refusal::ServerBusy)),
    };
    if hall.is_banned(|bans| user.as_ref().is_some_and(|user| bans.users.contains(user))) {
        return Err(refused(Refusal::Banned));
    }
    let home = hall.homes.of(&claim.client_id);
    match timeout(hall.limits.connect_time_max(), home.newcomers.reserve()).await {
        Ok(Ok(room)) => Ok(Admitted {
            user,
            assigned_client_id: is_assigned.then(|| claim.client_id.clone()),
            home,
            room,
        }),
        Ok(Err(_gone)) => Err(refused(Refusal::ServerUnavailable)),
        Err(_late) => Err(refused(Refusal::ServerBusy)),
    }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::BadUserNameOrPassword => Self::BadUserNameOrPassword,
            Denial::NotAuthorized => Self::NotAuthorized,
            Denial::Banned => Self::Banned,
            Denial::Unavailable => Self::ServerUnavailable,
        }
    }
}

fn read(stream: &TcpStream, received: &mut Vec<u8>) -> io::Result<usize> {
    let mut read = [0; READ_BYTES];
    let bytes = stream.try_read(&mut read)?;
    received.extend_from_slice(&read[..bytes]);
    Ok(bytes)
}

fn discard(stream: &TcpStream) -> io::Result<usize> {
    stream.try_read(&mut [0; READ_BYTES])
}
