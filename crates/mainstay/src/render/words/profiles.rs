//! The wording of profiles.

use mainstay_core::plan::{Plan, ServiceProfile};

/// The profiles of a plan, for people.
pub fn planned(plan: &Plan) -> impl Iterator<Item = String> {
    let known = plan.unit.services.iter().filter_map(|s| Some((&s.name, s.profile.as_ref()?)));
    known.map(|(service, profile)| format!("  profile   {}", known_as(service, profile)))
}

/// What is known about a service's image, and whether it is relied on.
pub fn known_as(service: &str, known: &ServiceProfile) -> String {
    let by = match &known.recognised_by {
        Some(sign) => format!("recognised by {sign}"),
        None => "named in mainstay.toml".to_owned(),
    };
    let version = known.version.as_ref().map(|version| format!(", version {version}")).unwrap_or_default();
    let force = if known.in_force { "" } else { "; not in force" };
    format!("{service}: profile {}, {by}{version}{force}", known.name)
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
        assert_eq!(known_as("db", &known), "db: profile postgres, recognised by PG_VERSION, version 15.18");
        let named = ServiceProfile { recognised_by: None, version: None, ..known.clone() };
        assert_eq!(known_as("db", &named), "db: profile postgres, named in mainstay.toml");
        let idle = ServiceProfile { in_force: false, version: None, ..known };
        assert!(known_as("db", &idle).ends_with("PG_VERSION; not in force"));
    }
}
