//! A client is gone, and nobody is told: it neither sends nor takes, and its host answers
//! nothing.

use crate::random::Random;
use crate::world::World;

pub(super) fn act(world: &mut World, random: &mut Random) -> Option<String> {
    let place = world.any_client(random)?;
    world.clients[place].is_dead = true;
    let socket = world.clients[place].socket;
    world.oracle.link_mut(socket)?.causes.left = true;
    Some(socket.0.to_string())
}
