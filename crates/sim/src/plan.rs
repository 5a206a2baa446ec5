//! The smallest plans that the state machine can be run with.

use mainstay_core::baseline::Baseline;
use mainstay_core::plan::{
    ComposeVersion, FORMAT, Hooks, Image, Kind, Limits, Plan, Probes, Project, Quiesce, ServicePlan, Unit,
};
use mainstay_core::verdict::Tier;

use crate::steps::record;
use crate::world::cutover;

/// An update.
#[must_use]
pub fn update() -> Plan {
    plan(Kind::Update)
}

/// An update to another image under the same tag.
#[must_use]
pub fn update_of_a_moved_tag() -> Plan {
    let mut plan = update();
    for service in &mut plan.unit.services {
        service.to.reference.clone_from(&service.from.reference);
    }
    plan
}

/// A backup.
#[must_use]
pub fn backup() -> Plan {
    plan(Kind::Backup)
}

/// A backup for which the service is stopped or paused.
#[must_use]
pub fn still_backup(by: Quiesce) -> Plan {
    Plan { still: Some(by), ..backup() }
}

/// The same plan, for a service that has something done before and after each backup.
#[must_use]
pub fn with_hooks(mut plan: Plan) -> Plan {
    let command = Some("a command".to_owned());
    for (index, service) in plan.unit.services.iter_mut().enumerate() {
        let (before, after) = (command.clone(), command.clone());
        service.hooks = Some(Hooks { before, after, timeout_ms: 1, profile: None, index });
    }
    plan
}

/// A restoration of what [`crate::World::with_backup`] holds.
#[must_use]
pub fn restore() -> Plan {
    plan(Kind::Restore { backups: vec![record(cutover())] })
}

/// A rollback of what [`crate::World::updated`] is, asked for by the operator.
#[must_use]
pub fn rollback(tier: Tier) -> Plan {
    plan(Kind::Rollback { of: "earlier".into(), tier, backups: vec![record(cutover())] })
}

fn plan(kind: Kind) -> Plan {
    let image = |reference: &str| Image { reference: reference.into(), id: None, digest: None };
    Plan {
        format: FORMAT,
        measure: kind == Kind::Update,
        keep_image_copy: false,
        kind,
        engine: "simulated".into(),
        unit: Unit {
            service: "app".into(),
            services: vec![ServicePlan {
                name: "app".into(),
                containers: Vec::new(),
                from: image("app:1"),
                to: image("app:2"),
                keep_tag: "mainstay/keep/app".into(),
                stop_grace_ms: 1,
                health_check: false,
                hooks: None,
                profile: None,
            }],
            project: Project {
                name: "sim".into(),
                directory: "/sim".into(),
                files: vec!["/sim/compose.yaml".into()],
                env_files: Vec::new(),
                compose: ComposeVersion::V2("2".into()),
            },
        },
        edits: Vec::new(),
        data: Vec::new(),
        quiesce: Quiesce::Stop,
        still: None,
        room: Vec::new(),
        probes: Probes::default(),
        checks: Vec::new(),
        limits: Limits::default(),
        baseline: Baseline::default(),
        logs: Default::default(),
        findings: Vec::new(),
        forced: Vec::new(),
    }
}
