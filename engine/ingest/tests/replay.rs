//! Recordings: all of them, in order, at their pace, again and again; and what is wrong with
//! them.

mod support;

use ringcast_ingest::{
    BUNDLED, Feed, FeedError, Pace, Phase, RecordingSource, Refusal, ReplaySettings,
};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use support::*;

const TRADES: &str = "ts_us,symbol,trade_id,side,price,qty\n";
const BBO: &str = "ts_us,symbol,seq,bid_price,bid_qty,ask_price,ask_qty\n";
const DEPTH: &str = "ts_us,symbol,kind,seq,side,price,qty\n";

/// A time that recordings may have.
const T: u64 = 1_700_000_000_000_000;

fn bundled() -> Vec<Expected> {
    expected(&BUNDLED.map(|(name, bytes)| (name, bytes.to_vec())))
}

/// The smaller of the bundled files.
fn trades() -> Vec<RecordingSource> {
    vec![RecordingSource::bundled().remove(1)]
}

fn expected_trades() -> Vec<Expected> {
    let [_, (name, bytes)] = BUNDLED;
    expected(&[(name, bytes.to_vec())])
}

/// Files in memory, named by what they are.
fn files(texts: &[(&str, String)]) -> Vec<RecordingSource> {
    texts
        .iter()
        .map(|(name, text)| bytes_source(name, text.as_str()))
        .collect()
}

fn engine(files: Vec<RecordingSource>) -> Engine {
    Engine::new(Feed::replay(&flat_out(files)).unwrap(), 0, 1 << 20)
}

fn run(files: Vec<RecordingSource>) -> (Vec<Copied>, Engine) {
    let mut engine = engine(files);
    let records = engine.run_to_end();
    (records, engine)
}

#[test]
fn the_bundled_recording_comes_whole_and_in_order() {
    let (records, mut engine) = run(RecordingSource::bundled());
    let expected = bundled();
    assert_eq!(expected.len(), 50_000);
    assert_same(&records, &expected);
    let counters = engine.ingest.counters();
    assert_eq!(counters.feed_messages, 50_000);
    assert_eq!((counters.refused_total(), counters.feed_late), (0, 0));
    assert_eq!(engine.ingest.feed_state().phase, Phase::Ended);
    assert_eq!(engine.ingest.next_due(), None);
    assert!(engine.ingest.take_reports().is_empty());
    assert!(!engine.turn(1), "nothing is left");
}

#[test]
fn files_on_disk_plain_or_gzip_are_the_same() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recordings/binance-2025-03-25");
    let paths = recordings_of(&folder, "binance-");
    let packed: Vec<_> = paths.iter().cloned().map(RecordingSource::File).collect();
    let plain: Vec<_> = read_files(&paths)
        .into_iter()
        .map(|(name, bytes)| {
            let mut text = String::new();
            let mut decoder = flate2::read::GzDecoder::new(&bytes[..]);
            std::io::Read::read_to_string(&mut decoder, &mut text).unwrap();
            bytes_source(name, text)
        })
        .collect();
    let (packed, _) = run(packed);
    let (plain, _) = run(plain);
    assert_eq!(packed, plain);
    assert_eq!(packed.len(), 50_000);
}

/// A ring that holds a few messages, and a reader that takes one at a time.
#[test]
fn a_full_ring_loses_nothing() {
    let feed = Feed::replay(&flat_out(trades())).unwrap();
    let mut engine = Engine::new(feed, 0, 4096);
    let mut records = Vec::new();
    while !is_over(&engine.ingest) || engine.ingest.sequencer().producer().backlog() > 0 {
        engine.turn(0);
        records.append(&mut engine.read_some(1 + records.len() % 3));
    }
    assert_same(&records, &expected_trades());
    assert!(engine.ingest.counters().backpressure_turns > 1_000);
}

#[test]
fn times_follow_the_pace_and_what_comes_late_is_counted() {
    for (pace, nanos_per_micro) in [
        (Pace::ORIGINAL, 1_000),
        (Pace::Times(10.0), 100),
        (Pace::Times(0.5), 2_000),
    ] {
        let all = expected_trades();
        let settings = ReplaySettings {
            pace,
            ..flat_out(trades())
        };
        let feed = Feed::replay(&settings).unwrap();
        let mut engine = Engine::new(feed, 0, 1 << 24);
        // Any clock will do: what counts is the first turn that finds a message.
        let start = 77_000_000_000_u64;
        let first = engine.run_until(start, |_, records| !records.is_empty());
        let due = |message: &Expected| start + (message.micros - all[0].micros) * nanos_per_micro;
        let of_start = all.iter().filter(|message| due(message) == start).count();
        assert_eq!(first.len(), of_start);
        assert_eq!(engine.ingest.next_due(), Some(due(&all[of_start])));

        // A moment before one is due, and when it is.
        let mut published = of_start;
        for wanted in [published, 100, 1_000, 5_000, 11_031] {
            let due_then = due(&all[wanted]);
            let by = |nanos| all.iter().filter(|message| due(message) <= nanos).count();
            for (now, expected) in [(due_then - 1, by(due_then - 1)), (due_then, by(due_then))] {
                let missing = expected - published;
                let records = engine.run_until(now, |_, records| records.len() >= missing);
                assert_eq!(records.len(), missing, "at {now} of {pace:?}");
                // Not one more.
                engine.turn(now);
                assert!(engine.read().is_empty());
                published = expected;
            }
        }
        // All but the first and those at the times that were jumped to were late, if that was
        // by more than a millisecond.
        let late = engine.ingest.counters().feed_late;
        assert!(late > 10_000 && late < 11_032, "{late}");
        engine.run_until(u64::MAX / 2, |ingest, _| is_over(ingest));
        assert_eq!(engine.ingest.counters().feed_messages, 11_032);
    }
}

#[test]
fn on_time_is_not_late() {
    let rows = [0, 1_000, 5_000].map(|after| format!("{},A,,buy,1,1\n", T + after));
    let settings = ReplaySettings {
        pace: Pace::ORIGINAL,
        ..flat_out(files(&[("trades", TRADES.to_owned() + &rows.concat())]))
    };
    let mut engine = Engine::new(Feed::replay(&settings).unwrap(), 0, 1 << 16);
    engine.run_until(0, |_, records| records.len() == 1);
    // A millisecond after it was due, and a nanosecond more.
    engine.run_until(2_000_000, |_, records| records.len() == 1);
    assert_eq!(engine.ingest.counters().feed_late, 0);
    engine.run_until(6_000_001, |_, records| records.len() == 1);
    assert_eq!(engine.ingest.counters().feed_late, 1);
}

/// Times go on by the recording's length, and identifiers by their count.
#[test]
fn a_loop_goes_on_where_the_recording_ended() {
    let once = expected_trades();
    let settings = ReplaySettings {
        loops: true,
        ..flat_out(trades())
    };
    let mut engine = Engine::new(Feed::replay(&settings).unwrap(), 0, 1 << 24);
    let passes = 3;
    let wanted = once.len() * passes;
    let mut records = engine.run_until(0, |_, records| records.len() >= wanted);
    assert!(engine.ingest.counters().feed_loops >= passes as u64 - 1);
    assert_eq!(engine.ingest.feed_state().phase, Phase::Running);
    records.truncate(wanted);

    let length = once[once.len() - 1].micros - once[0].micros;
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for message in &once {
        *counts.entry(&message.topic).or_default() += 1;
    }
    assert_eq!(counts["market/BTCUSDT/trade"], 6_770);
    let all: Vec<Expected> = (0..passes as u64)
        .flat_map(|pass| {
            let counts = &counts;
            once.iter().map(move |message| {
                let mut message = message.clone();
                message.micros += pass * length;
                if let Some(id) = message.data.get("id") {
                    let id: u64 = id.as_str().unwrap().parse().unwrap();
                    let id = id + pass * counts[message.topic.as_str()];
                    message.data["id"] = json!(id.to_string());
                }
                message
            })
        })
        .collect();
    assert_same(&records, &all);
    assert!(all.is_sorted_by_key(|message| message.micros));
}

#[test]
fn identifiers_that_are_not_dense_or_no_numbers_never_run_backwards() {
    let trades =
        format!("{TRADES}{T},A,x-7,buy,1,1\n{T},A,007,buy,1,1\n{T},A,5,buy,1,1\n{T},A,9,buy,1,1\n");
    let depth = format!(
        "{DEPTH}{T},A,snapshot,100,bid,1,1\n{T},A,update,90,ask,2,1\n{T},A,update,,ask,2,0\n"
    );
    let settings = ReplaySettings {
        loops: true,
        ..flat_out(files(&[("trades", trades), ("depth", depth)]))
    };
    let mut engine = Engine::new(Feed::replay(&settings).unwrap(), 0, 1 << 20);
    let records = engine.run_until(0, |_, records| records.len() >= 21);
    let told: Vec<_> = records[..21]
        .iter()
        .map(|record| {
            let data = &record.json()["data"];
            let number = data["u"].as_u64().map(|update| update.to_string());
            number.or_else(|| data["id"].as_str().map(Into::into))
        })
        .map(Option::unwrap_or_default)
        .collect();
    let expected = [
        ["x-7", "007", "5", "9", "100", "90", ""],
        ["x-7", "007", "10", "14", "111", "101", ""],
        ["x-7", "007", "15", "19", "122", "112", ""],
    ];
    assert_eq!(told, expected.concat());
    // A recording of no length takes a microsecond.
    let times: Vec<_> = records[..21]
        .iter()
        .map(|record| record.message().source_micros)
        .collect();
    assert_eq!(times, [[T; 7], [T + 1; 7], [T + 2; 7]].concat());
}

#[test]
fn a_run_of_rows_is_one_message_and_files_come_by_time() {
    let one = [
        (0, "A", "snapshot", "5", "bid", "10", "1"),
        (0, "A", "snapshot", "5", "ask", "12", "1"),
        (0, "A", "snapshot", "5", "bid", "9", "2"),
        (0, "B", "snapshot", "5", "bid", "1", "1"),
        (0, "A", "update", "5", "bid", "10", "0"),
        (0, "A", "update", "6", "bid", "10", "3"),
        (3, "A", "update", "6", "bid", "10", "4"),
        (3, "A", "update", "", "ask", "10", "5"),
    ];
    // The same run in another file is another message.
    let two = [
        (0, "A", "snapshot", "5", "bid", "10", "1"),
        (3, "A", "update", "", "ask", "10", "5"),
        (4, "A", "update", "", "ask", "10", "6"),
    ];
    let text = |rows: &[(u64, &str, &str, &str, &str, &str, &str)]| {
        let rows = rows
            .iter()
            .map(|(after, a, b, c, d, e, f)| format!("{},{a},{b},{c},{d},{e},{f}\n", T + after));
        DEPTH.to_owned() + &rows.collect::<String>()
    };
    let texts = [("one.depth", text(&one)), ("two.depth", text(&two))];
    let (records, _) = run(files(&texts));
    let expected = expected(&[
        ("one.depth", texts[0].1.clone().into_bytes()),
        ("two.depth", texts[1].1.clone().into_bytes()),
    ]);
    assert_eq!(expected.len(), 6 + 3);
    assert_same(&records, &expected);
    assert_eq!(
        records[0].json()["data"]["b"],
        json!([["10", "1"], ["9", "2"]])
    );
}

#[test]
fn what_is_wrong_as_a_whole_is_known_at_the_start() {
    let good = format!("{TRADES}{T},A,,buy,1,1\n");
    let refused = |files| match Feed::replay(&flat_out(files)) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("was opened"),
    };
    let missing = vec![RecordingSource::File("/no/such/file.csv".into())];
    assert!(refused(missing).starts_with("/no/such/file.csv: No such file"));
    let folder = vec![RecordingSource::File("/proc".into())];
    assert!(refused(folder).starts_with("/proc: "));
    let device = vec![RecordingSource::File("/dev/zero".into())];
    assert_eq!(refused(device), "/dev/zero: is no regular file");

    for (text, told) in [
        (String::new(), "one.csv is empty"),
        ("garbage\n".to_owned(), "begins with the line"),
        ("\u{1F}\u{8B}".to_owned(), "begins with the line"),
        (
            good.replace("ts_us", "ts_ms"),
            "expected one of ts_us,symbol,trade_id,side,price,qty or",
        ),
        (good.to_uppercase(), "begins with the line"),
        ("x".repeat(1 << 20), "begins with the line"),
        (
            format!("{TRADES}{T},A,,buy,1,x\n"),
            "one.csv, line 2: qty \"x\" is no decimal",
        ),
        (TRADES.to_owned(), "no rows in any"),
        (TRADES.trim_end().to_owned(), "no rows in any"),
        (
            format!("{good}{T},BTC/USDT,,buy,1,1\n{T},btc-usdt,,buy,1,1\n"),
            "both BTC/USDT and btc-usdt, which would both be BTCUSDT",
        ),
    ] {
        let sentence = refused(files(&[("one.csv", text)]));
        assert!(sentence.contains(told), "{sentence}");
    }
    // Over two files, too.
    let other = format!("{BBO}{T},a,,1,1,1,1\n");
    let sentence = refused(files(&[("one.csv", good.clone()), ("two.csv", other)]));
    assert!(sentence.contains("both A and a"), "{sentence}");
    // One file without rows is none the worse.
    let two = files(&[("one.csv", good.clone()), ("two.csv", TRADES.to_owned())]);
    assert_eq!(run(two).0.len(), 1);
    let broken = gzip(good.as_bytes());
    let broken = vec![bytes_source("one.csv.gz", &broken[..broken.len() / 2])];
    assert!(refused(broken).contains("the gzip stream ends too early"));

    let settings = |files: Vec<RecordingSource>, pace| ReplaySettings {
        pace,
        ..flat_out(files)
    };
    for (settings, expected) in [
        (settings(Vec::new(), Pace::FlatOut), "files"),
        (
            settings(vec![bytes_source("x", good.as_str()); 1_025], Pace::FlatOut),
            "files",
        ),
        (
            settings(RecordingSource::bundled(), Pace::Times(0.0)),
            "speed",
        ),
        (
            settings(RecordingSource::bundled(), Pace::Times(f64::NAN)),
            "speed",
        ),
        (
            settings(RecordingSource::bundled(), Pace::Times(2e6)),
            "speed",
        ),
    ] {
        match Feed::replay(&settings) {
            Err(FeedError::Setting { key, .. }) => assert_eq!(key, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

/// A symbol that clashes far behind the beginning is refused, by name, and the rest goes on.
#[test]
fn a_symbol_that_clashes_later_is_left_out() {
    let many: String = (0..20_000).map(|_| format!("{T},A-B,,buy,1,1\n")).collect();
    let text = format!("{TRADES}{many}{T},A/B,,buy,1,1\n{T},A/B,,buy,1,1\n{T},C,,buy,1,1\n");
    let (records, mut engine) = run(files(&[("one.csv", text)]));
    assert_eq!(records.len(), 20_001);
    assert_eq!(engine.ingest.counters().refused(Refusal::SymbolTwice), 2);
    let reports = engine.ingest.take_reports();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(
        reports[0].starts_with("one.csv, line 20002: symbol \"A/B\""),
        "{reports:?}"
    );
}

/// Each bad line stands between two good ones, twice.
#[test]
fn a_bad_line_is_counted_told_once_and_left_out() {
    let long = "9".repeat(2_000);
    let at = |micros: u64, rest: &str| format!("{micros},{rest}");
    let cases: Vec<(&str, String, Refusal)> = vec![
        (TRADES, long.clone(), Refusal::LineTooLong),
        (TRADES, at(T, "A,,buy,1"), Refusal::Columns),
        (TRADES, "\u{0}\u{1}garbage".into(), Refusal::Columns),
        (TRADES, TRADES.trim_end().into(), Refusal::Side),
        (TRADES, "now,A,,buy,1,1".into(), Refusal::Time),
        (TRADES, at(T - 1, "A,,buy,1,1"), Refusal::TimeBackwards),
        (TRADES, at(2 * T, "A,,buy,1,1"), Refusal::TimeAhead),
        (TRADES, at(T, "A B,,buy,1,1"), Refusal::Symbol),
        (TRADES, at(T, ",,buy,1,1"), Refusal::Symbol),
        (TRADES, at(T, "A,,hold,1,1"), Refusal::Side),
        (
            TRADES,
            at(T, &format!("A,{},buy,1,1", &long[..200])),
            Refusal::Identifier,
        ),
        (TRADES, at(T, "A,,buy,1.2.3,1"), Refusal::Decimal),
        (TRADES, at(T, "A,,buy,\"1\",1"), Refusal::Decimal),
        (BBO, at(T, "A,x,1,1,1,1"), Refusal::Identifier),
        (BBO, at(T, "A,,1,1,1,"), Refusal::Decimal),
        (DEPTH, at(T, "A,delta,,bid,1,1"), Refusal::BookKind),
        (DEPTH, at(T, "A,update,,buy,1,1"), Refusal::Side),
        (DEPTH, at(T, "A,update,1.5,bid,1,1"), Refusal::Identifier),
    ];
    for (header, line, refusal) in cases {
        let good = |after: u64| match header {
            TRADES => at(T + after, "A,,buy,1,1"),
            BBO => at(T + after, "A,,1,1,1,1"),
            _ => at(T + after, "A,update,,bid,1,1"),
        };
        let text = format!(
            "{header}{}\n{line}\n{}\r\n\n{line}\n{}\n",
            good(0),
            good(1),
            good(2)
        );
        let (records, mut engine) = run(files(&[("one.csv", text)]));
        let times: Vec<_> = records
            .iter()
            .map(|record| record.message().source_micros)
            .collect();
        assert_eq!(times, [T, T + 1, T + 2], "{line}");
        let counters = engine.ingest.counters();
        assert_eq!(counters.refused(refusal), 2, "{line}");
        assert_eq!(counters.refused_total(), 2);
        let reports = engine.ingest.take_reports();
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert!(reports[0].starts_with("one.csv, line 3: "), "{reports:?}");
        assert_eq!(engine.ingest.feed_state().phase, Phase::Ended);
    }
}

#[test]
fn lines_that_are_no_text_are_refused() {
    let mut bytes = format!("{TRADES}{T},A,,buy,1,1\n").into_bytes();
    bytes.extend_from_slice(b"\xFF\xFE,A,,buy,1,1\n");
    bytes.extend_from_slice(format!("{T},A,,buy,1,1\n").as_bytes());
    let (records, engine) = run(vec![bytes_source("one.csv", bytes)]);
    assert_eq!(records.len(), 2);
    assert_eq!(engine.ingest.counters().refused(Refusal::Encoding), 1);
}

/// One time far ahead, wherever it is, does not make the rest late or wrong; a pause that all
/// later rows agree with is one.
#[test]
fn a_single_wrong_time_is_not_believed() {
    const DAY: u64 = 86_400_000_000;
    let years = 400 * DAY;
    let times = |times: &[u64]| {
        let rows = times
            .iter()
            .map(|after| format!("{},A,,buy,1,1\n", T + after));
        let text = TRADES.to_owned() + &rows.collect::<String>();
        let (records, engine) = run(files(&[("one.csv", text)]));
        let got: Vec<_> = records
            .iter()
            .map(|record| record.message().source_micros - T)
            .collect();
        let counters = engine.ingest.counters();
        let ahead = counters.refused(Refusal::TimeAhead);
        (got, ahead, counters.refused(Refusal::TimeBackwards))
    };
    assert_eq!(times(&[years, 0, 1, 2]), (vec![0, 1, 2], 1, 0));
    assert_eq!(times(&[0, years, 1, 2]), (vec![0, 1, 2], 1, 0));
    assert_eq!(times(&[0, 1, 2, years]), (vec![0, 1, 2], 1, 0));
    assert_eq!(
        times(&[0, years, years + 1]),
        (vec![0, years, years + 1], 0, 0)
    );
    assert_eq!(times(&[0, DAY]), (vec![0, DAY], 0, 0));
    assert_eq!(times(&[0]), (vec![0], 0, 0));
    assert_eq!(times(&[0, 5, 3, 4, 6]), (vec![0, 5, 6], 0, 2));
    assert_eq!(times(&[5, 3, 6]), (vec![5, 6], 0, 1));
}

/// Who wrote the file died in the middle of a line: at any byte of the last one.
#[test]
fn a_line_without_its_end_is_not_believed() {
    let whole = format!("{TRADES}{T},A,1,buy,1.5,2.5\n");
    let last = format!("{T},A,2,sell,10.25,100.125");
    for bytes in 1..=last.len() {
        let text = whole.clone() + &last[..bytes];
        let (records, mut engine) = run(files(&[("one.csv", text)]));
        assert_eq!(records.len(), 1, "cut after {bytes}");
        assert_eq!(engine.ingest.counters().refused(Refusal::LineCut), 1);
        assert!(engine.ingest.take_reports()[0].starts_with("one.csv, line 3: is cut"));
        assert_eq!(engine.ingest.feed_state().phase, Phase::Ended);
    }
    // Nor is the depth message that it may have been a part of.
    let text = format!("{DEPTH}{T},A,update,1,bid,1,1\n{T},A,update,2,bid,1,1\n{T},A,update,2,bi");
    let (records, _) = run(files(&[("one.csv", text)]));
    assert_eq!(records.len(), 1);
}

/// What a gzip file had before it broke is published; the other file is not touched.
#[test]
fn a_gzip_stream_that_ends_early_or_is_corrupt_fails_after_what_it_had() {
    let rows: String = (0..3_000)
        .map(|number| {
            format!(
                "{},A,{number},buy,{}.{number},{}\n",
                T + number,
                number * 7 % 1_000,
                number * 13
            )
        })
        .collect();
    let text = TRADES.to_owned() + &rows;
    let whole = gzip(text.as_bytes());
    let other = format!("{BBO}{},B,,1,1,1,1\n{},B,,1,1,1,1\n", T, T + 10_000);
    let (all, _) = run(vec![bytes_source("one.csv.gz", whole.clone())]);
    assert_eq!(all.len(), 3_000);

    let mut lengths: Vec<usize> = (1..40).map(|part| whole.len() * part / 40).collect();
    lengths.extend(whole.len() - 20..whole.len());
    let mut came = Vec::new();
    for bytes in lengths {
        let one = bytes_source("one.csv.gz", &whole[..bytes]);
        let two = bytes_source("two.csv", other.as_str());
        let feed = match Feed::replay(&flat_out(vec![one, two])) {
            Ok(feed) => feed,
            // Nothing of it could be read.
            Err(error) => {
                assert!(bytes < 2_000, "{bytes}: {error}");
                continue;
            }
        };
        let mut engine = Engine::new(feed, 0, 1 << 20);
        let records = engine.run_to_end();
        let phase = engine.ingest.feed_state().phase;
        assert!(
            matches!(phase, Phase::Failed { reason } if reason.contains("ends too early") && reason.starts_with("one.csv.gz ")),
            "{bytes}: {phase:?}"
        );
        assert_eq!(engine.ingest.take_reports().len(), 1);
        let (of_a, of_b): (Vec<_>, Vec<_>) = records
            .iter()
            .partition(|record| record.topic() == "market/A/trade");
        assert_eq!(of_b.len(), 2);
        for (record, whole) in of_a.iter().zip(&all) {
            assert_eq!(record.message().payload, whole.message().payload);
        }
        came.push(of_a.len());
    }
    assert!(came.is_sorted() && came.len() > 30, "{came:?}");
    assert_eq!(came.last(), Some(&3_000), "only the checksum was missing");
    assert!(
        came.iter().any(|&count| count > 0 && count < 1_500),
        "{came:?}"
    );

    for at in [whole.len() / 3, whole.len() / 2, whole.len() - 6] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        let one = bytes_source("one.csv.gz", bytes);
        let two = bytes_source("two.csv", other.as_str());
        let (records, engine) = run(vec![one, two]);
        let of_b = records
            .iter()
            .filter(|record| record.topic() == "market/B/bbo");
        assert_eq!(of_b.count(), 2);
        let phase = engine.ingest.feed_state().phase;
        assert!(matches!(phase, Phase::Failed { .. }), "{at}: {phase:?}");
    }
}

/// A loop over what breaks does not go on for ever.
#[test]
fn a_recording_that_breaks_does_not_loop() {
    let text = format!("{TRADES}{}", format!("{T},A,,buy,1,1\n").repeat(20_000));
    let whole = gzip(text.as_bytes());
    let settings = ReplaySettings {
        loops: true,
        ..flat_out(vec![bytes_source("one.csv.gz", &whole[..whole.len() - 9])])
    };
    let mut engine = Engine::new(Feed::replay(&settings).unwrap(), 0, 1 << 20);
    let records = engine.run_to_end();
    assert!(!records.is_empty());
    assert_eq!(engine.ingest.counters().feed_loops, 0);
}

/// A file that is gone when it is to be read again, with its first pass published.
#[test]
fn a_recording_that_is_gone_ends_the_loop() {
    let path = std::env::temp_dir().join(format!("ringcast-replay-{}.csv", std::process::id()));
    std::fs::write(
        &path,
        format!("{TRADES}{}", format!("{T},A,,buy,1,1\n").repeat(6_000)),
    )
    .unwrap();
    let settings = ReplaySettings {
        loops: true,
        ..flat_out(vec![RecordingSource::File(path.clone())])
    };
    // Nothing of the second pass is read before the first chunks are taken: they are bounded.
    let feed = Feed::replay(&settings).unwrap();
    std::fs::remove_file(&path).unwrap();
    let mut engine = Engine::new(feed, 0, 1 << 20);
    let records = engine.run_to_end();
    assert_eq!(records.len() % 6_000, 0);
    let phase = engine.ingest.feed_state().phase;
    assert!(
        matches!(phase, Phase::Failed { reason } if reason.contains("can not be read again")),
        "{phase:?}"
    );
}

/// A message that the ring can not hold is left out, and its topic's sequence has no gap.
#[test]
fn a_message_larger_than_the_ring_allows_is_left_out() {
    let levels: String = (0..200)
        .map(|level| format!("{T},A,snapshot,1,bid,{level},1\n"))
        .collect();
    let text = format!("{DEPTH}{T},A,update,0,bid,1,1\n{levels}{T},A,update,2,bid,1,1\n");
    let feed = Feed::replay(&flat_out(files(&[("depth", text)]))).unwrap();
    let mut engine = Engine::new(feed, 0, 4096);
    let records = engine.run_to_end();
    assert_eq!(records.len(), 2);
    let last = records[1].json();
    assert_eq!(
        (&last["seq"], &last["prev"], &last["data"]["u"]),
        (&json!(2), &json!(1), &json!(2))
    );
    assert_eq!(engine.ingest.counters().refused(Refusal::TooLarge), 1);
    assert_eq!(engine.ingest.take_reports().len(), 1);
}

#[test]
fn levels_of_one_message_are_bounded() {
    let levels: String = (0..65_540)
        .map(|level| format!("{T},A,snapshot,1,bid,{level},1\n"))
        .collect();
    let text = format!("{DEPTH}{levels}{T},A,update,2,bid,1,1\n");
    let feed = Feed::replay(&flat_out(files(&[("depth", text)]))).unwrap();
    let mut engine = Engine::new(feed, 0, 1 << 24);
    let records = engine.run_to_end();
    assert_eq!(records.len(), 2);
    assert_eq!(
        records[0].json()["data"]["b"].as_array().unwrap().len(),
        65_536
    );
    assert_eq!(engine.ingest.counters().refused(Refusal::LevelsFull), 4);
}
