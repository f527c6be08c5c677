//! Giving a ring to another process over a Unix socket.
//!
//! The giver sends one message of 16 bytes (`RINGHAND`; the layout's version, `u32`;
//! the consumer's place or [`NO_PLACE`], `u32`) with the memory's descriptor, read-only
//! for a tap, and, for a consumer, that of the eventfd which wakes it. Either side first looks at who is
//! at the other end: only root and the user that runs this process are spoken to.

use crate::layout::VERSION;
use crate::memory::MemoryError;
use crate::producer::Producer;
use crate::sleep::Waker;
use crate::tap::Tap;
use nix::libc::{SCM_RIGHTS, SOL_SOCKET};
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{ControlMessage, MsgFlags, getsockopt, recvmsg, sendmsg};
use nix::unistd::Uid;
use std::fmt;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
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
    /// Gives the ring to a tap, through a descriptor that does not allow to write.
    ///
    /// A process of the same user could open the memory anew for writing: see
    /// [`Self::seal_for_taps`] for a ring that nobody can.
    ///
    /// # Errors
    /// [`HandoverError`], and nothing was given.
    pub fn offer_tap(&self, stream: &UnixStream) -> Result<(), HandoverError> {
        check_peer(stream)?;
        let memory = self.read_only().map_err(HandoverError::Memory)?;
        send(stream, NO_PLACE, &[memory.as_raw_fd()])
    }

    /// Gives the ring to a reader in another process that is waited for, and returns
    /// its place, for [`Self::remove_consumer`] when the socket says that it is gone.
    ///
    /// It maps the memory for writing, because it moves its cursor: it is trusted to
    /// write nothing else, for consumers of this process read in place.
    ///
    /// # Errors
    /// [`HandoverError`], and nothing was given.
    pub fn offer_consumer(&mut self, stream: &UnixStream) -> Result<usize, HandoverError> {
        check_peer(stream)?;
        let (place, bell) = self.add_outside().ok_or(HandoverError::NoPlace)?;
        let descriptors = [self.as_fd().as_raw_fd(), bell];
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
    if is_trusted(Uid::from_raw(peer.uid()), Uid::effective()) {
        return Ok(());
    }
    Err(HandoverError::Stranger { uid: peer.uid() })
}

fn is_trusted(peer: Uid, own: Uid) -> bool {
    peer.is_root() || peer == own
}

fn send(stream: &UnixStream, place: u32, descriptors: &[i32]) -> Result<(), HandoverError> {
    let mut message = [0; 16];
    message[..8].copy_from_slice(&MAGIC);
    message[8..12].copy_from_slice(&VERSION.to_le_bytes());
    message[12..].copy_from_slice(&place.to_le_bytes());
    let parts = [IoSlice::new(&message)];
    let rights = [ControlMessage::ScmRights(descriptors)];
    // Sixteen bytes go whole or not at all.
    let flags = MsgFlags::MSG_NOSIGNAL;
    let socket = stream.as_raw_fd();
    retry(|| sendmsg::<()>(socket, &parts, &rights, flags, None))?;
    Ok(())
}

/// The place, the memory, and the bell if one came.
fn receive(stream: &UnixStream) -> Result<(u32, OwnedFd, Option<OwnedFd>), HandoverError> {
    let mut message = [0; 16];
    let mut space = nix::cmsg_space!([i32; 2]);
    let (bytes, is_cut) = retry(|| {
        let mut parts = [IoSliceMut::new(&mut message)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let received = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut space), flags)?;
        let is_cut = received.flags.contains(MsgFlags::MSG_CTRUNC);
        Ok((received.bytes, is_cut))
    })?;
    let descriptors = take_descriptors(&space);
    let known = message[..8] == MAGIC && message[8..12] == VERSION.to_le_bytes();
    if bytes != message.len() || !known || is_cut {
        return Err(HandoverError::Message);
    }
    let place = u32::from_le_bytes([message[12], message[13], message[14], message[15]]);
    let mut descriptors = descriptors.into_iter();
    match (descriptors.next(), descriptors.next(), descriptors.next()) {
        (Some(memory), bell, None) => Ok((place, memory, bell)),
        _ => Err(HandoverError::Message),
    }
}

/// All descriptors that came, owned, so that whatever is wrong with the message
/// closes them.
///
/// Read by hand, because nix shows no control message once one was cut: then those
/// that had room are open in this process already. `control` was zero before.
fn take_descriptors(control: &[u8]) -> Vec<OwnedFd> {
    let mut descriptors = Vec::new();
    let mut rest = control;
    // A control message: its length with this head, level and type, and the data.
    while let Some((head, _)) = rest.split_first_chunk::<16>() {
        let (length, kind) = head.split_at(8);
        let length = usize::from_ne_bytes(length.try_into().expect("eight bytes"));
        let Some(data) = rest.get(head.len()..length) else {
            break;
        };
        if kind == [SOL_SOCKET.to_ne_bytes(), SCM_RIGHTS.to_ne_bytes()].concat() {
            for raw in data.as_chunks().0 {
                // SAFETY: `from_raw_fd` asks for an open descriptor that nobody else
                // owns: the kernel just made these for this process, and each is
                // taken once.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(RawFd::from_ne_bytes(*raw)) });
            }
        }
        rest = rest.get(length.next_multiple_of(8)..).unwrap_or_default();
    }
    descriptors
}

/// Makes a call again while signals interrupt it.
fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> Result<T, HandoverError> {
    loop {
        match call() {
            Err(nix::Error::EINTR) => {}
            result => return result.map_err(HandoverError::Socket),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_own_user_are_trusted() {
        let [root, own, other] = [0, 1000, 1001].map(Uid::from_raw);
        assert!(is_trusted(root, own) && is_trusted(own, own) && is_trusted(root, root));
        assert!(!is_trusted(other, own) && !is_trusted(own, root));
    }
}
