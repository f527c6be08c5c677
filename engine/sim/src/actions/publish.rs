//! A client publishes, where it may and where it may not.

use crate::oracle::log::Draft;
use crate::packets;
use crate::random::Random;
use crate::topics::{Publisher, TOPICS};
use crate::world::World;
use ringcast_referee::packet::{Properties, Value, Version, property};

pub(super) fn act(world: &mut World, random: &mut Random) -> Option<String> {
    let place = world.any_client(random)?;
    let count = random.power(0, 4);
    let mut topics = String::new();
    for _ in 0..count {
        let topic = publish(world, place, random);
        topics.push_str(TOPICS[topic].name);
        topics.push(' ');
    }
    world.flush(place);
    Some(format!("{}: {topics}", world.clients[place].socket.0))
}

/// Publishes one message. Returns the number of its topic.
pub(super) fn publish(world: &mut World, place: usize, random: &mut Random) -> usize {
    let of_clients = TOPICS
        .iter()
        .take_while(|topic| topic.publisher == Publisher::Clients);
    let topic = random.place(of_clients.count());
    let (socket, version) = (world.clients[place].socket, world.clients[place].version);
    let bytes = *random.of(&world.options.payload_bytes);
    let retain = random.once_in(4);
    // Of each topic one message says nothing, so that all can be told apart.
    let payload = match random.once_in(12) && world.silences.insert(topic) {
        true => Vec::new(),
        false => world.payload(topic, bytes),
    };
    let mut list = Vec::new();
    let mut lives = None;
    if version == Version::V5 {
        if random.once_in(6) {
            let pair = Value::Pair("name".to_owned(), "value".to_owned());
            list.push((property::USER_PROPERTY, pair));
        }
        if random.once_in(6) {
            list.push((property::CONTENT_TYPE, Value::Text("text".to_owned())));
        }
        lives = random.once_in(8).then(|| *random.of(&[1, 3, 1_000]));
    }
    let block = packets::block(&Properties(list.clone()));
    if let Some(seconds) = lives {
        let place = random.place(list.len() + 1);
        list.insert(place, (property::MESSAGE_EXPIRY, Value::Number(seconds)));
    }
    let qos = random.below(3) as u8;
    let packet_id = match qos {
        0 => 0,
        _ => world.packet_id(place),
    };
    let packet = packets::Publish {
        qos,
        packet_id,
        retain,
        topic: TOPICS[topic].name,
        block: &packets::block(&Properties(list)),
        payload: &payload,
        ..packets::Publish::default()
    };
    let client = &mut world.clients[place];
    client.queue(&packet.encode(version));
    let name = TOPICS[topic].name;
    let draft = Draft {
        from: Some(socket),
        client_id: String::new(),
        topic,
        payload,
        qos,
        retain,
        block,
        lives,
        may_be_refused: name.starts_with("user/")
            || name.starts_with('$')
            || name.starts_with("market/"),
    };
    world.oracle.on_publish(socket, packet_id, draft);
    topic
}
