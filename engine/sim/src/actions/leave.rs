//! A client says goodbye, and then closes or waits for the server to.

use crate::random::Random;
use crate::world::World;
use ringcast_referee::What;

pub(super) fn act(world: &mut World, random: &mut Random) -> Option<String> {
    let place = world.any_client(random)?;
    let closes = random.once_in(2);
    let socket = world.clients[place].socket;
    if world.oracle.link(socket)?.will.is_some() {
        // Nobody sees whether a goodbye was read before its connection ended otherwise, and
        // so whether the will may come.
        return None;
    }
    world.clients[place].say_goodbye();
    world.oracle.link_mut(socket)?.causes.left = true;
    world.flush(place);
    if closes && !world.clients[place].has_unsent() {
        world.testify(socket, What::ClosedByClient);
        world.network.borrow_mut().client_finishes(socket);
    }
    Some(format!("{}, closes: {closes}", socket.0))
}
