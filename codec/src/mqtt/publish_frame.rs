//! A PUBLISH as subscribers get it, encoded once for all that share its bytes.
//!
//! ```text
//!  first byte │ length │ topic │ packet id │ length │ expiry │ identifiers │ properties │ payload
//!                                ▲                    ▲                      └─ copied as they are ─┘
//!                                packet_id_at         message_expiry_at
//! ```
//!
//! Two fields may differ between those that get the same message, or may have to
//! be counted down before it is sent: they stand at places that the layout names.

use super::property::{Properties, Property, SubscriptionIdentifier};
use super::publish::{Publish, flag};
use super::reader::VariableByteInteger;
use super::{Kind, Oversize, PacketId, QoS, TopicName, Version};
use crate::writer::Writer;

/// All that one variant of a message's frame is made of.
#[derive(Debug, Clone, Copy)]
pub struct PublishFrame<'a> {
    /// The version of its receivers; MQTT 3 has no properties.
    pub version: Version,
    /// The quality of service of this delivery.
    pub qos: QoS,
    /// Whether it is marked as retained.
    pub retain: bool,
    /// `None` where a topic alias among the properties stands for it.
    pub topic: Option<TopicName<'a>>,
    /// The seconds that the message has left to live, if it is to die.
    pub message_expiry: Option<u32>,
    /// The subscriptions that matched, where they are numbered.
    pub subscription_identifiers: &'a [SubscriptionIdentifier],
    /// The other properties, without expiry and identifiers.
    pub properties: Properties<'a>,
    /// The message.
    pub payload: &'a [u8],
}

/// Where the fields of an encoded frame lie, in bytes from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLayout {
    /// The whole frame.
    pub len: usize,
    /// Two bytes, at QoS 1 and 2.
    pub packet_id_at: Option<usize>,
    /// Four bytes, if the message is to die and the version can say so.
    pub message_expiry_at: Option<usize>,
    /// The payload, which ends the frame.
    pub payload_at: usize,
    /// What the fixed header announces.
    remaining: usize,
    /// What the length of the properties announces.
    properties: usize,
}

impl<'a> PublishFrame<'a> {
    /// The sizes and places of the frame. They depend on the topic, the lengths
    /// and the variant, never on the values.
    ///
    /// # Errors
    /// [`Oversize`] past what the encoding of a length can say.
    ///
    /// # Panics
    /// Without a topic before MQTT 5, which has no alias for it.
    #[inline]
    pub fn layout(&self) -> Result<FrameLayout, Oversize> {
        assert!(
            self.topic.is_some() || self.version == Version::V5,
            "no topic"
        );
        let packet_id = if self.qos == QoS::AtMostOnce { 0 } else { 2 };
        let (properties, properties_and_length) = match self.version {
            Version::V31 | Version::V311 => (0, 0),
            Version::V5 => {
                let properties = self.properties_len();
                (
                    properties,
                    VariableByteInteger::len(properties) + properties,
                )
            }
        };
        let before_properties = 2 + self.topic_bytes().len() + packet_id;
        let remaining = before_properties + properties_and_length + self.payload.len();
        let header = Oversize::check(remaining)? - remaining;
        let properties_at = header + before_properties + properties_and_length - properties;
        let dies = self.version == Version::V5 && self.message_expiry.is_some();
        Ok(FrameLayout {
            len: header + remaining,
            packet_id_at: (packet_id != 0).then_some(header + before_properties - packet_id),
            message_expiry_at: dies.then_some(properties_at + 1),
            payload_at: properties_at + properties,
            remaining,
            properties,
        })
    }

    /// Writes the frame with its packet identifier, which QoS 1 and 2 need, into
    /// the first [`FrameLayout::len`] bytes of `out`.
    ///
    /// # Panics
    /// If `out` is shorter, or identifier and quality of service do not go
    /// together.
    #[inline]
    pub fn encode(&self, layout: &FrameLayout, packet_id: Option<PacketId>, out: &mut [u8]) {
        let (head, payload) = out[..layout.len].split_at_mut(layout.payload_at);
        self.encode_head(layout, packet_id, head);
        payload.copy_from_slice(self.payload);
    }

    /// Writes all but the payload into the first [`FrameLayout::payload_at`]
    /// bytes of `out`, for a payload that is sent from where it lies.
    ///
    /// # Panics
    /// As [`Self::encode`].
    #[inline]
    pub fn encode_head(&self, layout: &FrameLayout, packet_id: Option<PacketId>, out: &mut [u8]) {
        assert_eq!(packet_id.is_some(), self.qos != QoS::AtMostOnce);
        let mut writer = Writer::new(out);
        let retain = if self.retain { flag::RETAIN } else { 0 };
        writer.put_u8(Kind::Publish.first_byte() | (self.qos as u8) << flag::QOS_SHIFT | retain);
        writer.put_variable_byte_integer(layout.remaining);
        writer.put_length_prefixed(self.topic_bytes());
        if let Some(packet_id) = packet_id {
            writer.put_u16(packet_id.get());
        }
        if self.version == Version::V5 {
            writer.put_variable_byte_integer(layout.properties);
            if let Some(seconds) = self.message_expiry {
                Property::MessageExpiryInterval(seconds).write(&mut writer);
            }
            for &identifier in self.subscription_identifiers {
                Property::SubscriptionIdentifier(identifier).write(&mut writer);
            }
            writer.put(self.properties.as_bytes());
        }
        debug_assert_eq!(writer.written(), layout.payload_at);
    }

    fn properties_len(&self) -> usize {
        let expiry = self.message_expiry.map_or(0, |_| 5);
        let identifiers: usize = self
            .subscription_identifiers
            .iter()
            .map(|&identifier| Property::SubscriptionIdentifier(identifier).encoded_len())
            .sum();
        expiry + identifiers + self.properties.as_bytes().len()
    }

    fn topic_bytes(&self) -> &'a [u8] {
        self.topic.map_or(&[], |topic| topic.as_bytes())
    }
}

impl FrameLayout {
    /// Puts another packet identifier into a frame of this layout.
    ///
    /// # Panics
    /// If the layout has no place for one.
    pub fn set_packet_id(&self, frame: &mut [u8], packet_id: PacketId) {
        let at = self.packet_id_at.expect("QoS 0 has no packet identifier");
        frame[at..at + 2].copy_from_slice(&packet_id.get().to_be_bytes());
    }

    /// Puts another expiry, in seconds, into a frame of this layout.
    ///
    /// # Panics
    /// If the layout has no place for one.
    pub fn set_message_expiry(&self, frame: &mut [u8], seconds: u32) {
        let at = self.message_expiry_at.expect("the message does not expire");
        frame[at..at + 4].copy_from_slice(&seconds.to_be_bytes());
    }

    /// Marks a frame at QoS 1 or 2 as one that may have been sent before.
    ///
    /// # Panics
    /// At QoS 0, which is never sent again [MQTT-3.3.1-2].
    pub fn set_dup(&self, frame: &mut [u8]) {
        assert!(self.packet_id_at.is_some(), "QoS 0 is never sent again");
        frame[0] |= flag::DUP;
    }
}

impl<'a> Publish<'a> {
    fn frame(&self, version: Version) -> PublishFrame<'a> {
        PublishFrame {
            version,
            qos: self.delivery.qos(),
            retain: self.retain,
            topic: self.topic,
            message_expiry: None,
            subscription_identifiers: &[],
            properties: self.properties,
            payload: self.payload,
        }
    }

    pub(super) fn encoded_len(&self, version: Version) -> Result<usize, Oversize> {
        Ok(self.frame(version).layout()?.len)
    }

    pub(super) fn encode(&self, version: Version, out: &mut [u8]) -> Result<usize, Oversize> {
        let frame = self.frame(version);
        let layout = frame.layout()?;
        frame.encode(&layout, self.delivery.packet_id(), out);
        if self.delivery.dup() {
            layout.set_dup(out);
        }
        Ok(layout.len)
    }
}
