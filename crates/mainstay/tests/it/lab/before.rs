//! What was there before a run, and what has to be there again.

use std::collections::BTreeMap;
use std::path::Path;

use super::tree::Tree;
use super::{Lab, docker};

/// What was there before a run.
#[derive(Debug, PartialEq)]
pub struct Before {
    /// Id, start time, image and name of every container.
    pub containers: Vec<String>,
    /// The project's directory.
    pub files: Tree,
    /// The directories of the project's volumes, and what lies beside them.
    pub data: BTreeMap<String, Tree>,
}

impl Lab {
    /// What is there now: containers, files, data.
    pub fn now(&self) -> Before {
        let filter = format!("label=com.docker.compose.project={}", self.project);
        let volumes = docker(&["volume", "ls", "-q", "--filter", &filter]);
        let data = volumes.lines().map(|volume| {
            let mountpoint = docker(&["volume", "inspect", "-f", "{{.Mountpoint}}", volume]);
            (volume.to_owned(), Tree::of(Path::new(mountpoint.trim()).parent().unwrap()))
        });
        Before {
            containers: self.inspect("{{.Id}} {{.State.StartedAt}} {{.Image}} {{.Name}}"),
            data: data.collect(),
            files: Tree::of(&self.directory()),
        }
    }

    /// Nothing was touched: the same containers, files and data.
    pub fn assert_untouched(&self, before: &Before) {
        assert_eq!(self.now(), *before, "something was touched");
    }

    /// Everything is as before, though containers may have been made again: files and data byte for byte, images,
    /// names, and nothing beside.
    pub fn assert_as_before(&self, before: &Before) {
        let now = self.now();
        assert_eq!(now.files, before.files, "files of the operator");
        assert_eq!(now.data, before.data, "data");
        self.assert_old_version(before);
    }

    /// The containers run the images from before under the names from before, and Compose would change nothing.
    pub fn assert_old_version(&self, before: &Before) {
        let kept = |lines: &[String]| -> Vec<String> {
            lines.iter().map(|l| l.split(' ').skip(2).collect::<Vec<_>>().join(" ")).collect()
        };
        let now = self.now();
        let (mut was, mut is) = (kept(&before.containers), kept(&now.containers));
        was.sort();
        is.sort();
        assert_eq!(is, was, "images and names of the containers");
        self.compose_changes_nothing();
    }

    /// A plain `up -d` leaves every container alone.
    pub fn compose_changes_nothing(&self) {
        let state = || self.inspect("{{.Id}} {{.State.StartedAt}} {{.State.Running}} {{.Name}}");
        let before = state();
        let output = self.compose(&["up", "-d"]);
        output.success("up");
        assert_eq!(state(), before, "`compose up -d` changed something: {}", output.stderr);
    }
}
