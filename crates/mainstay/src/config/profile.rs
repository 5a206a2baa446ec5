//! `profile = "NAME"`: what a service's image is taken for.

use mainstay_core::profiles;
use mainstay_host::plan::ProfileWishes;
use mainstay_host::survey::ProfileWish;
use serde::Deserialize;

use super::{Config, layered};

/// The word for no profile.
const NOTHING: &str = "none";

/// The name of a profile, or `none`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct ProfileName(ProfileWish);

impl TryFrom<String> for ProfileName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if name == NOTHING {
            return Ok(Self(ProfileWish::Nothing));
        }
        profiles::named(&name).map(|profile| Self(ProfileWish::Named(profile))).ok_or_else(|| {
            let known: Vec<&str> =
                profiles::all().iter().map(|profile| profile.name).chain([NOTHING]).collect();
            let nearest = known.iter().min_by_key(|known| strsim::damerau_levenshtein(&name, known));
            let near = nearest.filter(|near| strsim::damerau_levenshtein(&name, near) <= near.len() / 2);
            match near {
                Some(near) => format!("there is no profile `{name}`, did you mean `{near}`?"),
                None => format!("there is no profile `{name}`; there are {}", known.join(", ")),
            }
        })
    }
}

/// What the files say about the services of a project.
pub(super) fn wishes(layers: &[Config; 2], project: &str) -> ProfileWishes {
    let (by_service, others) = layered(layers, project);
    let wish = |name: Option<ProfileName>| name.map_or(ProfileWish::Detected, |name| name.0);
    let by_service = by_service.into_iter().map(|(name, settings)| (name, wish(settings.profile))).collect();
    ProfileWishes { by_service, others: wish(others.profile) }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn name(wish: ProfileWish) -> &'static str {
        match wish {
            ProfileWish::Detected => "detected",
            ProfileWish::Nothing => NOTHING,
            ProfileWish::Named(profile) => profile.name,
        }
    }

    #[test]
    fn a_profile_is_named_for_a_service_or_for_all() {
        let text =
            "[defaults]\nprofile = \"none\"\n[service.db]\nprofile = \"postgres\"\n[service.app]\nport = 1\n";
        let wishes = wishes(&[parse(text).unwrap(), Config::default()], "shop");
        assert_eq!((name(wishes.by_service["db"]), name(wishes.by_service["app"])), ("postgres", "none"));
        assert_eq!(name(wishes.others), "none");
        let nothing = super::wishes(&[Config::default(), Config::default()], "shop");
        assert_eq!(name(nothing.others), "detected");
    }

    #[test]
    fn an_unknown_name_names_the_nearest_one_or_all() {
        let why = |name: &str| {
            let problem = parse(&format!("[service.db]\nprofile = \"{name}\"\n")).unwrap_err();
            assert_eq!(problem.code, "config-invalid");
            problem.to_string()
        };
        assert!(why("postgers").contains("did you mean `postgres`?"), "{}", why("postgers"));
        assert!(why("something-else").contains("there are postgres, "), "{}", why("something-else"));
    }
}
