//! A client connects, perhaps in place of itself.

use crate::client::Client;
use crate::oracle::link::{Asks, Causes, Goodbye, Link, NO_SESSION, State};
use crate::oracle::log::Draft;
use crate::packets::{Connect, Will};
use crate::random::Random;
use crate::world::World;
use ringcast_referee::What;
use ringcast_referee::packet::{Properties, Value, Version, property};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const NONE_MAX: usize = 0x1000_0000;

pub(super) fn act(world: &mut World, random: &mut Random) -> Option<String> {
    let mut connect = draw(world, random);
    connect.will = (!world.options.is_crowd && random.once_in(6)).then(|| will(world, random));
    let (least, most) = world.options.socket_bytes;
    let capacity = random.between(least, most) as usize;
    Some(open(world, &connect, capacity))
}

/// Those whose sessions wait for them come back, and have room for everything.
pub(super) fn come_back(world: &mut World) {
    for back in world.oracle.away() {
        let version = match back.version {
            // It is not told whether its session is there.
            Version::V31 => Version::V311,
            version => version,
        };
        let expiry = (property::SESSION_EXPIRY, Value::Number(100));
        let connect = Connect {
            version,
            clean: false,
            client_id: back.client_id,
            keep_alive: 0,
            user: back.user,
            will: None,
            properties: Properties(match version {
                Version::V5 => vec![expiry],
                Version::V31 | Version::V311 => Vec::new(),
            }),
        };
        let what = open(world, &connect, usize::MAX);
        world.note(&format!("back: {what}"));
    }
}

/// A connection begins. Returns it in words.
fn open(world: &mut World, connect: &Connect, capacity: usize) -> String {
    let socket = world.network.borrow_mut().connect(capacity);
    world.engine.on_visitor(socket);
    world.testify(socket, What::Opened);
    let packet_bytes_max = connect.properties.number(property::MAXIMUM_PACKET_SIZE);
    let expiry = connect.properties.number(property::SESSION_EXPIRY);
    world.oracle.on_connect(Link {
        socket,
        version: connect.version,
        client_id: connect.client_id.clone(),
        user: connect.user.clone(),
        packet_bytes_max: packet_bytes_max.map_or(NONE_MAX, |most| most as usize),
        keep_alive: connect.keep_alive,
        is_unknown: false,
        is_resumed: false,
        receive_maximum: connect
            .properties
            .number(property::RECEIVE_MAXIMUM)
            .map_or(usize::MAX, |most| most as usize),
        is_clean: connect.clean,
        asks: Asks {
            will: connect.will.is_some(),
            session: match connect.version {
                Version::V5 => expiry.is_some_and(|seconds| seconds > 0),
                Version::V31 | Version::V311 => !connect.clean,
            },
        },
        shard: None,
        found_full: false,
        session: NO_SESSION,
        state: State::Connecting,
        reason: None,
        is_closed: false,
        closed_nanos: 0,
        causes: Causes::default(),
        rest: Vec::new(),
        was_blocked: false,
        is_blocked: false,
        cut_off: None,
        held: 0,
        freed: VecDeque::new(),
        freed_read: 0,
        answered: 0,
        goodbye: Goodbye::Unsaid,
        is_followed: false,
        will_delay_nanos: connect.will.as_ref().map_or(0, |will| {
            let is_told = connect.version == Version::V5;
            u64::from(will.delay) * u64::from(is_told) * 1_000_000_000
        }),
        requests: VecDeque::new(),
        pings: 0,
        unacknowledged: BTreeSet::new(),
        aliases: BTreeMap::new(),
        connected: 0,
        drafts: Vec::new(),
        sequenced: 0,
        will: connect.will.as_ref().map(|will| Draft {
            from: Some(socket),
            client_id: String::new(),
            topic: will.topic,
            payload: will.payload.clone(),
            qos: will.qos,
            retain: will.retain,
            block: Vec::new(),
            lives: None,
            may_be_refused: false,
        }),
        heard_nanos: 0,
        last_sent_nanos: world.now_nanos(),
    });
    let Connect {
        version,
        client_id,
        keep_alive,
        ..
    } = connect;
    let mut client = Client::new(socket, *version, client_id, *keep_alive);
    client.queue(&connect.encode());
    world.clients.push(client);
    world.flush(world.clients.len() - 1);
    format!(
        "{} as {client_id:?}, {version:?}, keep-alive {keep_alive}",
        socket.0
    )
}

fn will(world: &mut World, random: &mut Random) -> Will {
    // Where everybody may publish.
    let topic = random.place(6);
    Will {
        topic,
        payload: world.payload(topic, 5),
        qos: random.below(3) as u8,
        retain: random.once_in(4),
        delay: *random.of(&[0, 0, 1, 5]),
    }
}

fn draw(world: &World, random: &mut Random) -> Connect {
    let is_crowd = world.options.is_crowd;
    let version = match is_crowd {
        true => Version::V5,
        false => *random.of(&[Version::V31, Version::V311, Version::V5, Version::V5]),
    };
    let name = random.below(world.options.clients);
    let client_id = match random.once_in(16) && version != Version::V31 {
        true => String::new(),
        false => format!("client {name}"),
    };
    // Everybody is always the same user, but for a few who try to be another.
    let user = match (name % 3, random.once_in(32)) {
        (0, false) => Some("alice".to_owned()),
        (1, false) => Some("bob".to_owned()),
        _ => None,
    };
    let mut list = Vec::new();
    if version == Version::V5 && !is_crowd {
        let mut number = |id, number| list.push((id, Value::Number(number)));
        if random.once_in(4) {
            let most = *random.of(&[40, 100, 400, 100_000]);
            number(property::MAXIMUM_PACKET_SIZE, most);
        }
        if random.once_in(4) {
            number(property::RECEIVE_MAXIMUM, *random.of(&[1, 2, 20]));
        }
        if random.once_in(4) {
            number(property::TOPIC_ALIAS_MAXIMUM, 3);
        }
        if random.once_in(2) {
            number(property::SESSION_EXPIRY, *random.of(&[0, 1, 100]));
        }
    }
    Connect {
        version,
        clean: client_id.is_empty() || random.once_in(2),
        client_id,
        keep_alive: match is_crowd {
            true => 0,
            false => *random.of(&[0, 0, 0, 1, 5, 60]),
        },
        user,
        will: None,
        properties: Properties(list),
    }
}
