//! The encoder of market messages allocates nothing, whatever the message.

use ringcast_allocations::{Counting, allocations};
use ringcast_codec::market::{Message, Topic, as_conflated, book_checksum};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn encoding_allocates_nothing() {
    let book = r#"{"type":"snapshot","U":1,"u":2,"b":[["87232.00","2.4"]],"a":[["87232.01","2.6"]],"crc":3}"#;
    let texts = [
        ("trade", r#"{"id":"quote \" tab \t bell \u0007","p":"40000.10","q":"0.025","side":"buy"}"#),
        ("bbo", r#"{"bp":"1","bq":"2","ap":"3","aq":"4"}"#),
        ("depth", book),
        ("depth/20", book),
        ("kline/1s", r#"{"t0":0,"t1":18446744073709551615,"o":"1","h":"2","l":"3","c":"4","v":"5","qv":"6","n":7,"x":true,"partial":true}"#),
        ("thumb", r#"{"o":"1","h":"2","l":"3","c":"4","v":"5","qv":"6","chg":"-7","chgp":"-8.1"}"#),
    ]
    .map(|(channel, data)| {
        format!(r#"{{"ch":"{channel}","s":"BTCUSDT","seq":18446744073709551615,"prev":0,"ts":1,"ti":2,"data":{data}}}"#)
    });
    let mut out = [0; 1024];
    for text in &texts {
        let message = Message::decode(text.as_bytes()).unwrap();
        let mut written = 0;
        let count = allocations(|| {
            let len = message.encoded_len();
            written = message.encode(&mut out[..len]);
        });
        assert_eq!(count, 0, "{text}");
        assert_eq!(&out[..written], text.as_bytes());

        let topic = Topic {
            symbol: message.symbol,
            channel: message.channel(),
        };
        let count = allocations(|| {
            let written = topic.encode(&mut out);
            assert_eq!(
                Topic::parse(std::str::from_utf8(&out[..written]).unwrap()),
                Some(topic)
            );
            assert!(as_conflated(text.as_bytes()).is_some());
            assert_ne!(book_checksum([], []), 1);
        });
        assert_eq!(count, 0, "{topic:?}");
    }
}

/// The counter counts, or the test above would prove nothing.
#[test]
fn decoding_a_book_is_counted() {
    let text =
        r#"{"ch":"depth","s":"A","seq":1,"prev":0,"ts":1,"ti":2,"data":{"b":[["1","1"]],"a":[]}}"#;
    assert!(allocations(|| drop(Message::decode(text.as_bytes()).unwrap())) > 0);
}
