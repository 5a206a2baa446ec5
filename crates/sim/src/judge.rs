//! What has to hold where a run has ended, whatever happened: it ended in one of three ways, and truthfully.

use mainstay_core::plan::{Kind, Plan};
use mainstay_core::step::Step;
use mainstay_core::verdict::{Cause, Conclusion, DataDoubt, Tier};

use crate::fate::Broken;
use crate::world::{Container, Content, File, Version, World};

/// What happened to a run until it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Suffered {
    /// Steps that failed without the world being to blame, and those that were given up after a crash.
    pub faults: u8,
    /// Deeds of others, interruptions included.
    pub deeds: u8,
}

fn must(holds: bool, what: &str) -> Result<(), Broken> {
    if holds { Ok(()) } else { Err(Broken(what.to_owned())) }
}

/// Whether the run may end so.
///
/// # Errors
/// Where what it says isn't so, data is lost, or it gave up too early.
pub fn judge(plan: &Plan, world: &World, conclusion: &Conclusion, suffered: Suffered) -> Result<(), Broken> {
    let early = world.interfered && world.keeps(Content::Early);
    must(
        world.data.is_old() || world.keeps(Content::Old) || early,
        "the data from before the update is nowhere",
    )?;
    truth(plan, world, conclusion)?;
    patience(plan, world, conclusion, suffered)
}

/// What is said about the service, as of the last look at it.
fn truth(plan: &Plan, world: &World, conclusion: &Conclusion) -> Result<(), Broken> {
    let changes_version = matches!(plan.kind, Kind::Update | Kind::Rollback { .. });
    let (calm, quiet) = (!world.interfered, !world.disturbed);
    let needs_person = matches!(conclusion, Conclusion::NeedsPerson { .. });
    if !needs_person && calm {
        must(!world.containers().any(|c| c.paused), "the service is left paused")?;
        let owed = world.containers().any(|c: Container| c.prepared);
        must(!owed || world.after_failed, "nothing was run after the backup")?;
    }
    match conclusion {
        Conclusion::Kept { .. } => kept(plan, world, quiet),
        Conclusion::AsBefore { .. } => {
            must(world.file != File::After, "as before, and the file is not")?;
            must(
                !calm || world.tag == Version::Old || !world.service.moved_tag,
                "as before, and the tag is not",
            )?;
            let same = world.old.is_some_and(|c| c.planned && c.running) && world.new.is_none();
            must(!calm || same, "as before, and the container is not")?;
            must(!calm || world.data.is_old() || !changes_version, "as before, and the data is not")
        }
        Conclusion::RolledBack { tier, failure } => {
            must(!quiet || world.runs().is_some(), "rolled back, and nothing runs")?;
            if !changes_version {
                return Ok(());
            }
            must(
                !quiet || world.runs() == Some(Version::Old),
                "rolled back, and the old version doesn't run",
            )?;
            must(!quiet || world.verified == Some(Version::Old), "rolled back, and not verified")?;
            must(world.file != File::After, "rolled back, and the file is not")?;
            must(
                !calm || world.tag == Version::Old || !world.service.moved_tag,
                "rolled back, the tag is not",
            )?;
            let unrelated = failure.cause == Cause::Version(DataDoubt::Unrelated);
            let data_may_stay = plan.kind != Kind::Update || (world.new_was_good && unrelated);
            match tier {
                Tier::Full => must(
                    !calm || world.data.content == Content::Old,
                    "image and data rolled back, and the data is not",
                ),
                Tier::ImageOnly => must(
                    !calm || data_may_stay || matches!(world.data.content, Content::Old | Content::OldUsed),
                    "the old version got data that a version changed which never worked",
                ),
                _ => must(!calm || world.data.is_old(), "the data was never touched, and yet it is changed"),
            }
        }
        Conclusion::NeedsPerson { .. } => Ok(()),
    }
}

fn kept(plan: &Plan, world: &World, quiet: bool) -> Result<(), Broken> {
    must(!quiet || world.runs().is_some(), "done, and nothing runs")?;
    match plan.kind {
        Kind::Update => {
            must(!quiet || world.runs() == Some(Version::New), "kept, and the new version doesn't run")?;
            must(!quiet || world.verified == Some(Version::New), "kept, and not verified")?;
            must(
                world.interfered || world.service.moved_tag || world.file == File::After,
                "kept, the file is not",
            )
        }
        Kind::Backup => {
            let step = if plan.still.is_some() { Step::BackUpStill } else { Step::BackUpLive };
            let taken = world.repository.iter().any(|s| s.verified && s.step == step);
            must(taken, "done, and there is no backup")
        }
        Kind::Restore { .. } => {
            let back = world.data.content == Content::Old || world.interfered;
            must(back, "done, and the data is not back")
        }
        Kind::Rollback { .. } => Ok(()),
    }
}

/// One thing that goes wrong on the way forward of an update or a backup needs nobody, also if the old image was
/// pruned meanwhile; and nothing goes wrong by itself.
fn patience(plan: &Plan, world: &World, conclusion: &Conclusion, suffered: Suffered) -> Result<(), Broken> {
    if suffered.deeds > world.old_image_pruned {
        return Ok(());
    }
    let wrong = suffered.faults + u8::from(world.service.never_starts);
    if wrong == 0 {
        let as_asked = match plan.kind {
            Kind::Rollback { .. } => matches!(conclusion, Conclusion::RolledBack { .. }),
            _ => matches!(conclusion, Conclusion::Kept { .. }),
        };
        return must(as_asked, "nothing went wrong, and it is not done");
    }
    let forward = matches!(plan.kind, Kind::Update | Kind::Backup);
    let given_up = matches!(conclusion, Conclusion::NeedsPerson { .. });
    must(wrong > 1 || !forward || !given_up, "one thing went wrong, and a person is needed")
}
