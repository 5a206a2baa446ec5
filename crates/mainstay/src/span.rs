//! Lengths of time as people write them: `90s`, `30m`, `1h 30m`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A length of time, zero or more, with millisecond precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span {
    millis: u64,
}

impl Span {
    /// In milliseconds.
    #[must_use]
    pub fn millis(self) -> u64 {
        self.millis
    }

    /// From milliseconds.
    #[must_use]
    pub fn from_millis(millis: u64) -> Self {
        Self { millis }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let duration: jiff::SignedDuration = text
            .parse()
            .map_err(|_| format!("`{text}` is not a duration; write it like 90s, 30m or 1h 30m"))?;
        let millis = u64::try_from(duration.as_millis()).map_err(|_| "a duration can't be negative")?;
        Ok(Self { millis })
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> String {
        span.to_string()
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.millis / 1000, self.millis % 1000);
        let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        match (hours, minutes) {
            (0, 0) if millis == 0 => write!(f, "{rest}s"),
            (0, 0) if rest < 10 => write!(f, "{rest}.{:02}s", millis / 10),
            (0, 0) => write!(f, "{rest}.{}s", millis / 100),
            (0, _) if rest == 0 => write!(f, "{minutes}m"),
            (0, _) => write!(f, "{minutes}m {rest}s"),
            _ if minutes == 0 => write!(f, "{hours}h"),
            _ => write!(f, "{hours}h {minutes}m"),
        }
    }
}

impl schemars::JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "description": "A length of time: 90s, 30m, 1h 30m" })
    }
}

#[cfg(test)]
mod tests {
    use super::Span;

    #[test]
    fn reads_and_writes_what_people_write() {
        for (text, millis, shown) in [
            ("30m", 1_800_000, "30m"),
            ("90s", 90_000, "1m 30s"),
            ("250ms", 250, "0.25s"),
            ("1h 30m", 5_400_000, "1h 30m"),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.millis(), span.to_string().as_str()), (millis, shown));
        }
        assert!("soon".parse::<Span>().is_err());
        assert!("-5s".parse::<Span>().is_err());
    }
}
