//! What an exported image is: a tar archive that proves itself, since an image's id is the hash of what describes it, and
//! that names the hash of every layer.
//!
//! Invariant: an archive passes only if it was read to its end, holds what the id is the hash of, and all layers that
//! this describes, with the content that it describes. Engines write two kinds: files named by their own hash
//! (`blobs/sha256/…`), and before that one directory a layer. What it does not do: unpack anything.

use std::collections::BTreeMap;
use std::io::Read;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

const MANIFEST: &str = "manifest.json";
const BLOBS: &str = "blobs/sha256/";
/// What describes an image is small.
const DESCRIPTION_LIMIT: u64 = 16 << 20;
/// So much is read at a time.
const PIECE: usize = 256 << 10;

/// Why an archive doesn't pass.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The reader was asked to stop.
    Stopped,
    /// It is not what it should be.
    Damaged(String),
}

/// One image, as the archive lists it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    /// None in an image without files; but it is said.
    #[serde(deserialize_with = "Option::deserialize")]
    layers: Option<Vec<String>>,
}

/// What describes an image names the hashes of its layers, as they are unpacked.
#[derive(Default, Deserialize)]
struct Description {
    #[serde(default)]
    rootfs: Layers,
}

#[derive(Default, Deserialize)]
struct Layers {
    #[serde(default)]
    diff_ids: Vec<String>,
}

/// Reads the whole archive. `go_on` is told how many bytes were read since it was last asked.
pub(super) fn prove(
    archive: impl Read,
    image_id: &str,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<(), Flaw> {
    let hex = image_id.strip_prefix("sha256:").unwrap_or(image_id);
    let held = Held::read(archive, hex, go_on)?;
    held.check(hex).map_err(Flaw::Damaged)
}

/// What an archive holds.
#[derive(Default)]
struct Held {
    /// The hash of every file.
    sums: BTreeMap<String, String>,
    /// Layers that stand for another one of the same content.
    links: BTreeMap<String, String>,
    /// What is to be understood, not only hashed.
    texts: BTreeMap<String, Vec<u8>>,
}

impl Held {
    fn read(archive: impl Read, hex: &str, go_on: &mut dyn FnMut(u64) -> bool) -> Result<Self, Flaw> {
        let unreadable = |error: std::io::Error| Flaw::Damaged(format!("it can't be read: {error}"));
        let texts = [MANIFEST.to_owned(), format!("{hex}.json"), format!("{BLOBS}{hex}")];
        let mut held = Self::default();
        let mut archive = tar::Archive::new(archive);
        for entry in archive.entries().map_err(unreadable)? {
            let mut entry = entry.map_err(unreadable)?;
            let name = plain(&String::from_utf8_lossy(&entry.path_bytes()));
            if let Some(target) = entry.link_name_bytes() {
                held.links.insert(name, plain(&String::from_utf8_lossy(&target)));
            } else if entry.header().entry_type().is_file() {
                let text = texts.contains(&name) && entry.size() <= DESCRIPTION_LIMIT;
                let (sum, bytes) = hashed(&mut entry, text, go_on)?;
                held.texts.extend(bytes.map(|bytes| (name.clone(), bytes)));
                held.sums.insert(name, sum);
            }
        }
        Ok(held)
    }

    fn check(&self, hex: &str) -> Result<(), String> {
        let other =
            |(name, sum): &(&String, &String)| name.strip_prefix(BLOBS).is_some_and(|own| own != *sum);
        if let Some((name, _)) = self.sums.iter().find(other) {
            return Err(format!("{name} in it has other content"));
        }
        let listed: Vec<Listed> = self.understood(MANIFEST)?;
        if listed.is_empty() || !self.sums.values().any(|sum| sum == hex) {
            return Err("it doesn't hold the image".to_owned());
        }
        listed.iter().try_for_each(|image| self.layers(image))
    }

    fn layers(&self, image: &Listed) -> Result<(), String> {
        let layers = image.layers.as_deref().unwrap_or_default();
        let by_place = layers.iter().any(|layer| !layer.starts_with(BLOBS));
        // Where the id is that of something above it, what describes the image is one of many blobs.
        let known = by_place || self.texts.contains_key(&image.config);
        let described = if known { self.understood(&image.config)? } else { Description::default() };
        if known && described.rootfs.diff_ids.len() != layers.len() {
            return Err("it doesn't hold the layers of the image".to_owned());
        }
        for (at, layer) in layers.iter().enumerate() {
            let name = self.links.get(layer).unwrap_or(layer);
            let Some(sum) = self.sums.get(name) else { return Err(format!("{layer} is not in it")) };
            let wanted = described.rootfs.diff_ids.get(at).and_then(|id| id.strip_prefix("sha256:"));
            if by_place && wanted != Some(sum) {
                return Err(format!("{layer} in it has other content"));
            }
        }
        Ok(())
    }

    fn understood<T: for<'a> Deserialize<'a>>(&self, name: &str) -> Result<T, String> {
        let text = self.texts.get(name).ok_or_else(|| format!("{name} is not in it"))?;
        serde_json::from_slice(text).map_err(|error| format!("{name} in it can't be understood: {error}"))
    }
}

/// The hash of what is read to its end, and the bytes, where they are wanted.
fn hashed(
    from: &mut impl Read,
    wanted: bool,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<(String, Option<Vec<u8>>), Flaw> {
    let (mut sum, mut bytes, mut piece) = (Sha256::new(), Vec::new(), vec![0; PIECE]);
    loop {
        let read =
            from.read(&mut piece).map_err(|error| Flaw::Damaged(format!("it can't be read: {error}")))?;
        if !go_on(read as u64) {
            return Err(Flaw::Stopped);
        }
        if read == 0 {
            return Ok((hex::encode(sum.finalize()), wanted.then_some(bytes)));
        }
        sum.update(&piece[..read]);
        if wanted {
            bytes.extend_from_slice(&piece[..read]);
        }
    }
}

/// A name in the archive; that of a link starts where the link is, one directory below the top.
fn plain(name: &str) -> String {
    let name = name.strip_prefix("./").unwrap_or(name);
    name.strip_prefix("../").unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(bytes: &[u8]) -> String {
        hex::encode(Sha256::digest(bytes))
    }

    enum Kind<'a> {
        File(&'a [u8]),
        Link(&'a str),
    }

    fn tar(entries: &[(String, Kind<'_>)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, kind) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            match kind {
                Kind::File(bytes) => {
                    header.set_size(bytes.len() as u64);
                    tar.append_data(&mut header, name, *bytes).unwrap();
                }
                Kind::Link(to) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_size(0);
                    tar.append_link(&mut header, name, to).unwrap();
                }
            }
        }
        tar.into_inner().unwrap()
    }

    fn proven(tar: &[u8], id: &str) -> Result<(), Flaw> {
        prove(tar, &format!("sha256:{id}"), &mut |_| true)
    }

    fn damaged(tar: &[u8], id: &str) -> String {
        match proven(tar, id) {
            Err(Flaw::Damaged(why)) => why,
            other => panic!("{other:?}"),
        }
    }

    /// As engines up to 24 write it; the last layer is the first one again.
    fn by_place() -> (Vec<u8>, String) {
        let (one, two) = (b"layer one".repeat(999), b"layer two".repeat(999));
        let ids: Vec<String> = [&one, &two, &one].iter().map(|l| format!("sha256:{}", sum(l))).collect();
        let config = serde_json::json!({"rootfs": {"type": "layers", "diff_ids": ids}}).to_string();
        let id = sum(config.as_bytes());
        let layers = ["a/layer.tar", "b/layer.tar", "c/layer.tar"];
        let manifest =
            serde_json::json!([{"Config": format!("{id}.json"), "RepoTags": null, "Layers": layers}]);
        let manifest = manifest.to_string();
        let tar = tar(&[
            ("a/VERSION".to_owned(), Kind::File(b"1.0")),
            ("a/layer.tar".to_owned(), Kind::File(&one)),
            ("b/layer.tar".to_owned(), Kind::File(&two)),
            ("c/layer.tar".to_owned(), Kind::Link("../a/layer.tar")),
            (format!("{id}.json"), Kind::File(config.as_bytes())),
            (MANIFEST.to_owned(), Kind::File(manifest.as_bytes())),
        ]);
        (tar, id)
    }

    /// As newer engines write it. Layers may be compressed: only their own hash is known.
    fn by_hash(leave_out: bool) -> (Vec<u8>, String) {
        let layer = b"layer one".repeat(999);
        let config = serde_json::json!({"rootfs": {"diff_ids": ["sha256:of-what-is-unpacked"]}}).to_string();
        let id = sum(config.as_bytes());
        let blob = |bytes: &[u8]| format!("{BLOBS}{}", sum(bytes));
        let manifest = serde_json::json!([{"Config": format!("{BLOBS}{id}"), "Layers": [blob(&layer)]}]);
        let manifest = manifest.to_string();
        let mut entries = vec![
            (blob(config.as_bytes()), Kind::File(config.as_bytes())),
            (MANIFEST.to_owned(), Kind::File(manifest.as_bytes())),
        ];
        if !leave_out {
            entries.push((blob(&layer), Kind::File(&layer)));
        }
        (tar(&entries), id)
    }

    #[test]
    fn a_whole_archive_of_either_kind_passes() {
        for (tar, id) in [by_place(), by_hash(false)] {
            assert_eq!(proven(&tar, &id), Ok(()));
        }
    }

    #[test]
    fn a_changed_byte_is_found_wherever_it_matters() {
        for (tar, id) in [by_place(), by_hash(false)] {
            for word in ["layer one", "layer two", "rootfs", "diff_ids", "Layers"] {
                let Some(at) = tar.windows(word.len()).position(|w| w == word.as_bytes()) else { continue };
                let mut bad = tar.clone();
                bad[at + 2] ^= 1;
                assert!(!damaged(&bad, &id).is_empty(), "{word}");
            }
        }
    }

    #[test]
    fn an_archive_without_its_end_or_a_part_is_damaged() {
        for (tar, id) in [by_place(), by_hash(false)] {
            for length in [0, 100, 512, 600, tar.len() / 2, tar.len() - 2048] {
                assert!(!damaged(&tar[..length], &id).is_empty(), "{length}");
            }
        }
        let (tar, id) = by_hash(true);
        assert!(damaged(&tar, &id).ends_with("is not in it"));
        // What an engine says when it fails in the middle comes as if it belonged to the archive.
        assert!(!damaged(b"{\"error\": \"no space left on device\"}\r\n", &id).is_empty());
    }

    #[test]
    fn another_image_is_not_this_one() {
        let ((one, _), (_, other)) = (by_place(), by_hash(false));
        assert_eq!(damaged(&one, &other), "it doesn't hold the image");
    }

    #[test]
    fn reading_ends_when_it_is_wanted() {
        let (tar, id) = by_place();
        let mut read = 0;
        let stopped = prove(&*tar, &format!("sha256:{id}"), &mut |bytes| {
            read += bytes;
            read < 100
        });
        assert_eq!(stopped, Err(Flaw::Stopped));
    }
}
