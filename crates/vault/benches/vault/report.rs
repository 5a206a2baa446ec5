//! Collects figures, and prints them as a table and as JSON.

use serde_json::{Value, json};

use crate::typical;

/// Everything that was measured, in the order of its first measurement.
#[derive(Default)]
pub struct Figures {
    seconds: Vec<(&'static str, Vec<f64>)>,
    peak_memory_mib: u64,
    /// Of the mixed volume.
    pub volume_bytes: u64,
    /// How large the first backup made the repository.
    pub first_bytes: u64,
    /// By how much the second one made it larger.
    pub second_added: u64,
    /// In the volume of tiny files.
    pub tiny_files: usize,
}

impl Figures {
    /// Notes the seconds of one measurement.
    pub fn add(&mut self, what: &'static str, seconds: f64) {
        println!("  {what:<36} {seconds:>8.2} s");
        match self.seconds.iter_mut().find(|(known, _)| *known == what) {
            Some((_, samples)) => samples.push(seconds),
            None => self.seconds.push((what, vec![seconds])),
        }
    }

    /// Notes one of the durations that an operation of ours gave, and its memory.
    pub fn add_ours(&mut self, what: &'static str, operation: &Value, key: &str) {
        self.peak_memory_mib = self.peak_memory_mib.max(operation["peak_memory_mib"].as_u64().unwrap());
        self.add(what, operation[key].as_f64().unwrap());
    }

    fn typical(&self, what: &str) -> f64 {
        self.seconds.iter().find(|(known, _)| *known == what).map_or(f64::NAN, |(_, all)| typical(all))
    }

    fn ratio(&self, peer: &str, ours: &str) -> f64 {
        self.typical(peer) / self.typical(ours)
    }

    /// The table, and the last line.
    pub fn print(&self) {
        println!("\n{:<38} {:>8} {:>8} {:>8}", "seconds", "median", "least", "most");
        for (what, samples) in &self.seconds {
            let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
            let most = samples.iter().copied().fold(0.0, f64::max);
            println!("{what:<38} {:>8.2} {least:>8.2} {most:>8.2}", typical(samples));
        }
        let rounded = |figure: f64| (figure * 100.0).round() / 100.0;
        let seconds: serde_json::Map<String, Value> = self
            .seconds
            .iter()
            .map(|(what, all)| ((*what).to_owned(), json!(rounded(typical(all)))))
            .collect();
        println!(
            "{}",
            json!({
                "volume_bytes": self.volume_bytes,
                "repository_bytes_after_first": self.first_bytes,
                "tiny_files": self.tiny_files,
                "seconds": seconds,
                "first_mixed_speedup_vs_runbook": rounded(self.ratio("first: busybox tar czf", "first: mainstay")),
                "first_mixed_speedup_vs_restic": rounded(self.ratio("first: restic", "first: mainstay")),
                "first_mixed_speedup_vs_tar_zstd": rounded(self.ratio("first: tar, zstd -T0", "first: mainstay")),
                "first_tiny_speedup_vs_restic": rounded(self.ratio("tiny: restic", "tiny: mainstay")),
                "second_speedup_vs_runbook": rounded(self.ratio("second: busybox tar czf", "second: mainstay")),
                "second_speedup_vs_restic": rounded(self.ratio("second: restic", "second: mainstay")),
                "second_added_fraction": rounded(self.second_added as f64 / self.first_bytes as f64),
                "cutover_changed_seconds": rounded(self.typical("cutover, 1 % changed: mainstay")),
                "cutover_changed_processor_seconds": rounded(self.typical("the same, on all processors")),
                "cutover_unchanged_seconds": rounded(self.typical("cutover, unchanged: mainstay")),
                "restore_changed_speedup_vs_runbook": rounded(
                    self.ratio("restore: rm -rf, busybox tar xzf", "restore, 1 % changed: mainstay")
                ),
                "peak_memory_mib": self.peak_memory_mib,
            })
        );
    }
}

/// The middle one; of an even number the lower one. `None` without any.
pub fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}
