//! An MQTT client that waits for what it sends and reads: the common part of `ringcast sub`
//! and `ringcast pub`. One connection, one thread, no session.

mod error;

pub(crate) use error::ClientError;

use ringcast_codec::Progress;
use ringcast_codec::mqtt::{
    Acknowledge, Binary, Connect, Decoder, Delivery, Disconnect, Fault, PACKET_BYTES_MAX, Packet,
    PacketId, Properties, ReasonCode, Sender, Text, Version,
};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// How long a server may take to close after a goodbye.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(5);

/// The server's address, and who this client says it is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Peer {
    /// Name or address of the server's host
    #[arg(short = 'H', long, default_value = "127.0.0.1")]
    host: String,
    /// The server's port
    #[arg(short, long, default_value_t = 1883)]
    port: u16,
    /// The version of MQTT
    #[arg(long = "mqtt", value_name = "VERSION", default_value = "5")]
    version: MqttVersion,
    /// The client identifier; without it the server makes one up
    #[arg(long)]
    id: Option<String>,
    /// The user name
    #[arg(short, long)]
    user: Option<String>,
    /// The user's password; others on this host can see it while the program runs
    #[arg(short = 'P', long, requires = "user")]
    password: Option<String>,
    /// Seconds within which something is always sent; the server's silence may be as long
    #[arg(long, value_name = "SECONDS", default_value_t = 60,
        value_parser = clap::value_parser!(u16).range(1..))]
    keep_alive: u16,
}

/// Versions as the command line names them.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum MqttVersion {
    #[value(name = "3.1")]
    V31,
    #[value(name = "3.1.1")]
    V311,
    #[value(name = "5")]
    V5,
}

impl From<MqttVersion> for Version {
    fn from(version: MqttVersion) -> Self {
        match version {
            MqttVersion::V31 => Self::V31,
            MqttVersion::V311 => Self::V311,
            MqttVersion::V5 => Self::V5,
        }
    }
}

/// A connection that the server has accepted.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    version: Version,
    keep_alive: Duration,
    received: Vec<u8>,
    /// Bytes at the front of `received` that were handled.
    handled: usize,
    /// When to ask whether the server is still there.
    ask_at: Instant,
    /// When it was asked, and has not answered yet.
    asked_at: Option<Instant>,
    /// It has said goodbye.
    is_leaving: bool,
}

/// What the server sent that concerns the caller.
#[derive(Debug)]
pub(crate) enum Received<'a> {
    /// A message.
    Message {
        /// Its topic.
        topic: &'a [u8],
        /// Its payload.
        payload: &'a [u8],
        /// Whether the server had kept it.
        retain: bool,
    },
    /// The answer to a SUBSCRIBE: a reason for each filter.
    Subscribed(Vec<ReasonCode>),
    /// The answer to a message that was published.
    Published(PacketId, ReasonCode),
    /// Nothing that concerns the caller.
    Nothing,
}

impl Client {
    /// Connects, and waits until the server has accepted it.
    ///
    /// # Errors
    /// [`ClientError`], such as the server's refusal.
    pub(crate) fn connect(peer: &Peer) -> Result<Self, ClientError> {
        let version = Version::from(peer.version);
        let stream = open(&peer.host, peer.port)?;
        // [MQTT3.1-3.1]: an identifier of 1 to 23 characters.
        let made_up = match version {
            Version::V31 => format!("ringcast-{}", std::process::id()),
            Version::V311 | Version::V5 => String::new(),
        };
        let client_id = peer.id.as_ref().unwrap_or(&made_up);
        let user = peer.user.as_deref();
        let connect = Connect {
            version,
            clean_start: true,
            keep_alive: peer.keep_alive,
            client_id: text("client identifier", client_id)?,
            will: None,
            user_name: user.map(|user| text("user name", user)).transpose()?,
            password: match &peer.password {
                Some(password) => Some(Binary::new(password.as_bytes())?),
                None => None,
            },
            properties: Properties::EMPTY,
        };
        let mut packet = vec![0; connect.encoded_len().map_err(ClientError::TooLarge)?];
        connect.encode(&mut packet).map_err(ClientError::TooLarge)?;
        (&stream).write_all(&packet).map_err(ClientError::Broken)?;
        let keep_alive = Duration::from_secs(peer.keep_alive.into());
        let mut client = Self {
            stream,
            version,
            keep_alive,
            received: Vec::new(),
            handled: 0,
            ask_at: Instant::now() + keep_alive / 2,
            asked_at: Some(Instant::now()),
            is_leaving: false,
        };
        client.wait_for_connack()?;
        client.asked_at = None;
        Ok(client)
    }

    /// Sends a packet.
    ///
    /// # Errors
    /// [`ClientError`], where it is too large or the connection broke.
    pub(crate) fn send(&mut self, packet: &Packet<'_>) -> Result<(), ClientError> {
        let bytes = packet
            .encoded_len(self.version)
            .map_err(ClientError::TooLarge)?;
        let mut encoded = vec![0; bytes];
        packet
            .encode(self.version, &mut encoded)
            .map_err(ClientError::TooLarge)?;
        self.stream
            .write_all(&encoded)
            .map_err(ClientError::Broken)?;
        self.ask_at = Instant::now() + self.quiet_time_max();
        Ok(())
    }

    /// Waits for the next packet, answers it where MQTT wants an answer, and gives it to
    /// `take`. Asks a silent server for a word, and gives it up when none comes.
    ///
    /// # Errors
    /// [`ClientError`]: the server ended the connection, is gone, or breaks the rules.
    pub(crate) fn next<T>(
        &mut self,
        mut take: impl FnMut(Received<'_>) -> T,
    ) -> Result<T, ClientError> {
        let length = self.wait_for_packet()?;
        let packet = self.packet(length)?;
        let is_word = packet == Packet::Pingresp;
        let (taken, answer) = react(&packet, &mut take)?;
        if is_word {
            self.asked_at = None;
        }
        self.handled += length;
        match answer {
            // [MQTT-3.14.4-1]: nothing comes behind a goodbye.
            Some(answer) if !self.is_leaving => self.send(&answer).map(|()| taken),
            _ => Ok(taken),
        }
    }

    /// Whether a whole packet is there already, so that [`Self::next`] would not wait.
    pub(crate) fn has_more(&self) -> bool {
        matches!(self.front(), Ok(Progress::Done(..)) | Err(_))
    }

    /// How long a caller may have nothing to send before it calls [`Self::ask`].
    pub(crate) fn quiet_time_max(&self) -> Duration {
        self.keep_alive / 2
    }

    /// Asks the server for a word, and waits for it.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub(crate) fn ask(&mut self) -> Result<(), ClientError> {
        self.send(&Packet::Pingreq)?;
        self.asked_at = Some(Instant::now());
        while self.asked_at.is_some() {
            self.next(|_| ())?;
        }
        Ok(())
    }

    /// Says goodbye, and waits for the server to close: so it has had all that was sent,
    /// or said why it does not want it.
    ///
    /// # Errors
    /// [`ClientError`], where the connection broke before, or the server had an objection.
    pub(crate) fn disconnect(mut self) -> Result<(), ClientError> {
        self.send(&Packet::Disconnect(Disconnect {
            reason: ReasonCode::Success,
            properties: Properties::EMPTY,
        }))?;
        self.is_leaving = true;
        // As if it had been asked for a word, which is to close.
        self.asked_at = Some(Instant::now());
        self.keep_alive = GOODBYE_TIME_MAX;
        loop {
            match self.next(|_| ()) {
                Ok(()) => {}
                Err(ClientError::Closed | ClientError::Broken(_) | ClientError::Silent(_)) => {
                    return Ok(());
                }
                Err(objection) => return Err(objection),
            }
        }
    }

    fn wait_for_connack(&mut self) -> Result<(), ClientError> {
        let length = self.wait_for_packet()?;
        let keep_alive = match self.packet(length)? {
            Packet::Connack(connack) if connack.reason == ReasonCode::Success => {
                connack.properties.server_keep_alive()
            }
            Packet::Connack(connack) => return Err(ClientError::Refused(connack.reason)),
            _ => return Err(ClientError::Unexpected("another packet before CONNACK")),
        };
        self.handled += length;
        // [MQTT-3.2.2-21]; none, where it switches it off.
        if let Some(seconds @ 1..) = keep_alive {
            self.keep_alive = Duration::from_secs(seconds.into());
            self.ask_at = Instant::now() + self.quiet_time_max();
        }
        Ok(())
    }

    fn decoder(&self) -> Decoder {
        Decoder {
            version: self.version,
            sender: Sender::Server,
            packet_bytes_max: PACKET_BYTES_MAX,
        }
    }

    fn front(&self) -> Result<Progress<Packet<'_>>, Fault> {
        self.decoder().decode(&self.received[self.handled..])
    }

    /// The packet of so many bytes that was waited for.
    fn packet(&self, length: usize) -> Result<Packet<'_>, ClientError> {
        match self.front()? {
            Progress::Done(packet, consumed) if consumed == length => Ok(packet),
            _ => unreachable!("it was whole when it was waited for"),
        }
    }

    /// Reads until a whole packet is there; its length.
    fn wait_for_packet(&mut self) -> Result<usize, ClientError> {
        loop {
            if let Progress::Done(_, length) = self.front()? {
                return Ok(length);
            }
            self.received.drain(..self.handled);
            self.handled = 0;
            self.read_some()?;
        }
    }

    fn read_some(&mut self) -> Result<(), ClientError> {
        let now = Instant::now();
        if self.asked_at.is_none() && self.ask_at <= now {
            self.send(&Packet::Pingreq)?;
            self.asked_at = Some(now);
        }
        let wake_at = match self.asked_at {
            Some(asked_at) => asked_at + self.keep_alive,
            None => self.ask_at,
        };
        if wake_at <= now {
            return Err(ClientError::Silent(self.keep_alive));
        }
        // Zero would wait for ever.
        let timeout = wake_at
            .saturating_duration_since(now)
            .max(Duration::from_millis(1));
        self.stream
            .set_read_timeout(Some(timeout))
            .map_err(ClientError::Broken)?;
        let length = self.received.len();
        self.received.resize(length + READ_BYTES, 0);
        let read = self.stream.read(&mut self.received[length..]);
        self.received
            .truncate(length + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(ClientError::Closed),
            Ok(_) => Ok(()),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(()),
                _ => Err(ClientError::Broken(error)),
            },
        }
    }
}

/// What a packet means to the caller, and the answer that MQTT wants.
fn react<T>(
    packet: &Packet<'_>,
    take: &mut impl FnMut(Received<'_>) -> T,
) -> Result<(T, Option<Packet<'static>>), ClientError> {
    let (received, answer) = match packet {
        Packet::Publish(publish) => {
            let answer = match publish.delivery {
                Delivery::AtMostOnce => None,
                Delivery::AtLeastOnce { packet_id, .. } => {
                    Some(Packet::Puback(Acknowledge::success(packet_id)))
                }
                Delivery::ExactlyOnce { packet_id, .. } => {
                    Some(Packet::Pubrec(Acknowledge::success(packet_id)))
                }
            };
            // None was offered, so that every message has its name.
            let topic = publish
                .topic
                .ok_or(ClientError::Unexpected("a topic alias"))?;
            let message = Received::Message {
                topic: topic.as_bytes(),
                payload: publish.payload,
                retain: publish.retain,
            };
            (message, answer)
        }
        Packet::Pubrel(release) => {
            let answer = Packet::Pubcomp(Acknowledge::success(release.packet_id));
            (Received::Nothing, Some(answer))
        }
        Packet::Suback(suback) => (Received::Subscribed(suback.reasons.iter().collect()), None),
        Packet::Puback(puback) => (Received::Published(puback.packet_id, puback.reason), None),
        Packet::Pingresp => (Received::Nothing, None),
        Packet::Disconnect(disconnect) => return Err(ClientError::Ended(disconnect.reason)),
        _ => return Err(ClientError::Unexpected("a packet of another kind")),
    };
    Ok((take(received), answer))
}

/// A text that MQTT can carry.
pub(crate) fn text<'a>(what: &'static str, text: &'a str) -> Result<Text<'a>, ClientError> {
    Text::new(text).map_err(|_| ClientError::NotMqtt {
        what,
        text: text.into(),
    })
}

fn open(host: &str, port: u16) -> Result<TcpStream, ClientError> {
    let not_there = |error| ClientError::NotThere {
        server: format!("{host}:{port}"),
        error,
    };
    let addresses = (host, port).to_socket_addrs().map_err(not_there)?;
    let mut last = io::Error::from(ErrorKind::NotFound);
    for address in addresses {
        match TcpStream::connect(address) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(ClientError::Broken)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(not_there(last))
}
