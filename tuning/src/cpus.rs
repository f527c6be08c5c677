//! Sets of CPUs, read from and written as the kernel's two spellings of them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// The most CPUs that a spelling may name; `CONFIG_NR_CPUS` ends at 8,192 on x86.
const CPUS_MAX: usize = 8_192;

/// A set of CPU numbers, spelt as a list (`0-3,8`), the form of most files in sysfs.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CpuSet(BTreeSet<usize>);

/// A text that names no set of CPUs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoCpuSet(pub String);

impl fmt::Display for NoCpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is no list of CPUs such as 0-3,8", self.0)
    }
}

impl std::error::Error for NoCpuSet {}

impl CpuSet {
    /// Reads `0-3,8,10-14:2`; an empty text is the empty set. The stride after a colon
    /// is in the kernel's syntax for its command line.
    ///
    /// # Errors
    /// [`NoCpuSet`] where a part is no number or range, or beyond 8,192.
    pub fn from_list(text: &str) -> Result<Self, NoCpuSet> {
        let wrong = || NoCpuSet(text.trim().to_owned());
        let number = |part: &str| match part.trim().parse::<usize>() {
            Ok(number) if number < CPUS_MAX => Ok(number),
            _ => Err(wrong()),
        };
        let mut set = BTreeSet::new();
        for part in text.trim().split(',').filter(|part| !part.is_empty()) {
            let (range, stride) = part.split_once(':').unwrap_or((part, "1"));
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let stride = number(stride)?.max(1);
            set.extend((number(first)?..=number(last)?).step_by(stride));
        }
        Ok(Self(set))
    }

    /// Reads `00000000,0000000f`: words of 32 bits, the highest first.
    ///
    /// # Errors
    /// [`NoCpuSet`] where a word is no hexadecimal number.
    pub fn from_mask(text: &str) -> Result<Self, NoCpuSet> {
        let mut set = BTreeSet::new();
        for (word_at, word) in text.trim().rsplit(',').enumerate() {
            let word =
                u32::from_str_radix(word, 16).map_err(|_| NoCpuSet(text.trim().to_owned()))?;
            set.extend(
                (0..32)
                    .filter(|bit| word & (1 << bit) != 0)
                    .map(|bit| word_at * 32 + bit),
            );
        }
        Ok(Self(set))
    }

    /// The mask that the kernel shows on a host of `cpus` CPUs.
    #[must_use]
    pub fn to_mask(&self, cpus: usize) -> String {
        let cpus = cpus.max(1).max(self.0.last().map_or(0, |last| last + 1));
        let words: Vec<_> = (0..cpus.div_ceil(32))
            .rev()
            .map(|word| {
                // The highest word has only as many digits as there are CPUs for.
                let bits = (cpus - word * 32).min(32);
                let value = (0..bits)
                    .filter(|bit| self.0.contains(&(word * 32 + bit)))
                    .fold(0_u32, |value, bit| value | (1 << bit));
                format!("{value:0width$x}", width = bits.div_ceil(4))
            })
            .collect();
        words.join(",")
    }

    /// Whether `cpu` is in it.
    #[must_use]
    pub fn contains(&self, cpu: usize) -> bool {
        self.0.contains(&cpu)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, the lowest first.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().copied()
    }

    /// Those in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self(&self.0 | &other.0)
    }

    /// Those in this one only.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self(&self.0 - &other.0)
    }

    /// Those in both.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        Self(&self.0 & &other.0)
    }

    /// Whether all of this are in `other`.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl fmt::Display for CpuSet {
    /// As a list, with ranges; the empty set is `-`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_list("-"))
    }
}

impl CpuSet {
    /// As a list, with ranges, and `empty` where there is nothing to list.
    #[must_use]
    pub fn to_list(&self, empty: &str) -> String {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for cpu in self.iter() {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == cpu => *last = cpu,
                _ => ranges.push((cpu, cpu)),
            }
        }
        let ranges: Vec<_> = ranges
            .into_iter()
            .map(|(first, last)| match last - first {
                0 => format!("{first}"),
                _ => format!("{first}-{last}"),
            })
            .collect();
        if ranges.is_empty() {
            empty.to_owned()
        } else {
            ranges.join(",")
        }
    }
}

impl From<CpuSet> for String {
    fn from(set: CpuSet) -> Self {
        set.to_list("")
    }
}

impl std::str::FromStr for CpuSet {
    type Err = NoCpuSet;

    fn from_str(text: &str) -> Result<Self, NoCpuSet> {
        Self::from_list(text)
    }
}

impl TryFrom<String> for CpuSet {
    type Error = NoCpuSet;

    fn try_from(text: String) -> Result<Self, NoCpuSet> {
        Self::from_list(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(list: &str) -> CpuSet {
        CpuSet::from_list(list).unwrap()
    }

    #[test]
    fn lists_are_read_and_written_as_the_kernel_does() {
        for list in ["0", "0-3", "0-3,8", "1,3,5-6", "0-127"] {
            assert_eq!(set(list).to_string(), list);
        }
        assert_eq!(set("0-6:2,9"), [0, 2, 4, 6, 9].into_iter().collect());
        assert_eq!(set("\n"), CpuSet::default());
        assert_eq!(set("").to_string(), "-");
        for wrong in ["a", "1-", "-1", "0-99999", "1;2"] {
            assert!(CpuSet::from_list(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn masks_are_read_and_written_as_the_kernel_does() {
        assert_eq!(set("0-1").to_mask(2), "3");
        assert_eq!(set("0,4").to_mask(8), "11");
        assert_eq!(
            set("0,32,127").to_mask(128),
            "80000000,00000000,00000001,00000001"
        );
        assert_eq!(CpuSet::default().to_mask(64), "00000000,00000000");
        assert_eq!(set("33").to_mask(36), "2,00000000");
        for (mask, list) in [("ff", "0-7"), ("1,00000003", "0-1,32"), ("0", "")] {
            assert_eq!(CpuSet::from_mask(mask), Ok(set(list)));
        }
        assert!(CpuSet::from_mask("xyz").is_err());
    }

    #[test]
    fn sets_combine() {
        let (a, b) = (set("0-3"), set("2-5"));
        assert_eq!(a.union(&b), set("0-5"));
        assert_eq!(a.minus(&b), set("0-1"));
        assert_eq!(a.common(&b), set("2-3"));
        assert!(set("2").is_within(&a) && !b.is_within(&a));
    }
}
