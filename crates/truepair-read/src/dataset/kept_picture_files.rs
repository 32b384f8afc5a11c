//! Pictures that a cleaned list names, where the list finds them again.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use truepair_core::dataset::{Dataset, Picture};
use truepair_core::error::Result;

use super::pictures::is_picture;
use super::write::link_as;

/// Which pictures are linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gallery {
    /// Those of images that keep a caption; the list does not name the others.
    Kept,
    /// All of them: the list still names images that lost their captions.
    Whole,
}

/// Links the pictures of `dataset`, whose list lies in the folder `root`, into the folder `out`, and returns
/// the links. What lies in `out` already stays as it is.
///
/// # Errors
/// If a link cannot be written.
pub(super) fn link_pictures(
    dataset: &Dataset,
    keep: &[bool],
    gallery: Gallery,
    root: &Path,
    out: &Path,
) -> Result<Vec<PathBuf>> {
    let kept: HashSet<u32> = dataset.kept(keep).map(|pair| pair.image).collect();
    let (mut linked, mut seen) = (Vec::new(), HashSet::new());
    for row in 0..dataset.n_images() {
        if gallery == Gallery::Kept && !kept.contains(&(row as u32)) {
            continue;
        }
        let Some(file) = file_of(dataset, row) else {
            continue;
        };
        let below = file.strip_prefix(root).ok();
        if below.is_some_and(|below| lies_in_link(&out.join(below), out)) {
            continue;
        }
        let Some(name) = name_in_list(&dataset.image_ids[row], below, file) else {
            continue;
        };
        let target = out.join(name);
        let is_new = seen.insert(target.clone());
        if is_new && (target.is_symlink() || !target.exists()) {
            linked.push(link_as(file, &target)?);
        }
    }
    Ok(linked)
}

/// The file that the image in `row` is, or that shows it.
fn file_of(dataset: &Dataset, row: usize) -> Option<&Path> {
    match dataset.images.picture(row) {
        Some(Picture::File(file)) => Some(file),
        Some(_) => None,
        None => dataset.image_files.get(row)?.as_deref(),
    }
}

/// Where a list that calls its image `id` looks for it first: under the id, where that is a path; else where
/// it was found, seen from the folder of the list.
fn name_in_list(id: &str, below: Option<&Path>, file: &Path) -> Option<PathBuf> {
    let path = Path::new(id);
    if is_picture(path) && !id.contains('\\') && stays_below(path) {
        return Some(path.to_path_buf());
    }
    match below.filter(|below| stays_below(below)) {
        Some(below) => Some(below.to_path_buf()),
        None => file.file_name().map(|name| Path::new("images").join(name)),
    }
}

/// Whether a path leads to no place but below the folder that it is seen from.
pub(super) fn stays_below(path: &Path) -> bool {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    path.components().all(is_plain)
}

/// Whether a folder between `out` and `target` is a link already, to a folder with this picture in it.
fn lies_in_link(target: &Path, out: &Path) -> bool {
    let between = target.ancestors().skip(1);
    let mut between = between.take_while(|folder| *folder != out);
    between.any(Path::is_symlink)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_never_lead_out_of_the_list() {
        let file = Path::new("/data/../else/x.jpg");
        let found = |id: &str, below: Option<&str>| name_in_list(id, below.map(Path::new), file);
        for (id, below, name) in [
            ("a.jpg", Some("images/a.jpg"), "a.jpg"),
            ("sub/a.jpg", None, "sub/a.jpg"),
            ("7", Some("images/a.jpg"), "images/a.jpg"),
            ("sub\\a.jpg", Some("sub/a.jpg"), "sub/a.jpg"),
            ("../else/x.jpg", Some("../else/x.jpg"), "images/x.jpg"),
            ("/else/x.jpg", None, "images/x.jpg"),
        ] {
            assert_eq!(found(id, below).unwrap(), Path::new(name), "{id}");
        }
    }
}
