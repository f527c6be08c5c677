//! Giving a ring to another process over a Unix socket.
//!
//! The giver sends one message of 16 bytes (`RINGHAND`; the layout's version, `u32`;
//! the consumer's place or [`NO_PLACE`], `u32`) with the memory's descriptor and, for
//! a consumer, that of the eventfd which wakes it. Either side first looks at who is
//! at the other end: only root and the user that runs this process are spoken to.

use crate::layout::VERSION;
use crate::memory::MemoryError;
use crate::producer::Producer;
use crate::sleep::Waker;
use crate::tap::Tap;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, getsockopt, recvmsg, sendmsg,
};
use nix::unistd::Uid;
use std::fmt;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// The first eight bytes of the message.
const MAGIC: [u8; 8] = *b"RINGHAND";

/// The place of a tap that nobody waits for.
const NO_PLACE: u32 = u32::MAX;

/// Why a ring was not handed over.
#[derive(Debug)]
pub enum HandoverError {
    /// The other end runs as a user that is not to have the ring.
    Stranger {
        /// That user.
        uid: u32,
    },
    /// The socket failed.
    Socket(nix::Error),
    /// What came is no ring handed over by this protocol.
    Message,
    /// All places for consumers are taken, or the process has no descriptor left.
    NoPlace,
    /// What came is no ring that can be used.
    Memory(MemoryError),
}

impl fmt::Display for HandoverError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stranger { uid } => write!(
                formatter,
                "the process at the other end runs as user {uid}: rings are for root and the \
                 user of this process"
            ),
            Self::Socket(errno) => write!(formatter, "the socket: {errno}"),
            Self::Message => write!(formatter, "what came is no ring of version {VERSION}"),
            Self::NoPlace => formatter.write_str("the ring has no place left for a consumer"),
            Self::Memory(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for HandoverError {}

impl Producer {
    /// Gives the ring to a tap.
    ///
    /// # Errors
    /// [`HandoverError`], and nothing was given.
    pub fn offer_tap(&self, stream: &UnixStream) -> Result<(), HandoverError> {
        check_peer(stream)?;
        let descriptors = [self.as_fd().as_raw_fd()];
        send(stream, NO_PLACE, &descriptors)
    }

    /// Gives the ring to a reader in another process that is waited for, and returns
    /// its place, for [`Self::remove_consumer`] when the socket says that it is gone.
    ///
    /// # Errors
    /// [`HandoverError`], and nothing was given.
    pub fn offer_consumer(&mut self, stream: &UnixStream) -> Result<usize, HandoverError> {
        check_peer(stream)?;
        let (place, waker) = self.add_consumer().ok_or(HandoverError::NoPlace)?;
        let descriptors = [self.as_fd().as_raw_fd(), waker.as_fd().as_raw_fd()];
        send(stream, place as u32, &descriptors).inspect_err(|_| self.remove_consumer(place))?;
        Ok(place)
    }
}

impl Tap {
    /// Takes the ring that the other end of the socket gives.
    ///
    /// # Errors
    /// [`HandoverError`].
    pub fn accept(stream: &UnixStream) -> Result<Self, HandoverError> {
        check_peer(stream)?;
        let (place, memory, bell) = receive(stream)?;
        let tap = match (place, bell) {
            (NO_PLACE, None) => Self::open(memory),
            (NO_PLACE, Some(_)) | (_, None) => return Err(HandoverError::Message),
            (place, Some(bell)) => {
                Self::open_at(memory, place as usize, Waker::from_descriptor(bell))
            }
        };
        tap.map_err(HandoverError::Memory)
    }
}

/// Speaks only to root and to the own user.
fn check_peer(stream: &UnixStream) -> Result<(), HandoverError> {
    let peer = getsockopt(stream, PeerCredentials).map_err(HandoverError::Socket)?;
    let uid = Uid::from_raw(peer.uid());
    if uid.is_root() || uid == Uid::effective() {
        return Ok(());
    }
    Err(HandoverError::Stranger { uid: peer.uid() })
}

fn send(stream: &UnixStream, place: u32, descriptors: &[i32]) -> Result<(), HandoverError> {
    let mut message = [0; 16];
    message[..8].copy_from_slice(&MAGIC);
    message[8..12].copy_from_slice(&VERSION.to_le_bytes());
    message[12..].copy_from_slice(&place.to_le_bytes());
    let parts = [IoSlice::new(&message)];
    let rights = [ControlMessage::ScmRights(descriptors)];
    // Sixteen bytes go whole or not at all.
    sendmsg::<()>(
        stream.as_raw_fd(),
        &parts,
        &rights,
        MsgFlags::MSG_NOSIGNAL,
        None,
    )
    .map_err(HandoverError::Socket)?;
    Ok(())
}

/// The place, the memory, and the bell if one came.
fn receive(stream: &UnixStream) -> Result<(u32, OwnedFd, Option<OwnedFd>), HandoverError> {
    let mut message = [0; 16];
    let mut parts = [IoSliceMut::new(&mut message)];
    let mut space = nix::cmsg_space!([i32; 2]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let received = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), flags)
        .map_err(HandoverError::Socket)?;
    let bytes = received.bytes;
    let mut descriptors = Vec::new();
    for control in received.cmsgs().map_err(HandoverError::Socket)? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            // SAFETY: `from_raw_fd` asks for an open descriptor that nobody else
            // owns: the kernel just made these for this process, and each is taken
            // once.
            descriptors.extend(
                raw.into_iter()
                    .map(|raw| unsafe { OwnedFd::from_raw_fd(raw) }),
            );
        }
    }
    let place = u32::from_le_bytes([message[12], message[13], message[14], message[15]]);
    let known = message[..8] == MAGIC && message[8..12] == VERSION.to_le_bytes();
    let mut descriptors = descriptors.into_iter();
    match (bytes == message.len() && known, descriptors.next()) {
        (true, Some(memory)) => Ok((place, memory, descriptors.next())),
        _ => Err(HandoverError::Message),
    }
}
