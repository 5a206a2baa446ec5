//! The parts of an image reference. A port of a registry is no tag: a tag follows the last slash.

use std::ops::Range;

use crate::problem::Problem;

/// Where the tag stands in a reference; an empty range at the end where there is none. `None` where a digest
/// pins the image.
pub fn tag_range(reference: &str) -> Option<Range<usize>> {
    if reference.contains('@') {
        return None;
    }
    let name = reference.rfind('/').map_or(0, |slash| slash + 1);
    let end = reference.len();
    Some(reference[name..].find(':').map_or(end..end, |colon| name + colon + 1..end))
}

/// Repository and tag, the latter empty where there is none.
pub fn split(reference: &str) -> Option<(&str, &str)> {
    let tag = tag_range(reference)?;
    let repository = &reference[..tag.start];
    Some((repository.strip_suffix(':').unwrap_or(repository), &reference[tag]))
}

/// The same image with another tag.
pub fn with_tag(reference: &str, tag: &str) -> Result<String, Problem> {
    let (repository, _) = split(reference).ok_or_else(|| {
        Problem::new("image-pinned", format!("the image {reference} is pinned by its digest"))
            .because("with another tag, the digest would still select the old image")
            .advise("remove `@sha256:…` from the image in the Compose file, then update again")
    })?;
    Ok(format!("{repository}:{tag}"))
}

/// Whether this can be a tag.
pub fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}
