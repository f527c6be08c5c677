//! A client breaks its connection.

use crate::random::Random;
use crate::world::World;
use ringcast_referee::What;

pub(super) fn act(world: &mut World, random: &mut Random) -> Option<String> {
    let place = world.any_client(random)?;
    let client = world.clients.remove(place);
    let socket = client.socket;
    world.oracle.link_mut(socket)?.causes.left = true;
    world.testify(socket, What::Reset);
    world.network.borrow_mut().client_resets(socket);
    Some(socket.0.to_string())
}
