//! What clients, the feed and the operator do: one file for each.
//!
//! An action draws from a stream of its own and changes the world, or finds nothing to do.
//! It tells the oracle what it did, not what is to come of it.

mod connect;
mod die;
mod drain;
mod feed;
mod garbage;
mod go_on;
mod half_close;
mod leave;
mod odd;
mod ping;
mod publish;
mod reset;
mod settings;
mod stall;
mod subscribe;
mod unsubscribe;

use crate::kind::Kind;
use crate::random::Random;
use crate::world::World;

/// Does it. Returns what was done, in words; nothing if it could not be.
///
/// # Panics
/// If it is no action.
pub fn act(world: &mut World, kind: Kind, random: &mut Random) -> Option<String> {
    match kind {
        Kind::Connect => connect::act(world, random),
        Kind::Subscribe => subscribe::act(world, random),
        Kind::Unsubscribe => unsubscribe::act(world, random),
        Kind::Publish => publish::act(world, random),
        Kind::Ping => ping::act(world, random),
        Kind::Stall => stall::act(world, random),
        Kind::GoOn => go_on::act(world, random),
        Kind::Leave => leave::act(world, random),
        Kind::HalfClose => half_close::act(world, random),
        Kind::Reset => reset::act(world, random),
        Kind::Die => die::act(world, random),
        Kind::Odd => odd::act(world, random),
        Kind::Garbage => garbage::act(world, random),
        Kind::Settings => settings::act(world, random),
        Kind::Drain => drain::act(world),
        Kind::Feed => feed::act(world, random),
        _ => unreachable!("{} is no action", kind.name()),
    }
}

/// Whoever has a session and is away comes back.
pub fn come_back(world: &mut World) {
    connect::come_back(world);
}
