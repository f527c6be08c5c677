//! What a peer can do wrong, and what it is told.

use super::CloseCode;

/// A peer's breach of RFC 6455, or of our limits. It ends the connection: the
/// close code goes out and nothing more is read. `[RFC6455-7.1.7-7]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A reserved bit is set and no extension is negotiated. `[RFC6455-5.2-4]`
    ReservedBits,
    /// Opcodes 3 to 7 and 11 to 15. `[RFC6455-5.2-5]`
    ReservedOpcode,
    /// A control frame without FIN. `[RFC6455-5.5-3]`
    ControlFragmented,
    /// A control frame of more than 125 bytes. `[RFC6455-5.5-2]`
    ControlTooLong,
    /// A client's frame is not masked. `[RFC6455-5.1-2]`
    MaskMissing,
    /// A server's frame is masked. `[RFC6455-5.1-5]`
    MaskPresent,
    /// The payload length does not take its shortest form. `[RFC6455-5.2-9]`
    LengthNotMinimal,
    /// The top bit of an 8-byte length is set. `[RFC6455-5.2-8]`
    LengthTopBit,
    /// A continuation without a message under way. `[RFC6455-5.4-4]`
    ContinuationUnexpected,
    /// A new message while another is under way. `[RFC6455-5.4-8]`
    ContinuationMissing,
    /// A data frame is larger than we take. `[RFC6455-10.4-1]`
    FrameTooBig,
    /// A message is larger than we take. `[RFC6455-10.4-1]`
    MessageTooBig,
    /// A text message is not UTF-8. `[RFC6455-8.1-1]`
    TextNotUtf8,
    /// A Close body of one byte holds no code. `[RFC6455-5.5.1-2]`
    CloseBodyTooShort,
    /// A close code that may not be in a Close frame. `[RFC6455-7.4.2-5]`
    CloseCodeForbidden,
    /// The reason in a Close frame is not UTF-8. `[RFC6455-8.1-1]`
    CloseReasonNotUtf8,
}

impl Fault {
    /// The code that the peer is told. `[RFC6455-7.1.7-5]`
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::ReservedBits
            | Self::ReservedOpcode
            | Self::ControlFragmented
            | Self::ControlTooLong
            | Self::MaskMissing
            | Self::MaskPresent
            | Self::LengthNotMinimal
            | Self::LengthTopBit
            | Self::ContinuationUnexpected
            | Self::ContinuationMissing
            | Self::CloseBodyTooShort
            | Self::CloseCodeForbidden => CloseCode::PROTOCOL_ERROR,
            Self::TextNotUtf8 | Self::CloseReasonNotUtf8 => CloseCode::INVALID_DATA,
            Self::FrameTooBig | Self::MessageTooBig => CloseCode::TOO_BIG,
        }
    }
}
