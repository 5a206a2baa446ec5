//! Where the `image:` of a service stands in the Compose files.
//!
//! Follows aliases, merges, overriding files and `extends`, on a syntax tree that knows the bytes of every
//! node. What it does not do: interpolate, or follow `include`.

use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use yaml_edit::{AnchorRegistry, Mapping, YamlFile, YamlNode};

use super::{BOM, Role, SourceFile};
use crate::problem::Problem;
use crate::redact;

/// A chain of `extends` longer than this is a circle.
const DEEPEST: usize = 16;

/// The text of an image, not interpolated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Which of the files.
    pub file: usize,
    /// The service that it stands in, there; another one after `extends`.
    pub service: String,
    /// The text.
    pub text: String,
    /// Where the text begins in the file.
    pub at: usize,
    /// The anchor that it stands behind, if any.
    pub anchor: Option<String>,
}

/// Finds the image of a service: in the last file that sets one.
pub fn find_image(files: &[SourceFile], service: &str) -> Result<Found, Problem> {
    let mut seen = None;
    for (index, file) in files.iter().enumerate().rev().filter(|(_, f)| f.role == Role::Compose) {
        match in_file(files, index, service, 0)? {
            Search::Found(found) => return Ok(found),
            Search::Without => seen = seen.or(Some(file)),
            Search::Absent => {}
        }
    }
    Err(match seen {
        Some(file) => {
            Problem::new("image-not-set", format!("{service} has no `image:` in {}", file.path.display()))
                .because("it is built from source, so it has no tag to change")
                .advise("give the service an `image:`, or update its source and build it")
        }
        None => {
            Problem::new("service-not-in-files", format!("no Compose file of the project defines {service}"))
                .because("it may come from an `include`d file")
                .advise("name the file that defines it with `-f`")
        }
    })
}

enum Search {
    Found(Found),
    /// The service is there, an image is not.
    Without,
    Absent,
}

fn in_file(files: &[SourceFile], index: usize, service: &str, depth: usize) -> Result<Search, Problem> {
    let file = &files[index];
    let (text, shift) = text(file)?;
    // The whole file, not one document: comments may stand before `---`, and positions count from the start.
    let tree = YamlFile::from_str(text).map_err(|error| invalid(file, None, &error.to_string()))?;
    let Some(document) = tree.document() else { return Ok(Search::Absent) };
    let tree = Tree { anchors: AnchorRegistry::from_document(&document) };
    let mapping = document
        .as_mapping()
        .and_then(|root| tree.mapping(&root, "services"))
        .and_then(|(services, _)| tree.mapping(&services, service));
    let Some((mapping, via)) = mapping else { return Ok(Search::Absent) };
    match tree.get(&mapping, "image", 0) {
        Some((node, anchor)) => scalar(file, text, &node).map_or_else(
            || Ok(Search::Without),
            |scalar| {
                let (value, at) = scalar?;
                let anchor = anchor.or(via).or_else(|| own_anchor(text, &node));
                let service = service.to_owned();
                Ok(Search::Found(Found { file: index, service, text: value, at: at + shift, anchor }))
            },
        ),
        None => match tree.get(&mapping, "extends", 0) {
            Some((node, _)) => extended(files, index, &tree, &node, depth),
            None => Ok(Search::Without),
        },
    }
}

/// Goes on in the service that this one extends.
fn extended(
    files: &[SourceFile],
    index: usize,
    tree: &Tree,
    node: &YamlNode,
    depth: usize,
) -> Result<Search, Problem> {
    let string = |key| match node {
        YamlNode::Mapping(mapping) => tree.get(mapping, key, 0).and_then(|(node, _)| as_text(&node)),
        _ => None,
    };
    let here = &files[index].path;
    let other = string("file").map(|name| normal(&here.parent().unwrap_or(Path::new("")).join(name)));
    let service = as_text(node).or_else(|| string("service"));
    let target = match &other {
        None => Some(index),
        Some(path) => files.iter().position(|f| f.role == Role::Compose && normal(&f.path) == *path),
    };
    match (target, service) {
        (Some(target), Some(service)) if depth < DEEPEST => in_file(files, target, &service, depth + 1),
        _ => Err(Problem::new(
            "image-extended",
            format!(
                "the service's image comes from {} by `extends`",
                other.as_deref().unwrap_or(here).display()
            ),
        )
        .because("this file is not among the Compose files of the project")
        .advise("give the service an `image:` of its own in the project's Compose file")),
    }
}

/// The path without `.` and `..`, by its letters alone.
fn normal(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if out.file_name().is_some() => {
                out.pop();
            }
            part => out.push(part),
        }
    }
    out
}

struct Tree {
    anchors: AnchorRegistry,
}

impl Tree {
    /// The value of a key with aliases and merges followed, and the anchor that it was found behind.
    fn get(&self, mapping: &Mapping, key: &str, depth: usize) -> Option<(YamlNode, Option<String>)> {
        if depth > DEEPEST {
            return None;
        }
        let values = |wanted: &'static str| value_of(mapping, wanted);
        if let Some(node) = value_of(mapping, key) {
            return self.follow(node);
        }
        let merged = match values("<<")? {
            YamlNode::Sequence(list) => list.values().collect(),
            node => vec![node],
        };
        merged.into_iter().find_map(|node| {
            let (node, via) = self.follow(node)?;
            let (node, anchor) = self.get(&as_mapping(&node)?, key, depth + 1)?;
            Some((node, anchor.or(via)))
        })
    }

    fn mapping(&self, mapping: &Mapping, key: &str) -> Option<(Mapping, Option<String>)> {
        let (node, anchor) = self.get(mapping, key, 0)?;
        Some((as_mapping(&node)?, anchor))
    }

    fn follow(&self, node: YamlNode) -> Option<(YamlNode, Option<String>)> {
        match &node {
            YamlNode::Alias(alias) => Some((self.anchors.resolve_alias(alias).ok()?, Some(alias.name()))),
            _ => Some((node, None)),
        }
    }
}

fn value_of(mapping: &Mapping, key: &str) -> Option<YamlNode> {
    mapping
        .entries()
        .find(|entry| entry.key_node().and_then(|node| as_text(&node)).as_deref() == Some(key))
        .and_then(|entry| entry.value_node())
}

fn as_mapping(node: &YamlNode) -> Option<Mapping> {
    match node {
        YamlNode::Mapping(mapping) => Some(mapping.clone()),
        YamlNode::TaggedNode(tagged) => tagged.as_mapping(),
        _ => None,
    }
}

fn as_text(node: &YamlNode) -> Option<String> {
    match node {
        YamlNode::Scalar(scalar) => Some(scalar.as_string()),
        YamlNode::TaggedNode(tagged) => tagged.as_string(),
        _ => None,
    }
}

/// The text of a scalar and where it begins; `None` where it says nothing (`image:`, `!reset`).
fn scalar(file: &SourceFile, text: &str, node: &YamlNode) -> Option<Result<(String, usize), Problem>> {
    if let YamlNode::TaggedNode(tagged) = node
        && tagged.tag().as_deref() == Some("!reset")
    {
        return None;
    }
    let value = as_text(node)?.trim().to_owned();
    if value.is_empty() || matches!(node, YamlNode::Scalar(scalar) if scalar.is_null()) {
        return None;
    }
    let range = node.byte_range();
    let (start, end) = (range.start as usize, (range.end as usize).min(text.len()));
    let Some(at) = text.get(start..end).and_then(|raw| raw.rfind(&value)) else {
        let line = super::line_of(text.as_bytes(), start);
        return Some(Err(Problem::new(
            "edit-unproven",
            format!(
                "the image in line {line} of {} is written with escapes or over lines",
                file.path.display()
            ),
        )
        .advise("write it on one line without escapes, then update again")));
    };
    Some(Ok((value, start + at)))
}

/// The anchor that the scalar carries itself: `image: &name repository:tag`.
fn own_anchor(text: &str, node: &YamlNode) -> Option<String> {
    let before = text[..node.byte_range().start as usize].trim_end();
    let word = before.rsplit(char::is_whitespace).next()?;
    word.strip_prefix('&').map(str::to_owned)
}

/// The file's text without a byte order mark, and how long that was. Checked by the other parser, too: what
/// Compose would refuse is not edited.
pub fn text(file: &SourceFile) -> Result<(&str, usize), Problem> {
    let shift = if file.bytes.starts_with(BOM) { BOM.len() } else { 0 };
    let text = std::str::from_utf8(&file.bytes[shift..]).map_err(|error| {
        let line = super::line_of(&file.bytes[shift..], error.valid_up_to());
        invalid(file, Some(line), "it is not UTF-8")
    })?;
    yaml_serde::from_str::<yaml_serde::Value>(text)
        .map_err(|error| invalid(file, error.location().map(|l| l.line()), &error.to_string()))?;
    Ok((text, shift))
}

fn invalid(file: &SourceFile, line: Option<usize>, why: &str) -> Problem {
    let place = line.map_or_else(String::new, |line| format!("line {line} of "));
    Problem::new("compose-file-invalid", format!("{place}{} can't be read", file.path.display()))
        .because(redact::line(why))
        .advise("correct the file; `docker compose config` says what Compose thinks of it")
}
