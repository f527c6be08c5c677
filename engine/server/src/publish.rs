//! `ringcast pub`: publishes one message by MQTT, or every line of standard input.

use crate::client::{Client, ClientError, Peer, Received};
use anyhow::{Context, Result};
use ringcast_codec::mqtt::{Delivery, Packet, PacketId, Properties, Publish, TopicName};
use std::io::{self, BufRead};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;

/// Lines read ahead of what was sent.
const LINES_AHEAD_MAX: usize = 64;

/// The options of `ringcast pub`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    peer: Peer,
    /// The topic
    #[arg(short, long)]
    topic: String,
    #[command(flatten)]
    payload: Payload,
    /// The server keeps it for those who subscribe later
    #[arg(short, long)]
    retain: bool,
    /// The quality of service; at 1 the server's word is waited for
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    qos: u8,
}

/// What is published: one of these.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Payload {
    /// The payload of the one message; empty, it takes back one that the server kept
    #[arg(short, long)]
    message: Option<String>,
    /// Every line of standard input is a message
    #[arg(short, long)]
    lines: bool,
}

/// Publishes, and says goodbye when all was taken.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let topic = TopicName::new(&arguments.topic).map_err(|_| ClientError::NotMqtt {
        what: "topic name",
        text: arguments.topic.clone(),
    })?;
    let client = Client::connect(&arguments.peer)?;
    let mut publisher = Publisher {
        client,
        topic,
        retain: arguments.retain,
        is_acknowledged: arguments.qos == 1,
        packet_id: 0,
    };
    match &arguments.payload.message {
        Some(message) => publisher.publish(message.as_bytes())?,
        None => publisher.publish_all(&read_lines())?,
    }
    Ok(publisher.client.disconnect()?)
}

/// A client that publishes to one topic.
struct Publisher<'a> {
    client: Client,
    topic: TopicName<'a>,
    retain: bool,
    is_acknowledged: bool,
    packet_id: u16,
}

impl Publisher<'_> {
    fn publish_all(&mut self, lines: &Receiver<io::Result<Vec<u8>>>) -> Result<()> {
        loop {
            match lines.recv_timeout(self.client.quiet_time_max()) {
                Ok(line) => self.publish(&line.context("standard input")?)?,
                Err(RecvTimeoutError::Timeout) => self.client.ask()?,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }

    fn publish(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        let delivery = match self.is_acknowledged {
            true => {
                self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
                let packet_id = PacketId::new(self.packet_id)?;
                Delivery::AtLeastOnce {
                    packet_id,
                    dup: false,
                }
            }
            false => Delivery::AtMostOnce,
        };
        self.client.send(&Packet::Publish(Publish {
            delivery,
            retain: self.retain,
            topic: Some(self.topic),
            properties: Properties::EMPTY,
            payload,
        }))?;
        match delivery.packet_id() {
            Some(packet_id) => self.wait_for(packet_id),
            None => Ok(()),
        }
    }

    /// The one message in flight is acknowledged.
    fn wait_for(&mut self, sent: PacketId) -> Result<(), ClientError> {
        loop {
            let answer = self.client.next(|received| match received {
                Received::Published(packet_id, reason) if packet_id == sent => Some(reason),
                _ => None,
            })?;
            match answer {
                Some(reason) if reason.is_error() => return Err(ClientError::NotPublished(reason)),
                Some(_) => return Ok(()),
                None => {}
            }
        }
    }
}

/// Lines of standard input without their ends, read by a thread of its own: while none
/// comes, the server still hears something.
fn read_lines() -> Receiver<io::Result<Vec<u8>>> {
    let (sender, lines) = sync_channel(LINES_AHEAD_MAX);
    thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let line = line.map(|mut line| {
                line.pop_if(|last| *last == b'\r');
                line
            });
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    lines
}
