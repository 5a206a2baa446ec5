//! `certificate`: whether the URL's certificate is accepted, and how long it is valid. Looks at what the
//! probe was shown in its own handshake.

use mainstay_core::finding::{Finding, Severity};
use mainstay_core::watch::SOON_DAYS;

use super::Input;
pub(super) const ID: &str = "certificate";

pub(super) fn run(input: &Input<'_>) -> Vec<Finding> {
    let Some(certificate) = input.asked.outside.as_ref().and_then(|a| a.certificate.as_ref()) else {
        return Vec::new();
    };
    let service = &input.survey.service;
    let finding = if let Some(trouble) = &certificate.trouble {
        Finding::new(ID, Severity::Required, format!("{service}: {trouble}")).advice(
            "renew or replace it where TLS ends (the reverse proxy); where the CA is your own, name it: \
             `--ca FILE`, or `ca = …` in mainstay.toml",
        )
    } else if certificate.days_left < SOON_DAYS {
        let days = certificate.days_left;
        let unit = if days == 1 { "day" } else { "days" };
        Finding::new(ID, Severity::Warning, format!("{service}: the certificate expires in {days} {unit}"))
            .advice(
                "renew it; where that should happen by itself, see the log of what does it (acme \
                 companion, Traefik, Caddy, certbot)",
            )
    } else {
        return Vec::new();
    };
    vec![finding.evidence(certificate.to_string())]
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Case, answer, container};
    use super::*;
    use crate::checks::answers;
    use crate::probes::Certificate;

    fn case(days_left: i64, trouble: Option<&str>) -> Case {
        let mut case = Case::of(vec![container("web-1")]);
        let mut answer = answer(trouble.is_none(), None, "x");
        answer.certificate = Some(Certificate {
            not_after_ms: 1_768_000_000_000,
            days_left,
            issuer: "CN=R11".into(),
            subject: "CN=app.test".into(),
            trouble: trouble.map(str::to_owned),
        });
        case.asked.outside = Some(answer);
        case
    }

    #[test]
    fn the_date_decides_and_is_shown() {
        assert_eq!(case(14, None).check(run), []);
        let soon = case(13, None).check(run).remove(0);
        assert_eq!(
            (soon.severity, soon.message.as_str()),
            (Severity::Warning, "web: the certificate expires in 13 days")
        );
        assert_eq!(soon.evidence, ["CN=app.test, issued by CN=R11, valid until 2026-01-09 23:06 UTC"]);
    }

    #[test]
    fn a_refused_certificate_is_one_finding_not_two() {
        let case = case(80, Some("certificate is not for a.test, but for b.test"));
        assert_eq!(case.check(run)[0].severity, Severity::Required);
        assert_eq!(case.check(answers::url), []);
    }

    #[test]
    fn without_tls_there_is_nothing_to_say() {
        assert_eq!(Case::of(vec![container("web-1")]).check(run), []);
    }
}
