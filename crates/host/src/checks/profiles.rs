//! `profile-jump` and `live-copy`: what the profile of an image says against an update, and against a backup of a service that runs.
//!
//! A profile speaks only where it is in force. What has no data has no format that could be wrong.

use mainstay_core::finding::{Finding, Severity};
use mainstay_core::profiles::{self, Live};

use super::Input;
use crate::survey::ProfileFacts;

pub(super) const JUMP: &str = profiles::JUMP;
pub(super) const LIVE: &str = "live-copy";

pub(super) fn jump(input: &Input<'_>) -> Vec<Finding> {
    let refused = |(service, known): (&str, &ProfileFacts)| {
        let to = input.wanted.to.get(service)?;
        Some(known.refusal(to)?.finding(service))
    };
    in_force(input).filter_map(refused).collect()
}

pub(super) fn live(input: &Input<'_>) -> Vec<Finding> {
    if !input.wanted.live_only {
        return Vec::new();
    }
    let torn = |(service, known): (&str, &ProfileFacts)| {
        let Live::Torn { why } = known.profile.live else { return None };
        let title = known.profile.title;
        let message = format!("{service}: a copy of {title} that is made while it runs may be worthless");
        let advice = "stand still for it: `--quiesce stop`, or `quiesce = \"stop\"` in mainstay.toml; or let \
                      `before_backup` write a dump where it is backed up too";
        (!known.own_hooks)
            .then(|| Finding::new(LIVE, Severity::Warning, message).evidence(why).advice(advice))
    };
    in_force(input).filter_map(torn).collect()
}

/// The profiles that are relied on, of services that keep anything.
fn in_force<'a>(input: &Input<'a>) -> impl Iterator<Item = (&'a str, &'a ProfileFacts)> {
    let survey = input.survey;
    let known = survey.unit.iter().filter_map(|s| Some((s.name.as_str(), s.profile.as_ref()?)));
    known.filter(|(service, known)| known.in_force && survey.keeps_data(service))
}

#[cfg(test)]
mod tests {
    use super::super::tests::profiled;
    use super::*;

    #[test]
    fn a_jump_is_refused_where_the_profile_is_in_force_and_there_is_data() {
        let jumps = |in_force, data: bool, to: &str| {
            let mut case = profiled("postgres", "PG_VERSION=15.18", in_force);
            case.wanted.to.insert("web".into(), format!("my/store:{to}"));
            case.survey.mounts.retain(|_| data);
            case.check(jump)
        };
        let findings = jumps(true, true, "17.12");
        assert_eq!(
            findings[0].evidence,
            ["runs: 15.18, by PG_VERSION", "shall run: 17.12, by the tag 17.12"]
        );
        assert!(findings[0].refuses(&[]) && !findings[0].refuses(&["profile-jump".into()]), "{findings:?}");
        assert_eq!(jumps(true, true, "15.20"), []);
        assert_eq!(jumps(true, true, "latest"), [], "nobody knows yet");
        assert_eq!(jumps(false, true, "17.12"), [], "it did not say that it is one");
        assert_eq!(jumps(true, false, "17.12"), [], "there is nothing to be refused");
    }

    #[test]
    fn a_copy_of_what_runs_is_warned_of_where_nobody_took_care() {
        let warned = |profile: &str, live_only, own_hooks| {
            let mut case = profiled(profile, "X=1", true);
            case.wanted.live_only = live_only;
            case.survey.unit[0].profile.as_mut().unwrap().own_hooks = own_hooks;
            case.check(live).len()
        };
        assert_eq!(warned("postgres", true, false), 1);
        assert_eq!(warned("postgres", false, false), 0, "it stands still");
        assert_eq!(warned("postgres", true, true), 0, "the operator dumps it");
        assert_eq!(warned("redis", true, false), 0, "it is prepared");
        assert_eq!(warned("nginx", true, false), 0);
    }
}
