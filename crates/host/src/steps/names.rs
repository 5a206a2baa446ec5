//! Temporary names of containers.
//!
//! Compose makes a container that replaces another one under a temporary name, `ID_NAME` with the first twelve digits of
//! the id of what it replaces; then it removes that one, and gives the new one its name last. (v1 gives the old one such
//! a name, and the new one its own at once.) Cut off before that, by a power cut or because somebody else removes what it
//! replaces, it leaves both containers, or one that it takes for the right one from then on, under the wrong name.

use bollard::query_parameters::RenameContainerOptionsBuilder;
use mainstay_core::plan::{ContainerRef, Plan};
use mainstay_core::problem::Problem;

use super::way_back::ever_ran;
use crate::discover::ListedContainer;
use crate::engine::{Engine, is_not_found};

type Found = [(String, ListedContainer)];

/// Before Compose is called: where it left both containers, it may now remove one and at the same time make another of the
/// same name, which fails. What has a temporary name beside one with its own, and never ran, goes.
pub(super) async fn remove_leftovers(engine: &Engine, plan: &Plan, found: &Found) -> Result<(), Problem> {
    for name in planned(plan).filter(|name| has(found, name)) {
        for leftover in found.iter().map(|(_, there)| there).filter(|l| is_temporary(&l.container.name, name))
        {
            match remove(engine, leftover).await {
                Err(problem) if !is_not_found(&problem) => return Err(problem),
                _ => {}
            }
        }
    }
    Ok(())
}

async fn remove(engine: &Engine, leftover: &ListedContainer) -> Result<(), Problem> {
    if ever_ran(engine, leftover).await? {
        return Ok(());
    }
    let ContainerRef { id, name } = &leftover.container;
    let what = format!("remove the container {name}, which Compose left when it was cut off");
    engine.call(&what, engine.docker().remove_container(id, None)).await
}

/// After Compose was called: whoever looks for the service under its name has to find it. Whether any was renamed.
pub(super) async fn take(engine: &Engine, plan: &Plan, found: &Found) -> Result<bool, Problem> {
    let mut renamed = false;
    for name in planned(plan).filter(|name| !has(found, name)) {
        let Some((_, there)) = found.iter().find(|(_, there)| is_temporary(&there.container.name, name))
        else {
            continue;
        };
        let options = RenameContainerOptionsBuilder::default().name(name).build();
        let what = format!("give the container {} its name {name}", there.container.name);
        engine.call(&what, engine.docker().rename_container(&there.container.id, options)).await?;
        renamed = true;
    }
    Ok(renamed)
}

fn planned(plan: &Plan) -> impl Iterator<Item = &str> {
    plan.unit.services.iter().flat_map(|service| &service.containers).map(|container| &*container.name)
}

fn has(found: &Found, name: &str) -> bool {
    found.iter().any(|(_, there)| there.container.name == name)
}

fn is_temporary(name: &str, of: &str) -> bool {
    let digits = name.strip_suffix(of).and_then(|rest| rest.strip_suffix('_'));
    digits.is_some_and(|d| d.len() == 12 && d.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::is_temporary;

    #[test]
    fn temporary_names_are_told_from_names_of_operators() {
        assert!(is_temporary("2b07bb85dded_shop-app-1", "shop-app-1"));
        for other in ["shop-app-1", "_shop-app-1", "2b07bb85dde_shop-app-1", "2b07bb85ddeg_shop-app-1"] {
            assert!(!is_temporary(other, "shop-app-1"), "{other}");
        }
        assert!(!is_temporary("2b07bb85dded_shop-app-1", "shop-app-2"));
        assert!(!is_temporary("2b07bb85dded_my_shop-app-1", "shop-app-1"));
    }
}
