//! What is known about the image of a service, as a plan has it.

use serde::{Deserialize, Serialize};

/// The profile of a service's image: see [`crate::profiles`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceProfile {
    /// Its name.
    pub name: String,
    /// What the image was recognised by; `None` where the operator named the profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recognised_by: Option<String>,
    /// The version that the image says it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it is relied on: the service said that it is ready, the way the profile asks, or the operator named it.
    pub in_force: bool,
    /// Whether the service keeps anything: what has no data has no format, and nothing to lose.
    pub keeps_data: bool,
}
