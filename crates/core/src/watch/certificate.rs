//! The certificate that a version, or its proxy, shows: whether it ends sooner than the one from before.
//!
//! Decides nothing: what is not valid any more is refused in the handshake, where the probe fails by it.

use crate::finding::{Finding, Severity};

/// Whatever renews certificates by itself has done so before this many days are left.
pub const SOON_DAYS: i64 = 14;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A certificate as it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Valid until then, in milliseconds since 1970.
    pub until_ms: i64,
    /// Whole days until then.
    pub days_left: i64,
    /// Whose it is, by whom, and until when; for people.
    pub described: String,
}

/// Worth a warning: it ends soon, and the one that was shown `before` would have lasted longer.
pub(super) fn finding(shown: Option<&Shown>, before: Option<i64>) -> Option<Finding> {
    let (shown, before) = shown.zip(before)?;
    if !(0..SOON_DAYS).contains(&shown.days_left) || shown.until_ms >= before {
        return None;
    }
    let days = |count: i64| format!("{count} {}", if count == 1 { "day" } else { "days" });
    let earlier = days((before - shown.until_ms).div_euclid(DAY_MS));
    let left = days(shown.days_left);
    let message =
        format!("the certificate expires in {left}, {earlier} earlier than the one that was shown before");
    let advice =
        "see which one is shown now, and why: where TLS ends (the new version, or the reverse proxy)";
    Some(Finding::new("certificate", Severity::Warning, message).evidence(&shown.described).advice(advice))
}
