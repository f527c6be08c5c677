//! The recording that comes with the engine, so that a demonstration needs no file.
//!
//! Where it is from, and under which licence, says the README beside the files.

/// Name and content of each of its files, as [`RecordingSource::Bytes`] takes them.
///
/// [`RecordingSource::Bytes`]: crate::RecordingSource::Bytes
pub const BUNDLED: [(&str, &[u8]); 2] = [
    (
        "binance-spot_20250325_BTC-ETH-SOL.bbo.csv.gz",
        include_bytes!(
            "../recordings/binance-2025-03-25/binance-spot_20250325_BTC-ETH-SOL.bbo.csv.gz"
        ),
    ),
    (
        "binance-spot_20250325_BTC-ETH-SOL.trades.csv.gz",
        include_bytes!(
            "../recordings/binance-2025-03-25/binance-spot_20250325_BTC-ETH-SOL.trades.csv.gz"
        ),
    ),
];
