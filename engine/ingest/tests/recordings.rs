//! Recordings that are not part of the project, from the folder that RINGCAST_RECORDINGS
//! names: every message of every venue, beside another reader of them.

mod support;

use ringcast_ingest::{Feed, RecordingSource};
use std::path::PathBuf;
use support::*;

/// Replays files flat out, beside the other reader.
fn replay(paths: &[PathBuf]) -> usize {
    let files = paths.iter().cloned().map(RecordingSource::File).collect();
    let mut engine = Engine::new(Feed::replay(&flat_out(files)).unwrap(), 0, 1 << 24);
    let records = engine.run_to_end();
    assert_eq!(engine.ingest.take_reports(), Vec::<String>::new());
    assert_eq!(engine.ingest.counters().refused_total(), 0);
    assert_same(&records, &expected(&read_files(paths)));
    records.len()
}

#[test]
fn a_market_of_binance_with_its_depth() {
    let Some(folder) = recordings("a_market_of_binance_with_its_depth") else {
        return;
    };
    let folder = folder.join("binance-2024-08-08");
    let paths = recordings_of(&folder, "binance-spot_20240808_ETHUSDT");
    assert_eq!(paths.len(), 3);
    // Rows of trades and bbo, and runs of rows of depth, as awk counts them.
    assert_eq!(replay(&paths), 33_616);
}

#[test]
fn every_venue_comes_whole() {
    let Some(folder) = recordings("every_venue_comes_whole") else {
        return;
    };
    let folder = folder.join("venues");
    for venue in ["bitstamp", "coinbase", "kraken", "okx"] {
        let paths = recordings_of(&folder, venue);
        assert_eq!(paths.len(), 2, "{venue}");
        assert!(replay(&paths) > 100, "{venue}");
    }
    // And all together, though they are of different years.
    assert!(replay(&recordings_of(&folder, "")) > 400);
}
