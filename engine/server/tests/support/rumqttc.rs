//! A client with rumqttc: this test program once more, told to be one. It does what its
//! standard input says, in the lines of [`library`](super::library).

use ::rumqttc::{self as v4, v5};
use std::io::Write;
use std::process::Command;
use std::thread;

/// The variable by which the program is told to be a client: host, port, version and
/// identifier.
pub(crate) const BE_CLIENT: &str = "RINGCAST_TEST_RUMQTTC";

/// The test that calls [`be_client`].
const TEST: &str = "client_with_rumqttc";

/// More than any payload of a test.
const PACKET_BYTES_MAX: usize = 300 << 20;

pub(crate) fn command() -> Command {
    let own = std::env::current_exe().expect("there is /proc");
    let mut command = Command::new(own);
    command.args(["--exact", TEST, "--nocapture"]);
    command
}

/// Is a client if it was started as one, until its input ends. Otherwise nothing.
pub(crate) fn be_client() {
    let Ok(who) = std::env::var(BE_CLIENT) else {
        return;
    };
    let who: Vec<_> = who.split(' ').collect();
    let [host, port, version, id] = who[..] else {
        panic!("{who:?}");
    };
    let port = port.parse().expect("a number");
    let mut client: Option<Box<dyn Client>> = None;
    for line in std::io::stdin().lines() {
        let line = line.expect("a text");
        let words: Vec<_> = line.split(' ').collect();
        let known = || client.as_ref().expect("it connects first");
        match words[..] {
            ["connect", clean, topic, will] => {
                let will = (topic != "-").then_some((topic, will));
                client = Some(match version {
                    "5" => v5_client(id, host, port, clean == "1", will),
                    _ => v4_client(id, host, port, clean == "1", will),
                });
            }
            ["subscribe", qos, filter] => known().subscribe(filter, number(qos)),
            ["unsubscribe", filter] => known().unsubscribe(filter),
            ["publish", qos, retain, topic, payload] => {
                let payload = match payload.strip_prefix('*') {
                    Some(count) => vec![b'x'; count.parse().expect("a number")],
                    None => payload.as_bytes().to_vec(),
                };
                known().publish(number(qos), retain == "1", topic, payload);
            }
            ["disconnect"] => known().disconnect(),
            _ => panic!("{line} is no command"),
        }
    }
    if let Some(client) = client {
        client.disconnect();
    }
}

fn number(text: &str) -> u8 {
    text.parse().expect("a number")
}

/// What both versions can do, each in its way.
trait Client {
    fn subscribe(&self, filter: &str, qos: u8);
    fn unsubscribe(&self, filter: &str);
    fn publish(&self, qos: u8, retain: bool, topic: &str, payload: Vec<u8>);
    fn disconnect(&self);
}

/// A line of its own, whatever the test program has printed before.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n{line}").expect("somebody reads");
    out.flush().expect("somebody reads");
}

fn got(topic: &str, qos: u8, retain: bool, payload: &[u8]) {
    let text = match payload.len() {
        ..=64 => String::from_utf8_lossy(payload).into_owned(),
        count => format!("*{count}"),
    };
    say(&format!("> {topic} {qos} {} {text}", u8::from(retain)));
}

/// The client's part of either version: the same words, in another module.
macro_rules! client {
    ($client:ty, $qos:expr) => {
        impl Client for $client {
            fn subscribe(&self, filter: &str, qos: u8) {
                self.subscribe(filter, $qos(qos)).expect("it runs");
            }

            fn unsubscribe(&self, filter: &str) {
                self.unsubscribe(filter).expect("it runs");
            }

            fn publish(&self, qos: u8, retain: bool, topic: &str, payload: Vec<u8>) {
                self.publish(topic, $qos(qos), retain, payload)
                    .expect("it runs");
                if qos == 0 {
                    // Nothing answers.
                    say("published");
                }
            }

            fn disconnect(&self) {
                // It may have ended already.
                let _ = self.disconnect();
            }
        }
    };
}

client!(v4::Client, v4_qos);
client!(v5::Client, v5_qos);

fn v4_qos(qos: u8) -> v4::QoS {
    v4::qos(qos).expect("at most 2")
}

fn v5_qos(qos: u8) -> v5::mqttbytes::QoS {
    v5::mqttbytes::qos(qos).expect("at most 2")
}

fn v4_client(
    id: &str,
    host: &str,
    port: u16,
    clean: bool,
    will: Option<(&str, &str)>,
) -> Box<dyn Client> {
    use v4::{Event, Outgoing, Packet, SubscribeReasonCode};
    let mut options = v4::MqttOptions::new(id, host, port);
    options.set_clean_session(clean);
    options.set_max_packet_size(PACKET_BYTES_MAX, PACKET_BYTES_MAX);
    if let Some((topic, will)) = will {
        options.set_last_will(v4::LastWill::new(topic, will, v4::QoS::AtLeastOnce, false));
    }
    let (client, mut connection) = v4::Client::new(options, 10);
    thread::spawn(move || {
        for event in connection.iter() {
            match event {
                Ok(Event::Incoming(packet)) => match packet {
                    Packet::ConnAck(connack) => {
                        say(&format!("connected {}", u8::from(connack.session_present)));
                    }
                    Packet::SubAck(suback) => {
                        let [SubscribeReasonCode::Success(qos)] = suback.return_codes[..] else {
                            panic!("{suback:?}");
                        };
                        say(&format!("subscribed {}", qos as u8));
                    }
                    Packet::UnsubAck(_) => say("unsubscribed"),
                    Packet::PubAck(_) | Packet::PubComp(_) => say("published"),
                    Packet::Publish(publish) => {
                        let qos = publish.qos as u8;
                        got(&publish.topic, qos, publish.retain, &publish.payload);
                    }
                    _ => {}
                },
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return say("disconnected"),
                Ok(Event::Outgoing(_)) => {}
                Err(error) => return say(&format!("lost {error}")),
            }
        }
    });
    Box::new(client)
}

fn v5_client(
    id: &str,
    host: &str,
    port: u16,
    clean: bool,
    will: Option<(&str, &str)>,
) -> Box<dyn Client> {
    use v5::mqttbytes::v5::{LastWill, Packet, SubscribeReasonCode};
    use v5::{Event, MqttOptions};
    let mut options = MqttOptions::new(id, host, port);
    options.set_clean_start(clean);
    options.set_session_expiry_interval(Some(if clean { 0 } else { 600 }));
    options.set_max_packet_size(Some(PACKET_BYTES_MAX as u32));
    if let Some((topic, will)) = will {
        let will = will.as_bytes().to_vec();
        options.set_last_will(LastWill::new(topic, will, v5_qos(1), false, None));
    }
    let (client, mut connection) = v5::Client::new(options, 10);
    thread::spawn(move || {
        for event in connection.iter() {
            match event {
                Ok(Event::Incoming(packet)) => match packet {
                    Packet::ConnAck(connack) => {
                        say(&format!("connected {}", u8::from(connack.session_present)));
                    }
                    Packet::SubAck(suback) => {
                        let [SubscribeReasonCode::Success(qos)] = suback.return_codes[..] else {
                            panic!("{suback:?}");
                        };
                        say(&format!("subscribed {}", qos as u8));
                    }
                    Packet::UnsubAck(_) => say("unsubscribed"),
                    Packet::PubAck(_) | Packet::PubComp(_) => say("published"),
                    Packet::Publish(publish) => {
                        let topic = String::from_utf8_lossy(&publish.topic);
                        let qos = publish.qos as u8;
                        got(&topic, qos, publish.retain, &publish.payload);
                    }
                    _ => {}
                },
                Ok(Event::Outgoing(v4::Outgoing::Disconnect)) => return say("disconnected"),
                Ok(Event::Outgoing(_)) => {}
                Err(error) => return say(&format!("lost {error}")),
            }
        }
    });
    Box::new(client)
}
