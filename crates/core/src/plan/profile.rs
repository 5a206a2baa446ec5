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

impl ServiceProfile {
    /// For people: what it is, by what that is known, and whether it is relied on.
    #[must_use]
    pub fn describe(&self) -> String {
        let by = match &self.recognised_by {
            Some(sign) => format!("recognised by {sign}"),
            None => "named in mainstay.toml".to_owned(),
        };
        let version = self.version.as_ref().map(|version| format!(", version {version}")).unwrap_or_default();
        let force = if self.in_force { "" } else { "; not in force" };
        format!("profile {}, {by}{version}{force}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_shown_with_its_sign_and_whether_it_is_relied_on() {
        let known = ServiceProfile {
            name: "postgres".into(),
            recognised_by: Some("PG_VERSION".into()),
            version: Some("15.18".into()),
            in_force: true,
            keeps_data: true,
        };
        assert_eq!(known.describe(), "profile postgres, recognised by PG_VERSION, version 15.18");
        let named = ServiceProfile { recognised_by: None, version: None, ..known.clone() };
        assert_eq!(named.describe(), "profile postgres, named in mainstay.toml");
        let idle = ServiceProfile { in_force: false, version: None, ..known };
        assert_eq!(idle.describe(), "profile postgres, recognised by PG_VERSION; not in force");
    }
}
