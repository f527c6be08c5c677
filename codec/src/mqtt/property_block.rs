//! Properties under construction, for packets that are to be sent.

use super::property::{Properties, Property};
use crate::writer::Writer;
use alloc::vec::Vec;

/// Properties being put together, in order. Reused after [`Self::clear`], it
/// allocates only when it outgrows all that it held before.
///
/// That its properties may stand in the packet they are meant for is on whoever
/// puts them in; [`Properties::new`] says whether they may.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PropertyBlock {
    bytes: Vec<u8>,
}

impl PropertyBlock {
    /// An empty block.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a property behind the others.
    pub fn push(&mut self, property: Property<'_>) -> &mut Self {
        let at = self.bytes.len();
        self.bytes.resize(at + property.encoded_len(), 0);
        let mut writer = Writer::new(&mut self.bytes[at..]);
        property.write(&mut writer);
        debug_assert_eq!(writer.written(), property.encoded_len());
        self
    }

    /// Adds those of a PUBLISH, or of a will, that reach its subscribers
    /// unchanged and in order [MQTT-3.3.2-17], [MQTT-3.3.2-18]: all but topic
    /// alias and subscription identifiers, which concern one connection, a
    /// will's delay, and message expiry, which is counted down.
    pub fn push_forwarded(&mut self, properties: Properties<'_>) -> &mut Self {
        for property in properties.iter() {
            match property {
                Property::TopicAlias(_)
                | Property::SubscriptionIdentifier(_)
                | Property::MessageExpiryInterval(_)
                | Property::WillDelayInterval(_) => {}
                forwarded => {
                    self.push(forwarded);
                }
            }
        }
        self
    }

    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// What was put together so far.
    pub fn properties(&self) -> Properties<'_> {
        Properties::from_checked(&self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::{PropertyOwner, Text};

    #[test]
    fn a_block_holds_its_properties_and_nothing_else() {
        let text = |text| Text::new(text).unwrap();
        let properties = [
            Property::UserProperty(text(""), text("ä")),
            Property::ReasonString(text("why")),
            Property::UserProperty(text("k"), text("v")),
        ];
        let mut block = PropertyBlock::new();
        for property in properties {
            block.push(property);
        }
        let expected = b"\x26\0\0\0\x02\xC3\xA4\x1F\0\x03why\x26\0\x01k\0\x01v";
        assert_eq!(block.properties().as_bytes(), expected);
        let read = Properties::new(block.properties().as_bytes(), PropertyOwner::Suback).unwrap();
        assert!(read.iter().eq(properties));
        let shown = alloc::format!("{read:?}");
        assert!(shown.ends_with("UserProperty(\"k\", \"v\")]"), "{shown}");
        block.clear();
        assert!(block.properties().is_empty());
    }
}
