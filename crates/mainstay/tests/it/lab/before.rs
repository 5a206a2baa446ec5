//! What was there before a run, and what has to be there again.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::tree::Tree;
use super::{Lab, engine};

/// What was there before a run.
#[derive(Debug, PartialEq)]
pub struct Before {
    /// Name, image, id and start time of every container.
    pub containers: Vec<Container>,
    /// The project's directory.
    pub files: Tree,
    /// The directories of the project's volumes, and what lies beside them.
    pub data: BTreeMap<String, Tree>,
}

/// What tells one container from another.
#[derive(Debug, PartialEq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// The id of its image.
    pub image: String,
    /// Its own id, when it was started, and whether it runs.
    pub instance: String,
}

impl Lab {
    /// What is there now: containers, files, data.
    pub fn now(&self) -> Before {
        let beside = |mountpoint: &str| Tree::of(Path::new(mountpoint).parent().unwrap());
        let volumes = engine::volumes(&self.project).into_iter();
        Before {
            containers: self.containers(),
            data: volumes.map(|(name, mountpoint)| (name, beside(&mountpoint))).collect(),
            files: Tree::of(&self.directory()),
        }
    }

    fn containers(&self) -> Vec<Container> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let of = |container: &Value| Container {
            name: text(&container["Name"]),
            image: text(&container["Image"]),
            instance: format!(
                "{} {} {}",
                container["Id"], container["State"]["StartedAt"], container["State"]["Running"]
            ),
        };
        engine::containers(&self.project).iter().map(of).collect()
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
        let kept = |all: &[Container]| -> Vec<String> {
            all.iter().map(|c| format!("{} of {}", c.name, c.image)).collect()
        };
        assert_eq!(kept(&self.containers()), kept(&before.containers));
        self.compose_changes_nothing();
    }

    /// A plain `up -d` leaves every container alone.
    pub fn compose_changes_nothing(&self) {
        let before = self.containers();
        let output = self.compose(&["up", "-d"]);
        output.success("up");
        assert_eq!(self.containers(), before, "`compose up -d` changed something: {}", output.stderr);
    }
}
