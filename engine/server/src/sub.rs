//! `ringcast sub`: subscribes by MQTT and prints what comes, one message to a line.

use crate::client::{Client, ClientError, Peer, Received};
use crate::readable::Readable;
use anyhow::Result;
use ringcast_codec::mqtt::{
    Packet, PacketId, Properties, QoS, ReasonCode, RetainHandling, Subscribe, SubscriptionBlock,
    SubscriptionOptions, TopicFilter,
};
use std::io::{self, BufWriter, ErrorKind, Write};

/// The options of `ringcast sub`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    peer: Peer,
    /// A topic filter, such as market/+/trade; may be repeated
    #[arg(short, long = "topic", value_name = "FILTER", required = true)]
    topics: Vec<String>,
    /// The highest quality of service
    #[arg(short, long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// Ends after so many messages, instead of when the server ends it
    #[arg(long)]
    count: Option<u64>,
    /// Not the messages that the server had kept
    #[arg(long)]
    no_retained: bool,
    /// Says on standard error what the server grants
    #[arg(short, long)]
    verbose: bool,
}

/// Prints `topic payload` of each message until enough were printed, the server ends it,
/// or whoever reads the output went away.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut client = Client::connect(&arguments.peer)?;
    subscribe(&mut client, arguments)?;
    let mut printer = Printer {
        out: BufWriter::new(io::stdout().lock()),
        left: arguments.count.unwrap_or(u64::MAX),
        no_retained: arguments.no_retained,
    };
    while printer.left > 0 {
        let outcome = client.next(|received| match received {
            Received::Message {
                topic,
                payload,
                retain,
            } => printer.print(topic, payload, retain).map(|()| None),
            Received::Subscribed(reasons) => Ok(Some(reasons)),
            Received::Published(..) | Received::Nothing => Ok(None),
        })?;
        let printed = match outcome {
            Ok(Some(reasons)) => Ok(check_grants(arguments, &reasons)?),
            Ok(None) if client.has_more() => Ok(()),
            Ok(None) => printer.out.flush(),
            Err(error) => Err(error),
        };
        match printed {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            printed => printed?,
        }
    }
    Ok(client.disconnect()?)
}

/// Messages as lines.
struct Printer<W> {
    out: W,
    left: u64,
    no_retained: bool,
}

impl<W: Write> Printer<W> {
    fn print(&mut self, topic: &[u8], payload: &[u8], retain: bool) -> io::Result<()> {
        if retain && self.no_retained || self.left == 0 {
            return Ok(());
        }
        self.left -= 1;
        writeln!(self.out, "{} {}", Readable(topic), Readable(payload))?;
        match self.left {
            0 => self.out.flush(),
            _ => Ok(()),
        }
    }
}

/// One SUBSCRIBE for all filters.
fn subscribe(client: &mut Client, arguments: &Arguments) -> Result<(), ClientError> {
    let mut block = SubscriptionBlock::new();
    let mut options = SubscriptionOptions::at_most(QoS::from_bits(arguments.qos)?);
    if arguments.no_retained {
        options.retain_handling = RetainHandling::DoNotSend;
    }
    for topic in &arguments.topics {
        let filter = TopicFilter::new(topic).map_err(|_| ClientError::NotMqtt {
            what: "topic filter",
            text: topic.clone(),
        })?;
        block.push(filter, options);
    }
    client.send(&Packet::Subscribe(Subscribe {
        packet_id: PacketId::new(1)?,
        properties: Properties::EMPTY,
        subscriptions: block.subscriptions(),
    }))
}

/// Every filter must be granted, at whatever quality of service.
fn check_grants(arguments: &Arguments, reasons: &[ReasonCode]) -> Result<(), ClientError> {
    for (filter, &reason) in arguments.topics.iter().zip(reasons) {
        if reason.is_error() {
            return Err(ClientError::NotSubscribed {
                filter: filter.clone(),
                reason,
            });
        }
        if arguments.verbose {
            // Nobody may be there to read it.
            let _ = writeln!(io::stderr(), "subscribed {filter} qos {}", reason as u8);
        }
    }
    Ok(())
}
