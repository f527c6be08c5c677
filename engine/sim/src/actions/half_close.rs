//! A client sends no more, and says so, but goes on receiving.

use crate::random::Random;
use crate::world::World;
use ringcast_referee::What;

pub(super) fn act(world: &mut World, random: &mut Random) -> Option<String> {
    let place = world.any_client(random)?;
    let client = &mut world.clients[place];
    client.has_left = true;
    let socket = client.socket;
    world.oracle.link_mut(socket)?.causes.left = true;
    world.testify(socket, What::ClosedByClient);
    world.network.borrow_mut().client_finishes(socket);
    Some(socket.0.to_string())
}
