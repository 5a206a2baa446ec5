//! A survey in which everything is well, for each check's tests to spoil, and what holds for all checks.

use std::collections::{BTreeMap, BTreeSet};

use mainstay_core::image::{Env, ImageConfig};
use mainstay_core::plan::{
    ComposeVersion, DataMount, InsideProbe, MountKind, OutsideProbe, Probes, Project, Protocol, Reach,
};
use mainstay_core::problem::Problem;
use serde_json::json;

use super::*;
use crate::discover::CONFIG_HASH;
use crate::probes::Certificate;
use crate::survey::{
    ContainerFacts, DependencyFacts, HealthFacts, Hidden, ImageFacts, LayerFile, MountFacts, ProfileFacts,
    Resolved, ServiceFacts, Sharer, Space, UnsupportedMount,
};

/// The time that it is in all tests.
pub(super) const NOW: &str = "2026-01-10T00:00:00Z";

/// What the containers of the service `web` are made from.
pub(super) const HASH: &str = "feedfacefeedfacefeedface";

pub(super) struct Case {
    pub(super) survey: Survey,
    pub(super) asked: Asked,
    pub(super) wanted: Wanted,
}

impl Case {
    /// The service `web` of the project `shop`, with these containers, and nothing wrong with it.
    pub(super) fn of(containers: Vec<ContainerFacts>) -> Self {
        let space = Space { path: "/var/lib".into(), device: 1, free: 1 << 40, total: 1 << 41 };
        let web = ServiceFacts {
            name: "web".into(),
            containers,
            image: Some(ImageFacts { id: "sha256:old".into(), ..ImageFacts::default() }),
            tagged_id: Some("sha256:old".into()),
            profile: None,
        };
        let config = json!({"services": {"web": {"image": "app:1"}}});
        let survey = Survey {
            project: Project {
                name: "shop".into(),
                directory: "/srv/shop".into(),
                files: vec!["/srv/shop/compose.yml".into()],
                env_files: vec![],
                compose: ComposeVersion::V2("2.26.1".into()),
            },
            service: "web".into(),
            unit: vec![web],
            compose: Ok(Resolved {
                config: Hidden(config),
                hashes: BTreeMap::from([("web".into(), HASH.into())]),
            }),
            files: vec![],
            mounts: vec![data("shop_data")],
            unsupported: vec![],
            dependencies: vec![],
            repository: Some(space),
            remote_repository: false,
            engine_local: true,
            engine_architecture: std::env::consts::ARCH.into(),
            state: None,
            probes: probes(),
        };
        Self {
            survey,
            asked: Asked::default(),
            wanted: Wanted { backup: true, recreate: true, ..Wanted::default() },
        }
    }

    /// One check alone.
    pub(super) fn check(&self, run: fn(&Input<'_>) -> Vec<Finding>) -> Vec<Finding> {
        run(&Input {
            survey: &self.survey,
            asked: &self.asked,
            wanted: &self.wanted,
            now: NOW.parse().unwrap(),
        })
    }

    fn all(&self) -> Vec<Finding> {
        run_at(NOW.parse().unwrap(), &self.survey, &self.asked, &self.wanted)
    }
}

fn probes() -> Probes {
    Probes {
        neighbour: None,
        dependents: Vec::new(),
        inside: Some(InsideProbe {
            service: "web".into(),
            port: 8080,
            protocol: Protocol::Http,
            path: "/".into(),
            detected_from: "test".into(),
            baseline_status: None,
        }),
        outside: Some(OutsideProbe {
            url: "https://bob:hunter2@app.test/".into(),
            ca: None,
            resolve: None,
            resolver: None,
            detected_from: "test".into(),
            baseline_status: None,
            baseline_redirect: None,
            baseline_http: None,
            baseline_certificate_ms: None,
        }),
    }
}

/// A container that runs well.
pub(super) fn container(name: &str) -> ContainerFacts {
    ContainerFacts {
        id: format!("id-{name}"),
        name: name.into(),
        status: "running".into(),
        running: true,
        started_at: "2026-01-01T00:00:00Z".into(),
        memory_limit: Some(1_000_000_000),
        memory_used: Some(100_000_000),
        image_id: "sha256:old".into(),
        image_ref: "app:1".into(),
        labels: BTreeMap::from([
            (CONFIG_HASH.into(), HASH.into()),
            ("com.docker.compose.version".into(), "2.26.1".into()),
        ]),
        ..ContainerFacts::default()
    }
}

/// The service `web`, with this profile, from a repository of its own.
pub(super) fn profiled(profile: &str, variable: &str, in_force: bool) -> Case {
    let mut case = Case::of(vec![container("web-1")]);
    case.survey.unit[0].profile = Some(ProfileFacts {
        profile: mainstay_core::profiles::named(profile).unwrap(),
        by: Some("a variable".into()),
        image: ImageConfig { env: Env::from_lines([variable]), ..ImageConfig::default() },
        reference: "my/store:15.18".into(),
        in_force,
        own_hooks: false,
    });
    case
}

/// A volume with three files.
pub(super) fn data(name: &str) -> MountFacts {
    MountFacts {
        mount: DataMount {
            name: name.into(),
            kind: MountKind::Volume,
            source: format!("/var/lib/docker/volumes/{name}/_data").into(),
            destination: "/data".into(),
            services: vec!["web".into()],
            bytes: 1000,
            files: 3,
            reach: Reach::Direct,
        },
        why: None,
        counted: true,
        exists: true,
        unreadable: vec![],
        unreadable_count: 0,
        sharers: vec![],
        space: Some(Space { path: "/var/lib".into(), device: 1, free: 1 << 40, total: 1 << 41 }),
    }
}

pub(super) fn answer(ok: bool, status: Option<u16>, detail: &str) -> Answer {
    let figures = Default::default();
    Answer { ok, status, took_ms: 3, detail: detail.into(), certificate: None, figures, remarks: Vec::new() }
}

/// Cases in which, together, every check has something to say.
fn everything_wrong() -> Vec<Case> {
    let sick = ContainerFacts {
        health: Some(HealthFacts { status: "unhealthy".into(), ..HealthFacts::default() }),
        restarts: 5,
        oom_killed: true,
        memory_used: Some(990_000_000),
        labels: BTreeMap::new(),
        image_ref: "app:0".into(),
        image_id: "sha256:older".into(),
        layer: vec![LayerFile { path: "/app/x".into(), changed: false, bytes: None }],
        ..container("web-1")
    };
    let mut first = Case::of(vec![sick, ContainerFacts { status: "paused".into(), ..container("web-2") }]);
    let mut anonymous = data(&"ab".repeat(32));
    anonymous.mount.kind = MountKind::Anonymous;
    anonymous.sharers =
        vec![Sharer { container: "ftp".into(), service: None, source: "x".into(), writable: true }];
    first.survey.mounts = vec![anonymous, MountFacts { exists: false, ..data("shop_data") }];
    first.survey.repository = None;
    first.wanted.pause = true;
    first.survey.dependencies = vec![DependencyFacts { name: "db".into(), ..DependencyFacts::default() }];
    first.survey.unsupported = vec![UnsupportedMount {
        service: "web".into(),
        name: "media".into(),
        destination: "/media".into(),
        kind: MountKind::Volume,
        reason: "its volume driver is rclone".into(),
    }];
    first.asked =
        Asked { inside: Some(answer(false, None, "x")), outside: Some(answer(false, Some(500), "x")) };

    let mut second = Case::of(vec![container("web-1")]);
    second.survey.mounts[0].mount.reach = Reach::Archive;
    second.survey.engine_architecture = "s390x".into();
    second.survey.compose = Err(Problem::new("compose-file-invalid", "Compose does not accept it"));
    let mut refused = answer(false, None, "x");
    refused.certificate = Some(Certificate {
        not_after_ms: 0,
        days_left: -9,
        issuer: "CN=x".into(),
        subject: "CN=y".into(),
        trouble: Some("certificate expired on 1970-01-01".into()),
    });
    second.asked.outside = Some(refused);

    let mut third = Case::of(vec![container("web-1")]);
    third.survey.mounts.clear();

    let mut fourth = profiled("postgres", "PG_VERSION=15.18", true);
    fourth.wanted.to.insert("web".into(), "my/store:17".into());
    fourth.wanted.live_only = true;
    vec![first, second, third, fourth]
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    let mut case = Case::of(vec![container("web-1")]);
    case.asked.inside = Some(answer(true, Some(200), "HTTP 200 in 3 ms"));
    case.asked.outside = Some(answer(true, Some(200), "HTTP 200 in 3 ms"));
    assert_eq!(case.all(), []);
}

#[test]
fn every_check_speaks_under_its_own_id_alone() {
    let cases = everything_wrong();
    for check in CHECKS {
        let findings: Vec<Finding> = cases.iter().flat_map(|c| c.check(check.run)).collect();
        assert!(!findings.is_empty(), "{} found nothing", check.id);
        for finding in findings {
            assert_eq!(finding.check, check.id);
            assert!(
                !finding.evidence.is_empty() || finding.severity == Severity::Note,
                "no evidence: {finding:?}"
            );
            assert!(finding.advice.is_some() || finding.severity == Severity::Note, "no advice: {finding:?}");
            let starts = ["web", "db", "shop"].iter().any(|name| finding.message.starts_with(name));
            assert!(starts, "whose is it? {finding:?}");
            assert!(!format!("{finding:?}").contains("hunter2"), "a secret: {finding:?}");
        }
    }
}

#[test]
fn the_most_severe_come_first() {
    for case in everything_wrong() {
        let findings = case.all();
        assert!(findings.is_sorted_by_key(|f| Reverse(f.severity)), "{findings:?}");
    }
    let first = &everything_wrong()[0].all()[0];
    assert!(first.refuses(&[]) && !first.refuses(std::slice::from_ref(&first.check)));
}

#[test]
fn ids_are_what_force_takes_and_documented() {
    let document = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/checks.md");
    let document = std::fs::read_to_string(document).unwrap();
    let mut seen = BTreeSet::new();
    for (id, looks_at) in ALL {
        assert!(seen.insert(id), "{id} twice");
        assert!(id.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !looks_at.is_empty(), "{id}");
        assert!(document.contains(&format!("| `{id}` |")), "docs/checks.md has no row for {id}");
    }
    let rows = document.lines().filter_map(|l| l.strip_prefix("| `")?.split('`').next());
    for id in rows {
        assert!(seen.contains(&id), "docs/checks.md has a row for {id}, which is no check");
    }
}
