//! A diff for people.

use std::path::Path;

use similar::TextDiff;

use crate::redact;

/// A unified diff with the values hidden that look like secrets. Lossy where a file isn't UTF-8; it is for
/// reading, not for applying.
#[must_use]
pub fn diff(path: &Path, before: &[u8], after: &[u8]) -> String {
    let shown = |bytes: &[u8]| redact::line(&String::from_utf8_lossy(bytes));
    let (hidden_before, hidden_after) = (shown(before), shown(after));
    let name = path.display().to_string();
    let diff = TextDiff::from_lines(&hidden_before, &hidden_after);
    let text = diff.unified_diff().context_radius(2).header(&name, &name).to_string();
    if text.is_empty() && before != after {
        return format!("--- {name}\n+++ {name}\n (only hidden values differ)\n");
    }
    text
}
