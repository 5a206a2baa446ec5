//! Finds a service by its name, from any directory: by the labels that Compose puts on containers, or, for
//! projects that don't run, by their Compose files.
//!
//! Containers of every state count, one-off ones (`run`) never do. Reads only.

mod labels;
mod unstarted;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;
use mainstay_core::plan::{ContainerRef, Project};
use mainstay_core::problem::Problem;

use crate::engine::Engine;

pub(crate) use labels::{CONFIG_HASH, service_of};

/// How many names a suggestion offers.
const SUGGESTIONS: usize = 3;

/// A service of a project, and the project around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The project.
    pub project: Project,
    /// The service's name.
    pub service: String,
    /// Every service of the project that has containers, by name; those of a project that doesn't run are
    /// here too, without containers. Containers are in the order of their numbers.
    pub services: BTreeMap<String, Vec<ContainerRef>>,
}

/// A service that has containers, for listings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its project.
    pub project: Project,
    /// The service's name.
    pub service: String,
    /// Its containers, in the order of their numbers.
    pub containers: Vec<ListedContainer>,
}

impl Listed {
    /// `project/service`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}", self.project.name, self.service)
    }
}

/// A container, as a listing knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedContainer {
    /// Id and name.
    pub container: ContainerRef,
    /// `running`, `exited`, ….
    pub state: String,
    /// For people: `Up 3 hours (healthy)`.
    pub status: String,
    /// The image as the container names it.
    pub image: String,
    /// The image's id.
    pub image_id: String,
}

/// Finds the service that `selector` (`SERVICE` or `project/service`) names. With `files`, the project is the
/// one of these Compose files, whether it has containers or not.
///
/// # Errors
///
/// `unknown-service`, `ambiguous-service`, `compose-labels` (the containers don't say where their files are),
/// and those of the engine and of Compose.
pub async fn discover(engine: &Engine, selector: &str, files: &[PathBuf]) -> Result<Found, Problem> {
    let all = list(engine).await?;
    if !files.is_empty() {
        return unstarted::from_files(engine, selector, files, &all).await;
    }
    let listed = choose(selector, &all)?;
    if listed.project.files.is_empty() {
        return Err(Problem::new(
            "compose-labels",
            format!("the containers of {} don't say which Compose files they were made from", listed.id()),
        )
        .because("their labels com.docker.compose.project.working_dir and .config_files are missing")
        .advise("name the files: `-f FILE`"));
    }
    Ok(Found {
        project: listed.project.clone(),
        service: listed.service.clone(),
        services: services_of(&listed.project.name, &all),
    })
}

/// Every service of every project that has containers, by project and name.
///
/// # Errors
///
/// Those of the engine.
pub async fn list(engine: &Engine) -> Result<Vec<Listed>, Problem> {
    let filters = std::collections::HashMap::from([("label", vec![labels::PROJECT])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let containers =
        engine.call("list the containers", engine.docker().list_containers(Some(options))).await?;
    Ok(group(containers))
}

/// The containers of one service, in the order of their numbers; none where it has none.
///
/// # Errors
///
/// Those of the engine.
pub async fn containers_of(
    engine: &Engine,
    project: &str,
    service: &str,
) -> Result<Vec<ListedContainer>, Problem> {
    let all = list(engine).await?;
    let own = all.into_iter().find(|l| l.project.name == project && l.service == service);
    Ok(own.map(|l| l.containers).unwrap_or_default())
}

fn group(containers: Vec<ContainerSummary>) -> Vec<Listed> {
    let mut groups: BTreeMap<(String, String), Vec<ContainerSummary>> = BTreeMap::new();
    for container in containers {
        if let Some(key) = labels::service_of(&container) {
            groups.entry(key).or_default().push(container);
        }
    }
    let listed = groups.into_iter().map(|((name, service), mut containers)| {
        containers.sort_by_key(labels::number);
        // The newest container was made from the files as they are named now.
        let newest = containers.iter().max_by_key(|c| c.created);
        let project = labels::project(&name, newest.and_then(|c| c.labels.as_ref()));
        Listed { project, service, containers: containers.into_iter().map(listed_container).collect() }
    });
    listed.collect()
}

/// A container's own name: the others are those of links, below another one's.
pub(crate) fn name_of(names: &[String]) -> String {
    let shortest = names.iter().min_by_key(|name| name.len());
    shortest.map(|name| name.trim_start_matches('/').to_owned()).unwrap_or_default()
}

fn listed_container(summary: ContainerSummary) -> ListedContainer {
    let name = name_of(summary.names.as_deref().unwrap_or_default());
    ListedContainer {
        container: ContainerRef { id: summary.id.unwrap_or_default(), name },
        state: summary.state.map(|s| s.to_string()).unwrap_or_default(),
        status: summary.status.unwrap_or_default(),
        image: summary.image.unwrap_or_default(),
        image_id: summary.image_id.unwrap_or_default(),
    }
}

fn services_of(project: &str, all: &[Listed]) -> BTreeMap<String, Vec<ContainerRef>> {
    let own = all.iter().filter(|l| l.project.name == project);
    own.map(|l| (l.service.clone(), l.containers.iter().map(|c| c.container.clone()).collect())).collect()
}

fn choose<'a>(selector: &str, all: &'a [Listed]) -> Result<&'a Listed, Problem> {
    let matching: Vec<&Listed> = match selector.split_once('/') {
        Some((project, service)) => {
            all.iter().filter(|l| l.project.name == project && l.service == service).collect()
        }
        None => all.iter().filter(|l| l.service == selector).collect(),
    };
    match matching.as_slice() {
        [one] => Ok(one),
        [] => Err(unknown(selector, all)),
        many => {
            let ids: Vec<String> = many.iter().map(|l| l.id()).collect();
            Err(Problem::new(
                "ambiguous-service",
                format!("{} projects have a service {selector}", ids.len()),
            )
            .because(format!("candidates: {}", ids.join(", ")))
            .advise(format!("name the project too: {}", ids.join(" or "))))
        }
    }
}

fn unknown(selector: &str, all: &[Listed]) -> Problem {
    let problem =
        Problem::new("unknown-service", format!("no Compose service is called {selector} on this engine"));
    let by_container = all.iter().find(|l| l.containers.iter().any(|c| c.container.name == selector));
    if let Some(listed) = by_container {
        return problem
            .because(format!("{selector} is a container's name"))
            .advise(format!("its service is {}", listed.id()));
    }
    let names = all.iter().flat_map(|l| [l.service.clone(), l.id()]);
    let near = nearest(selector, names);
    let problem = if near.is_empty() {
        problem
    } else {
        problem.advise(format!("did you mean {}?", near.join(" or ")))
    };
    problem
        .advise("see all services: `mainstay status`")
        .advise("a project without containers is named by its Compose file: `-f FILE`")
}

/// The names most like the wanted one, best first.
fn nearest(wanted: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let unique: BTreeSet<String> = names.filter(|n| n.contains('/') == wanted.contains('/')).collect();
    let mut scored: Vec<(f64, String)> = unique
        .into_iter()
        .map(|name| {
            let contained = if name.contains(wanted) || wanted.contains(&name) { 0.3 } else { 0.0 };
            (strsim::normalized_damerau_levenshtein(wanted, &name) + contained, name)
        })
        .filter(|(score, _)| *score >= 0.5)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.into_iter().take(SUGGESTIONS).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str, labels: &[(&str, &str)]) -> ContainerSummary {
        ContainerSummary {
            id: Some(format!("id-{name}")),
            names: Some(vec![format!("/{name}")]),
            labels: Some(labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()),
            ..ContainerSummary::default()
        }
    }

    fn of(project: &str, service: &str, number: &str) -> ContainerSummary {
        container(
            &format!("{project}-{service}-{number}"),
            &[
                ("com.docker.compose.project", project),
                ("com.docker.compose.service", service),
                ("com.docker.compose.container-number", number),
                ("com.docker.compose.oneoff", "False"),
            ],
        )
    }

    #[test]
    fn containers_group_by_service_in_the_order_of_their_numbers() {
        let listed = group(vec![of("a", "web", "10"), of("a", "web", "2"), of("b", "web", "1")]);
        assert_eq!(listed.len(), 2);
        let names: Vec<&str> = listed[0].containers.iter().map(|c| c.container.name.as_str()).collect();
        assert_eq!(names, ["a-web-2", "a-web-10"]);
    }

    #[test]
    fn one_off_containers_are_no_service() {
        let once = container(
            "a-web-run-1",
            &[
                ("com.docker.compose.project", "a"),
                ("com.docker.compose.service", "web"),
                ("com.docker.compose.oneoff", "True"),
            ],
        );
        assert!(group(vec![once]).is_empty());
    }

    #[test]
    fn a_service_is_found_by_name_or_by_project_and_name() {
        let all = group(vec![of("a", "web", "1"), of("b", "web", "1"), of("b", "db", "1")]);
        assert_eq!(choose("db", &all).unwrap().id(), "b/db");
        assert_eq!(choose("a/web", &all).unwrap().id(), "a/web");
        let problem = choose("web", &all).unwrap_err();
        assert_eq!(problem.code, "ambiguous-service");
        assert!(problem.advice[0].contains("a/web or b/web"));
    }

    #[test]
    fn an_unknown_name_gets_the_nearest_ones() {
        let all = group(vec![of("a", "postgres", "1"), of("b", "openweb", "1")]);
        let problem = choose("postgers", &all).unwrap_err();
        assert_eq!(problem.code, "unknown-service");
        assert_eq!(problem.advice[0], "did you mean postgres?");
        let problem = choose("a/postgre", &all).unwrap_err();
        assert_eq!(problem.advice[0], "did you mean a/postgres?");
        let problem = choose("b-openweb-1", &all).unwrap_err();
        assert_eq!(problem.advice[0], "its service is b/openweb");
    }
}
