//! A message as it stands in the ring: everything that any shard needs to know of it,
//! in itself. There is no dictionary to keep in step.
//!
//! ```text
//!   0 sequence         u64    the sequencer's count; 0 from a feed handler
//!   8 topic hash       u64    keyed; 0 from a feed handler
//!  16 source time      u64    µs since 1970, UTC; 0 if the source has none
//!  24 ingest time      u64    µs since 1970, UTC; 0 from a feed handler
//!  32 expiry           u64    µs since 1970, UTC; 0 if it never does
//!  40 session          u32 ┐
//!  44 generation       u32 │  the publisher's, if a client published it: where the
//!  48 home             u16 │  acknowledgement goes
//!  50 packet id        u16 ┘
//!  52 topic bytes      u16
//!  54 client id bytes  u16
//!  56 properties bytes u32
//!  60 payload bytes    u32
//!  64 QoS              u8     0, 1 or 2
//!  65 retain           u8     0 or 1
//!  66 zero             6 bytes
//!  72 topic, client id, properties, payload, one behind the other
//! ```
//!
//! The properties are a block as MQTT 5 encodes it, without its length: those that
//! reach subscribers unchanged.

/// Bytes before the topic.
pub const HEAD_BYTES: usize = 72;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Message<'a> {
    /// Its number among all messages; 0 before the sequencer saw it.
    pub sequence: u64,
    /// The keyed hash of its topic; 0 before the sequencer saw it.
    pub topic_hash: u64,
    /// When its source says that it happened, in µs since 1970, UTC; 0 if unknown.
    pub source_micros: u64,
    /// When the ingest core took it, in µs since 1970, UTC; 0 before.
    pub ingest_micros: u64,
    /// When it is to be forgotten, in µs since 1970, UTC; 0 if never.
    pub expires_micros: u64,
    /// Where its acknowledgement goes, if a client published it.
    pub publisher: Publisher,
    /// Quality of service, 0 to 2.
    pub qos: u8,
    /// Whether it is to be kept as its topic's last value.
    pub retain: bool,
    /// At most 65,535 bytes.
    pub topic: &'a [u8],
    /// The publisher's client identifier; empty if no client published it.
    pub client_id: &'a [u8],
    /// Properties of MQTT 5, encoded, without their length.
    pub properties: &'a [u8],
    /// What it says.
    pub payload: &'a [u8],
}

/// The connection that a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Publisher {
    /// Which session of its shard.
    pub session: u32,
    /// Which connection of that session.
    pub generation: u32,
    /// Which shard.
    pub home: u16,
    /// The packet identifier; 0 if nothing is to be acknowledged.
    pub packet_id: u16,
}

impl<'a> Message<'a> {
    /// Bytes of the record's body.
    pub fn encoded_len(&self) -> usize {
        let parts = [self.topic, self.client_id, self.properties, self.payload];
        HEAD_BYTES + parts.iter().map(|part| part.len()).sum::<usize>()
    }

    /// Writes it into a record's body, of just [`Self::encoded_len`] bytes.
    ///
    /// # Panics
    /// If the body has another length, or a part is longer than its length field
    /// can say.
    pub fn encode(&self, body: &mut [u8]) {
        let room = self.encode_around(self.payload.len(), body);
        room.copy_from_slice(self.payload);
    }

    /// Writes all but the payload and returns the payload's room, of so many bytes: who
    /// makes a payload can make it where it is to lie. `self.payload` is not looked at.
    ///
    /// # Panics
    /// If the body is not just as long as all of it, or a part is longer than its length
    /// field can say.
    pub fn encode_around<'b>(&self, payload_bytes: usize, body: &'b mut [u8]) -> &'b mut [u8] {
        let short = |part: &[u8]| u16::try_from(part.len()).expect("at most 65535 bytes");
        let long = |bytes: usize| u32::try_from(bytes).expect("at most 4 GiB");
        let (head, mut rest) = body.split_at_mut(HEAD_BYTES);
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            head[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        put(&self.sequence.to_le_bytes());
        put(&self.topic_hash.to_le_bytes());
        put(&self.source_micros.to_le_bytes());
        put(&self.ingest_micros.to_le_bytes());
        put(&self.expires_micros.to_le_bytes());
        put(&self.publisher.session.to_le_bytes());
        put(&self.publisher.generation.to_le_bytes());
        put(&self.publisher.home.to_le_bytes());
        put(&self.publisher.packet_id.to_le_bytes());
        put(&short(self.topic).to_le_bytes());
        put(&short(self.client_id).to_le_bytes());
        put(&long(self.properties.len()).to_le_bytes());
        put(&long(payload_bytes).to_le_bytes());
        put(&[self.qos, self.retain.into(), 0, 0, 0, 0, 0, 0]);
        for part in [self.topic, self.client_id, self.properties] {
            let (place, behind) = rest.split_at_mut(part.len());
            place.copy_from_slice(part);
            rest = behind;
        }
        assert_eq!(
            rest.len(),
            payload_bytes,
            "the body has another length than the message"
        );
        rest
    }

    /// Reads a record's body; `None` if it is not a message. Whether topic and
    /// properties are what MQTT allows is for whoever takes it from a stranger.
    pub fn decode(body: &'a [u8]) -> Option<Self> {
        let (head, mut rest) = body.split_first_chunk::<HEAD_BYTES>()?;
        let u64_at = |at: usize| Some(u64::from_le_bytes(*head[at..].first_chunk()?));
        let u32_at = |at: usize| Some(u32::from_le_bytes(*head[at..].first_chunk()?));
        let u16_at = |at: usize| Some(u16::from_le_bytes(*head[at..].first_chunk()?));
        let mut part = |bytes: usize| {
            let (part, behind) = rest.split_at_checked(bytes)?;
            rest = behind;
            Some(part)
        };
        let [qos, retain, reserved @ ..] = *head[64..].first_chunk::<8>()?;
        if qos > 2 || retain > 1 || reserved != [0; 6] {
            return None;
        }
        let message = Self {
            sequence: u64_at(0)?,
            topic_hash: u64_at(8)?,
            source_micros: u64_at(16)?,
            ingest_micros: u64_at(24)?,
            expires_micros: u64_at(32)?,
            publisher: Publisher {
                session: u32_at(40)?,
                generation: u32_at(44)?,
                home: u16_at(48)?,
                packet_id: u16_at(50)?,
            },
            qos,
            retain: retain == 1,
            topic: part(u16_at(52)?.into())?,
            client_id: part(u16_at(54)?.into())?,
            properties: part(u32_at(56)? as usize)?,
            payload: part(u32_at(60)? as usize)?,
        };
        rest.is_empty().then_some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_made_in_place_is_the_payload() {
        let message = Message {
            sequence: 1,
            topic_hash: 2,
            source_micros: 3,
            ingest_micros: 4,
            expires_micros: 5,
            qos: 1,
            retain: true,
            topic: b"a/b",
            client_id: b"client",
            properties: b"\x01\x01",
            payload: b"payload",
            ..Message::default()
        };
        let mut whole = vec![0xFF; message.encoded_len()];
        message.encode(&mut whole);
        assert_eq!(Message::decode(&whole), Some(message));

        let mut around = vec![0xEE; message.encoded_len()];
        let head = Message {
            payload: b"is not looked at",
            ..message
        };
        head.encode_around(7, &mut around)
            .copy_from_slice(b"payload");
        assert_eq!(around, whole);
    }

    #[test]
    #[should_panic(expected = "another length")]
    fn a_body_of_another_length_is_refused() {
        Message::default().encode_around(1, &mut [0; HEAD_BYTES + 2]);
    }
}
