//! Two samples side by side, for people: how it was before, how it is now.

use super::{Amount, Resource, Sample};

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// How it was; `-` where it was not measured.
    pub before: String,
    /// How it is.
    pub during: String,
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} (before: {})", self.what, self.during, self.before)
    }
}

/// What was measured while watching, beside what it was before.
#[must_use]
pub fn table(before: &Sample, during: &Sample) -> Vec<Row> {
    let none = || "-".to_owned();
    let rate = |sample: &Sample| format!("{:.1}", sample.errors_per_minute);
    let mut rows =
        vec![Row { what: "errors a minute".to_owned(), before: rate(before), during: rate(during) }];
    for (place, latency) in &during.answers {
        let was = before.answers.get(place).map(|l| format!("{} ms", l.p95_ms));
        rows.push(Row {
            what: format!("95 of 100 answers {place} within"),
            before: was.unwrap_or_else(none),
            during: format!("{} ms", latency.p95_ms),
        });
    }
    for (name, amounts) in &during.containers {
        for (resource, amount) in amounts {
            let was = before.amount(name, *resource).map(|a| level(*resource, a));
            rows.push(Row {
                what: format!("{name}: {}", resource.describe()),
                before: was.unwrap_or_else(none),
                during: level(*resource, *amount),
            });
        }
    }
    rows
}

/// The usual and the highest use.
fn level(resource: Resource, amount: Amount) -> String {
    let typical = resource.amount(amount.typical);
    match amount.highest == amount.typical {
        true => typical,
        false => format!("{typical}, at most {}", resource.amount(amount.highest)),
    }
}

impl Resource {
    /// An amount of it, in its unit.
    #[must_use]
    pub fn amount(self, amount: u64) -> String {
        match self {
            Self::Memory if amount >= 10 << 20 => format!("{} MiB", amount >> 20),
            Self::Memory => format!("{} KiB", amount >> 10),
            Self::Cpu => format!("{} %", amount / 10),
            Self::Pids | Self::Files => amount.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Latency;
    use super::*;

    #[test]
    fn what_was_measured_on_one_side_only_is_shown_as_well() {
        let mut during = Sample { errors_per_minute: 2.0, ..Sample::default() };
        during.answers.insert("from outside".to_owned(), Latency { count: 9, p50_ms: 3, p95_ms: 12 });
        let amount = Amount { typical: 64 << 20, highest: 65 << 20, limit: 128 << 20 };
        during.containers.insert("app".to_owned(), [(Resource::Memory, amount)].into());
        let rows = table(&Sample::default(), &during);
        let text: Vec<String> = rows.iter().map(Row::to_string).collect();
        assert_eq!(
            text,
            [
                "errors a minute: 2.0 (before: 0.0)",
                "95 of 100 answers from outside within: 12 ms (before: -)",
                "app: memory: 64 MiB, at most 65 MiB (before: -)"
            ]
        );
    }
}
