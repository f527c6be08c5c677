//! A histogram as the tools of HdrHistogram plot it: `.hgrm`, in milliseconds.

use crate::results::Latencies;
use std::fmt;

const NANOS_PER_MILLI: f64 = 1e6;

/// Lines from each percentile to the one that halves what is missing to all, as all such
/// files have them.
const TICKS_PER_HALF: u32 = 5;

/// The distribution of latencies, percentile by percentile.
#[derive(Debug, Clone, Copy)]
pub struct Hgrm<'a>(pub &'a Latencies);

impl fmt::Display for Hgrm<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let histogram = self.0.unpack();
        let millis = |nanos: u64| nanos as f64 / NANOS_PER_MILLI;
        let heads = ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"];
        let [value, percentile, count, inverse] = heads;
        writeln!(
            formatter,
            "{value:>12} {percentile:>14} {count:>10} {inverse:>14}\n"
        )?;
        let mut count = 0;
        for step in histogram.iter_quantiles(TICKS_PER_HALF) {
            count += step.count_since_last_iteration();
            let value = millis(step.value_iterated_to());
            let quantile = step.quantile_iterated_to();
            write!(formatter, "{value:12.6} {quantile:2.12} {count:10}")?;
            if quantile < 1.0 {
                write!(formatter, " {:14.2}", 1.0 / (1.0 - quantile))?;
            }
            writeln!(formatter)?;
        }
        let [mean, deviation] = [histogram.mean(), histogram.stdev()].map(|v| v / NANOS_PER_MILLI);
        writeln!(
            formatter,
            "#[Mean    = {mean:12.6}, StdDeviation   = {deviation:12.6}]"
        )?;
        writeln!(
            formatter,
            "#[Max     = {:12.6}, Total count    = {:12}]",
            millis(histogram.max()),
            histogram.len()
        )?;
        // The first bucket has all of its sub-buckets, each further one the upper half.
        let buckets = usize::from(histogram.buckets());
        let sub_buckets = 2 * histogram.distinct_values() / (buckets + 1);
        writeln!(
            formatter,
            "#[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]"
        )
    }
}
