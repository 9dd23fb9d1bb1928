//! Decimals that are computed alike everywhere.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Millionths in one.
const ONE: u64 = 1_000_000;
/// The largest one that is read.
const MAX: u64 = 1_000 * ONE;

/// A decimal from 0 to 1000 with six places: a score, a confidence, a weight. Kept as millionths and never rounded up,
/// so that what is computed twice is equal. In JSON a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(u64);

impl Score {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// Certain.
    pub const ONE: Self = Self(ONE);

    /// From millionths.
    pub const fn from_millionths(millionths: u64) -> Self {
        Self(millionths)
    }

    /// In millionths.
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// The part `of` whole, at most one; nothing of nothing.
    pub fn share(part: usize, whole: usize) -> Self {
        let (part, whole) =
            (u64::try_from(part).unwrap_or(u64::MAX), u64::try_from(whole).unwrap_or(u64::MAX));
        Self(part.min(whole).saturating_mul(ONE).checked_div(whole).unwrap_or(0))
    }

    /// The product; what is beyond the sixth place is dropped.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        let product = u128::from(self.0) * u128::from(other.0) / u128::from(ONE);
        Self(u64::try_from(product).unwrap_or(u64::MAX))
    }

    /// The sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Reads `0.4`, `1`, `12.50`; what is beyond the sixth place is dropped. `None` for anything else, and for more
    /// than 1000.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, places) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || whole.len() > 4 || !digits(whole) || !digits(places) || text.ends_with('.') {
            return None;
        }
        let six: String = places.chars().chain("000000".chars()).take(6).collect();
        let millionths =
            whole.parse::<u64>().ok()?.checked_mul(ONE)?.checked_add(six.parse::<u64>().ok()?)?;
        (millionths <= MAX).then_some(Self(millionths))
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{}.{:06}", self.0 / ONE, self.0 % ONE);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Serialize for Score {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number: f64 = self.to_string().parse().map_err(serde::ser::Error::custom)?;
        serializer.serialize_f64(number)
    }
}

struct ScoreVisitor;

impl Visitor<'_> for ScoreVisitor {
    type Value = Score;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal from 0 to 1000")
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Score, E> {
        // The shortest text that reads back as this number: 0.4 is four tenths.
        self.visit_str(&value.to_string())
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Score, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Score, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Score, E> {
        let shown = || E::custom(format!("`{}` is not a decimal from 0 to 1000", crate::text::escape(value)));
        Score::parse(value).ok_or_else(shown)
    }
}

impl<'de> Deserialize<'de> for Score {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScoreVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::Score;

    #[test]
    fn decimals_are_read_kept_and_shown_exactly() {
        for (text, millionths, shown) in [
            ("0", 0, "0"),
            ("1", 1_000_000, "1"),
            ("0.4", 400_000, "0.4"),
            ("1000", 1_000_000_000, "1000"),
            ("0.3333339", 333_333, "0.333333"),
            ("12.50", 12_500_000, "12.5"),
        ] {
            let score: Score = serde_json::from_str(text).unwrap();
            assert_eq!((score.millionths(), score.to_string().as_str()), (millionths, shown));
            let again: Score = serde_json::from_str(&serde_json::to_string(&score).unwrap()).unwrap();
            assert_eq!(again, score);
        }
        for bad in ["-1", "-0.1", "1000.1", "1e9", "\"x\"", "\".5\"", "\"5.\"", "null", "true", "[1]"] {
            assert!(serde_json::from_str::<Score>(bad).is_err(), "{bad}");
        }
        assert_eq!(Score::share(1, 3).to_string(), "0.333333");
        assert_eq!(Score::share(0, 0), Score::ZERO);
        assert_eq!(Score::share(5, 3), Score::ONE);
    }
}
