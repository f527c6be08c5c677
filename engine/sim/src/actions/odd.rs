//! A client does what is legal, and what no ordinary client does.

use super::{publish, subscribe};
use crate::packets;
use crate::random::Random;
use crate::topics::FILTERS;
use crate::world::World;
use ringcast_referee::packet::{Request, Version};

pub(super) fn act(world: &mut World, random: &mut Random) -> Option<String> {
    let place = world.any_client(random)?;
    let socket = world.clients[place].socket;
    let what = match random.below(5) {
        0 => {
            // It acknowledges what it was never sent.
            let kind = random.between(4, 7) as u8;
            let id = random.between(1, 65_535) as u16;
            world.clients[place].queue(&packets::acknowledge(kind, id));
            "acknowledges nothing"
        }
        1 => {
            // It subscribes to one filter, twice in one packet.
            let request = Request {
                filter: (*random.of(&FILTERS)).to_owned(),
                qos: 0,
                no_local: false,
                retain_as_published: false,
                retain_handling: 0,
            };
            let again = Request {
                qos: 1,
                ..request.clone()
            };
            subscribe::send(world, place, vec![request, again], 0);
            "subscribes twice"
        }
        2 if world.clients[place].version != Version::V5 => {
            // Before MQTT 5 a length may take more bytes than it needs.
            world.clients[place].queue(&[0xC0, 0x80, 0x00]);
            world.oracle.link_mut(socket)?.pings += 1;
            "pings with a long length"
        }
        3 => {
            // A retained message and the subscription to it, in one segment.
            let topic = publish::publish(world, place, random);
            let request = Request {
                filter: crate::topics::TOPICS[topic].name.to_owned(),
                qos: 0,
                no_local: false,
                retain_as_published: false,
                retain_handling: 0,
            };
            if request.filter.starts_with("user/") {
                world.flush(place);
                return Some("publishes in vain".to_owned());
            }
            subscribe::send(world, place, vec![request], 0);
            "publishes and subscribes at once"
        }
        _ => {
            for _ in 0..random.between(2, 40) {
                world.clients[place].queue(&packets::ping());
                world.oracle.link_mut(socket)?.pings += 1;
            }
            "pings many times"
        }
    };
    world.flush(place);
    Some(format!("{} {what}", socket.0))
}
