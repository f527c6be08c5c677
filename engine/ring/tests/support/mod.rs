//! What the tests of the ring share: images of rings, as other processes leave them.

#![allow(dead_code, reason = "each test program uses a part of it")]

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use ringcast_ring::layout::HEADER_BYTES;
use ringcast_ring::{Kind, Position, Tap, TapError};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// Words of the header, as `layout` draws it.
pub(crate) const MAGIC_AT: usize = 0;
pub(crate) const VERSION_AT: usize = 8;
pub(crate) const CAPACITY_AT: usize = 16;
pub(crate) const CLAIMED_AT: usize = 128;
pub(crate) const PUBLISHED_AT: usize = 136;
pub(crate) const EPOCH_AT: usize = 144;

pub(crate) const SIZE_SEALS: SealFlag = SealFlag::F_SEAL_SHRINK.union(SealFlag::F_SEAL_GROW);

/// Another descriptor of the same memory.
pub(crate) fn descriptor(of: &impl AsFd) -> OwnedFd {
    of.as_fd()
        .try_clone_to_owned()
        .expect("a descriptor is left")
}

/// A memfd that holds these bytes, with these seals.
pub(crate) fn memfd(bytes: &[u8], seals: SealFlag) -> OwnedFd {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let file = File::from(memfd_create("image", flags).expect("a memfd can be made"));
    file.write_all_at(bytes, 0).expect("there is memory for it");
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals)).expect("a memfd takes seals");
    file.into()
}

/// A file whose bytes can be changed from outside, as another process would.
pub(crate) fn file(of: &impl AsFd) -> File {
    File::from(descriptor(of))
}

pub(crate) fn image(of: &impl AsFd) -> Vec<u8> {
    let file = file(of);
    let mut bytes = vec![0; file.metadata().expect("it is open").len() as usize];
    file.read_exact_at(&mut bytes, 0).expect("it is that long");
    bytes
}

pub(crate) fn word(image: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(image[at..at + 8].try_into().expect("eight bytes"))
}

pub(crate) fn set_word(image: &mut [u8], at: usize, value: u64) {
    image[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

/// Where a position lies in the file.
pub(crate) fn offset(position: u64, capacity: usize) -> usize {
    HEADER_BYTES + position as usize % capacity
}

/// A body that can be told from every other one, whole or in part.
pub(crate) fn body(of: u64, bytes: usize) -> Vec<u8> {
    let mut state = of.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        })
        .collect()
}

/// Numbers that lie about a position or a length, near a true one and far off.
pub(crate) fn lies(truth: u64, capacity: u64) -> Vec<u64> {
    let mut lies = vec![
        0,
        1,
        7,
        8,
        u64::MAX,
        u64::MAX - 7,
        u64::MAX - 8,
        1 << 63,
        1 << 32,
    ];
    lies.extend([
        u64::from(u32::MAX),
        (1 << 32) | u64::from(u32::MAX),
        1 << 31,
        (1 << 63) + 8,
    ]);
    for distance in [
        1,
        4,
        8,
        16,
        capacity / 4,
        capacity - 8,
        capacity,
        capacity + 8,
    ] {
        lies.extend([truth.wrapping_add(distance), truth.wrapping_sub(distance)]);
    }
    lies
}

/// A record as a tap has it.
pub(crate) type Copied = (Position, Kind, Vec<u8>);

/// All that a tap reads until there is nothing, or an error.
pub(crate) fn read_all(tap: &mut Tap) -> (Vec<Copied>, Option<TapError>) {
    let mut records = Vec::new();
    let mut body = Vec::new();
    loop {
        match tap.read(&mut body) {
            Ok(Some((position, kind))) => records.push((position, kind, body.clone())),
            Ok(None) => return (records, None),
            Err(error) => return (records, Some(error)),
        }
    }
}
