//! What a client of either gateway protocol is told when something is wrong.
//!
//! One list for both: the JSON protocol sends the text, the command protocol the
//! number. Texts and numbers are part of the contract with clients and never
//! change their meaning.

/// Why something was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// Not JSON.
    BadJson,
    /// JSON, but fields are missing, unknown or of another type.
    BadRequest,
    /// Longer than is allowed.
    TooLong,
    /// An operation or command that does not exist.
    UnknownOperation,
    /// A channel that does not exist, or not in this protocol.
    UnknownChannel,
    /// Not a symbol, or none where one is needed.
    BadSymbol,
    /// Not an interval, or one where none belongs.
    BadInterval,
    /// Not a number of levels, or one where none belongs.
    BadLevels,
    /// Not a tier.
    BadTier,
    /// `from` is not a place in a log.
    BadFrom,
    /// More subscriptions in one request than are allowed.
    TooManyArguments,
    /// More subscriptions on one connection than are allowed.
    TooManySubscriptions,
    /// Requests come faster than is allowed.
    TooManyMessages,
    /// More connections from one address than are allowed.
    TooManyConnections,
    /// The login was refused.
    LoginFailed,
    /// Only for those who are logged in, or for somebody else.
    Forbidden,
}

impl ErrorCode {
    /// All there are.
    pub const ALL: [Self; 16] = [
        Self::BadJson,
        Self::BadRequest,
        Self::TooLong,
        Self::UnknownOperation,
        Self::UnknownChannel,
        Self::BadSymbol,
        Self::BadInterval,
        Self::BadLevels,
        Self::BadTier,
        Self::BadFrom,
        Self::TooManyArguments,
        Self::TooManySubscriptions,
        Self::TooManyMessages,
        Self::TooManyConnections,
        Self::LoginFailed,
        Self::Forbidden,
    ];

    /// `code` of an error reply. Needs no escaping.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::BadRequest => "bad_request",
            Self::TooLong => "too_long",
            Self::UnknownOperation => "unknown_op",
            Self::UnknownChannel => "unknown_channel",
            Self::BadSymbol => "bad_symbol",
            Self::BadInterval => "bad_interval",
            Self::BadLevels => "bad_levels",
            Self::BadTier => "bad_tier",
            Self::BadFrom => "bad_from",
            Self::TooManyArguments => "too_many_args",
            Self::TooManySubscriptions => "too_many_subscriptions",
            Self::TooManyMessages => "too_many_messages",
            Self::TooManyConnections => "too_many_connections",
            Self::LoginFailed => "login_failed",
            Self::Forbidden => "forbidden",
        }
    }

    /// The code of a text, or none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// `code` of a `SimpleResponse`; 0 there is success.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::BadJson => 1,
            Self::BadRequest => 2,
            Self::TooLong => 3,
            Self::UnknownOperation => 4,
            Self::UnknownChannel => 5,
            Self::BadSymbol => 6,
            Self::BadInterval => 7,
            Self::BadLevels => 8,
            Self::BadTier => 9,
            Self::BadFrom => 10,
            Self::TooManyArguments => 11,
            Self::TooManySubscriptions => 12,
            Self::TooManyMessages => 13,
            Self::TooManyConnections => 14,
            Self::LoginFailed => 15,
            Self::Forbidden => 16,
        }
    }

    /// Why the connection is closed when it comes to that: at once for what is
    /// too long, for the rest once the listener has seen enough of it.
    #[must_use]
    pub fn close_reason(self) -> CloseReason {
        match self {
            Self::BadJson
            | Self::BadRequest
            | Self::UnknownOperation
            | Self::UnknownChannel
            | Self::BadSymbol
            | Self::BadInterval
            | Self::BadLevels
            | Self::BadTier
            | Self::BadFrom
            | Self::TooManyArguments => CloseReason::BadRequest,
            Self::TooLong => CloseReason::TooBig,
            Self::TooManySubscriptions | Self::TooManyMessages | Self::TooManyConnections => {
                CloseReason::TooMany
            }
            Self::LoginFailed | Self::Forbidden => CloseReason::Auth,
        }
    }
}

/// Why a WebSocket connection of a gateway protocol is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The server is going away.
    GoingAway,
    /// A text message is not UTF-8.
    NotUtf8,
    /// A message is too big.
    TooBig,
    /// Bad requests, repeatedly.
    BadRequest,
    /// Not authenticated, or not allowed.
    Auth,
    /// The client takes its messages too slowly.
    SlowConsumer,
    /// Too many connections, subscriptions or messages.
    TooMany,
}

impl CloseReason {
    /// The close code: those of RFC 6455 section 7.4.1, and from its private
    /// range (4000 to 4999) our own.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::NotUtf8 => 1007,
            Self::TooBig => 1009,
            Self::BadRequest => 4000,
            Self::Auth => 4001,
            Self::SlowConsumer => 4008,
            Self::TooMany => 4029,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_numbers_are_one_to_one() {
        for (place, code) in ErrorCode::ALL.into_iter().enumerate() {
            assert_eq!(ErrorCode::parse(code.as_str()), Some(code));
            assert_eq!(
                usize::try_from(code.number()),
                Ok(place + 1),
                "numbers are never reused"
            );
        }
        assert_eq!(ErrorCode::parse("ok"), None);
    }
}
