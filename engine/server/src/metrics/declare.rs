//! Structs of metrics, declared in one place each, and how several alike are told apart.

use super::cell::{Counter, Gauge};
use super::exposition::{Descriptor, Exposition};
use super::histogram::Histogram;
use super::{Registry, Source};
use std::sync::Arc;

/// A number or histogram of a set, to be written.
pub(crate) enum Reading<'a> {
    /// As it is kept.
    Number(u64),
    /// All of it.
    Histogram(&'a Histogram),
}

impl<'a> From<&'a Counter> for Reading<'a> {
    fn from(counter: &'a Counter) -> Self {
        Self::Number(counter.get())
    }
}

impl<'a> From<&'a Gauge> for Reading<'a> {
    fn from(gauge: &'a Gauge) -> Self {
        Self::Number(gauge.get())
    }
}

impl<'a> From<&'a Histogram> for Reading<'a> {
    fn from(histogram: &'a Histogram) -> Self {
        Self::Histogram(histogram)
    }
}

/// What [`metrics!`] declares.
pub(crate) trait MetricsSet: Send + Sync {
    /// The families, in the order of the fields.
    const DESCRIPTORS: &'static [Descriptor];

    /// Gives what each field says now, in that order.
    fn readings(&self) -> Vec<Reading<'_>>;
}

/// Declares a struct of counters, gauges and histograms with one writer. Each field is a
/// family: its name without prefix, unit and `_total`, what it is measured in, its help.
///
/// ```text
/// metrics! {
///     /// What a shard counts.
///     pub(crate) struct ShardMetrics {
///         turns: Counter = "shard_turns", None, "Turns that the shard has made.";
///         turn_nanos: Histogram = "shard_turn", Nanos, "How long a turn took.";
///     }
/// }
/// ```
macro_rules! metrics {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $Set:ident {
            $($field:ident: $Cell:ident = $name:literal, $unit:ident, $help:literal;)+
        }
    ) => {
        $(#[$attribute])*
        // Two writers never share a cache line, nor the pair that a processor fetches.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        $visibility struct $Set {
            $(#[doc = $help] pub(crate) $field: $crate::metrics::$Cell,)+
        }

        impl $crate::metrics::MetricsSet for $Set {
            const DESCRIPTORS: &'static [$crate::metrics::Descriptor] = &[$(
                $crate::metrics::Descriptor {
                    name: $name,
                    help: $help,
                    kind: $crate::metrics::$Cell::KIND,
                    unit: $crate::metrics::Unit::$unit,
                },
            )+];

            fn readings(&self) -> Vec<$crate::metrics::Reading<'_>> {
                vec![$((&self.$field).into(),)+]
            }
        }
    };
}

pub(crate) use metrics;

/// A set that there is once.
pub(crate) struct Single<S>(pub(crate) Arc<S>);

impl<S: MetricsSet> Source for Single<S> {
    fn write(&self, text: &mut Exposition) {
        write_sets(text, &[(&[], &*self.0)]);
    }
}

/// Sets of the same kind, told apart by a label whose values are numbers from 0 on, such
/// as those of the shards.
pub(crate) struct Labelled<S> {
    /// The label.
    pub(crate) label: &'static str,
    /// The sets, in the order of their numbers.
    pub(crate) sets: Vec<Arc<S>>,
}

impl<S: MetricsSet> Source for Labelled<S> {
    fn write(&self, text: &mut Exposition) {
        let numbers: Vec<_> = (0..self.sets.len())
            .map(|number| number.to_string())
            .collect();
        let labels: Vec<_> = numbers
            .iter()
            .map(|number| [(self.label, number.as_str())])
            .collect();
        let sets = self.sets.iter().zip(&labels);
        let sets: Vec<_> = sets.map(|(set, label)| (&label[..], &**set)).collect();
        write_sets(text, &sets);
    }
}

/// One set with its labels.
type Told<'a, S> = (&'a [(&'a str, &'a str)], &'a S);

/// A family has to be written whole: the samples of all sets, one family after the other.
fn write_sets<S: MetricsSet>(text: &mut Exposition, sets: &[Told<'_, S>]) {
    let readings: Vec<_> = sets.iter().map(|(_, set)| set.readings()).collect();
    for (family, descriptor) in S::DESCRIPTORS.iter().enumerate() {
        text.family(descriptor);
        for ((labels, _), readings) in sets.iter().zip(&readings) {
            match readings[family] {
                Reading::Number(value) => text.number(labels, value),
                Reading::Histogram(histogram) => text.histogram(labels, histogram),
            }
        }
    }
}

impl Registry {
    /// Makes so many sets and tells them by the number of their shard, or whatever the
    /// label says.
    pub(crate) fn labelled<S: MetricsSet + Default + 'static>(
        &mut self,
        label: &'static str,
        count: usize,
    ) -> Vec<Arc<S>> {
        let sets: Vec<Arc<S>> = (0..count).map(|_| Arc::default()).collect();
        self.add(Labelled {
            label,
            sets: sets.clone(),
        });
        sets
    }

    /// Makes a set that there is once.
    pub(crate) fn single<S: MetricsSet + Default + 'static>(&mut self) -> Arc<S> {
        let set: Arc<S> = Arc::default();
        self.add(Single(Arc::clone(&set)));
        set
    }
}
