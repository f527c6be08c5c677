//! Market data: symbols, decimals, channels with their topics and classes, and the JSON
//! messages that carry them.
//!
//! ```text
//! market/BTCUSDT/kline/1m                          Topic = Symbol + Channel
//! {"ch":"kline/1m","s":"BTCUSDT","seq":7,…,"data":{…}}   Message
//! ```
//!
//! A message is encoded once, where the feed is taken in, and its bytes are what
//! every subscriber of any protocol gets. So the encoder allocates nothing; the
//! decoder, for clients and tests, is strict rather than fast. Prices and
//! quantities are the feed's own decimal text from end to end: nothing in here
//! is a float.
//!
//! Not in here: what the messages say. Candles, rolling windows and order books
//! are kept by the aggregation.

mod channel;
mod checksum;
mod decimal;
mod decode;
mod delivery;
mod encode;
mod level_list;
mod message;
mod relink;
mod symbol;
mod topic;

pub use channel::{Channel, Interval, Levels, Side};
pub use checksum::{CHECKSUM_LEVELS, book_checksum};
pub use decimal::{DECIMAL_DIGITS_MAX, Decimal, DecimalFault};
pub use decode::MessageFault;
pub use delivery::{DeliveryClass, DeliveryClasses, SlowPolicy};
pub use level_list::LevelList;
pub use message::{
    Bbo, Book, BookKind, Data, Kline, Level, Link, Message, Thumb, Trade, UpdateIds,
};
pub use relink::{as_conflated, as_snapshot};
pub use symbol::{SYMBOL_BYTES_MAX, Symbol, SymbolFault};
pub use topic::{TOPIC_BYTES_MAX, Topic};
