//! The bodies of the fuzz targets for market messages and gateway protocols, run
//! over seeded mutations of good inputs.

use ringcast_codec_fuzz::{gateway, market};

const ROUNDS: u64 = 4_000;

/// xorshift64*: the same inputs in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(bits).unwrap() % bound
    }

    fn pick<'a>(&mut self, of: &[&'a [u8]]) -> &'a [u8] {
        of[self.below(of.len())]
    }
}

/// Texts that turn one input into an interesting other one.
const SNIPPETS: [&[u8]; 16] = [
    b"null",
    b"\"\"",
    b"0",
    b"-1",
    b"1.5",
    b"\\u0000",
    b"\\\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"\xFF",
    b"\"snapshot\":true,",
    b"18446744073709551616",
    b"\xC3\xA9",
];

/// A sample, most of the time with something cut, copied, replaced or inserted.
fn mutated(samples: &[&[u8]], random: &mut Random) -> Vec<u8> {
    let mut input = random.pick(samples).to_vec();
    for _ in 0..random.below(4) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(8)).min(input.len());
        let replacement = match random.below(4) {
            0 => Vec::new(),
            1 => vec![u8::try_from(random.below(256)).unwrap()],
            2 => random.pick(&SNIPPETS).to_vec(),
            _ => {
                let donor = random.pick(samples);
                let from = random.below(donor.len() + 1);
                donor[from..(from + random.below(40)).min(donor.len())].to_vec()
            }
        };
        input.splice(at..end, replacement);
    }
    input
}

fn run(body: fn(&[u8]), samples: &[&[u8]]) {
    for seed in 1..=ROUNDS {
        body(&mutated(
            samples,
            &mut Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
        ));
    }
}

#[test]
fn market_messages() {
    run(market::market_message, &[
        br#"{"ch":"trade","s":"BTCUSDT","seq":1042,"prev":1041,"ts":1,"ti":2,"data":{"id":"1\n","p":"40000.10","q":"0.025","side":"buy"}}"#,
        br#"{"ch":"bbo","s":"A","seq":7,"conflated":true,"ts":1,"ti":2,"data":{"bp":"1","bq":"2","ap":"3","aq":"4"}}"#,
        br#"{"ch":"depth/5","s":"A","seq":3,"prev":2,"ts":1,"ti":2,"data":{"type":"snapshot","U":5,"u":6,"b":[],"a":[["1","1"]],"crc":0}}"#,
        br#"{"ch":"kline/1m","s":"A","seq":4,"snapshot":true,"ts":1,"ti":2,"data":{"t0":0,"t1":1,"o":"1","h":"1","l":"1","c":"1","v":"0","qv":"0","n":0,"x":true}}"#,
        br#"{"ch":"thumb","s":"A","seq":4,"prev":3,"ts":1,"ti":2,"data":{"o":"1","h":"2","l":"3","c":"4","v":"5","qv":"6","chg":"-7","chgp":"-8.1"}}"#,
    ]);
}

#[test]
fn symbols() {
    run(
        market::symbol,
        &[
            b"BTC/USDT",
            b"ETHUSD_PERP",
            b"market/BTCUSDT/kline/15m",
            b"market/A/depth",
        ],
    );
}

#[test]
fn decimals() {
    run(
        market::decimals,
        &[
            b"1.0 1.00",
            b"-0.00012 -0.0001",
            b"99999999999999999999999999999999999999 0.0000000000000000000000000000000000001",
            b"007 7",
            b"61837.63000000 61837.64000000",
        ],
    );
}

const OPERATIONS: [&[u8]; 5] = [
    br#"{"op":"subscribe","id":1,"channel":"kline","symbol":"BTC/USDT","interval":"1s"}"#,
    br#"{"op":"subscribe","args":[{"channel":"depth","symbol":"A","levels":10},{"channel":"bbo","symbol":"A","from":{"epoch":"e","seq":3}}]}"#,
    br#"{"op":"unsubscribe","id":"x","channel":"thumb","tier":"100ms"}"#,
    br#"{"op":"login","token":"t"}"#,
    br#"{"op":"ping","id":9}"#,
];

#[test]
fn operations() {
    run(gateway::operation, &OPERATIONS);
}

#[test]
fn replies() {
    run(gateway::reply, &[
        br#"{"op":"subscribe","id":1,"ok":true,"epoch":"e"}"#,
        br#"{"op":"list","ok":true,"args":[{"channel":"depth","symbol":"A","levels":10},{"channel":"thumb"}]}"#,
        br#"{"op":"resync","id":3,"epoch":"e","channel":"kline","symbol":"A","interval":"4h"}"#,
        br#"{"op":"error","code":"bad_json","message":"m"}"#,
    ]);
}

#[test]
fn command_bodies() {
    run(gateway::command_body, &[
        b"\x00{\"token\":\"t\"}",
        b"\x01{}",
        b"\x02{\"symbol\":\"BTC-USDT\"}",
        b"\x04{\"symbol\":\"A\",\"uid\":\"u\",\"channels\":[\"trade\",\"kline/1s\",\"depth/20\"]}",
        b"\x00\x08\x05\x12\x02no",
        b"\x01\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01",
    ]);
}

#[test]
fn command_streams() {
    run(
        gateway::command_stream,
        &[
            b"\x01\x10\0\0\0\x0A\0\0\x07\xD1\0\0\0\x01{}\0\0\0\x08\0\0\x03\xEA\0\0\0\x02",
            b"\x05\x02\0\0\0\x0B\0\0\x07\xD1\0\0\0\x01{}}",
            b"\x03\xFF\0\0\0\x07",
        ],
    );
}
