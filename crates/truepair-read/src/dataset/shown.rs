//! Which pictures may be shown to others, in a report or by a search page: those of the data.
//!
//! A list from elsewhere can name any path. A picture outside the data is read where the list says so, and then
//! only numbers are made of it; a report would carry the picture itself, with all that its file holds.

use std::collections::BTreeSet;
use std::iter;
use std::path::{Path, PathBuf};

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use truepair_core::dataset::{Dataset, Picture};
use truepair_core::source_file;

use super::picture_folders::folders_beside;
use super::{Pictures, ReadOptions};

/// The data without the files of pictures that lie outside its folder and outside the folder of pictures that
/// `options` name; each is noted. Links are followed before that is asked.
pub(super) fn only_inside(mut dataset: Dataset, path: &Path, options: &ReadOptions) -> Dataset {
    let is_listed = !dataset.image_files.is_empty();
    let files = match is_listed {
        true => std::mem::take(&mut dataset.image_files),
        false => files_of_pictures(&dataset),
    };
    if files.is_empty() {
        return dataset;
    }
    let roots = roots(&dataset, path, options);
    let checked = files.into_par_iter().with_min_len(64).map_init(
        LastFolder::default,
        |last, file: Option<PathBuf>| match file {
            Some(file) if !last.is_inside(&file, &roots) => (None, Some(file)),
            inside => (inside, None),
        },
    );
    let (inside, outside): (Vec<Option<PathBuf>>, Vec<Option<PathBuf>>) = checked.unzip();
    let is_refused = outside.iter().any(Option::is_some);
    for file in outside.into_iter().flatten() {
        let how = "it lies outside the folder of the data, so it is shown nowhere unless its folder is \
                   named as that of the pictures";
        dataset.account.chose_for("picture", how, file.display());
    }
    // Of data that are pictures the list says which of them are not shown, and is empty where all are.
    if (is_listed && inside.iter().any(Option::is_some))
        || (is_refused && dataset.images.are_pictures())
    {
        dataset.image_files = inside;
    }
    dataset
}

fn files_of_pictures(dataset: &Dataset) -> Vec<Option<PathBuf>> {
    let file = |row| match dataset.images.picture(row) {
        Some(Picture::File(file)) => Some(file.clone()),
        _ => None,
    };
    let files: Vec<Option<PathBuf>> = (0..dataset.n_images()).map(file).collect();
    match files.iter().any(Option::is_some) {
        true => files,
        false => Vec::new(),
    }
}

/// The folders in which pictures of the data may lie: its own, those that data sets unpack their pictures into
/// beside it, and the one that was named.
fn roots(dataset: &Dataset, path: &Path, options: &ReadOptions) -> Vec<PathBuf> {
    let own = match path.is_dir() {
        true => path,
        false => source_file::folder_of(path),
    };
    let of_files = dataset
        .files
        .iter()
        .map(|file| source_file::folder_of(file));
    let own: BTreeSet<&Path> = iter::once(own).chain(of_files).collect();
    let beside = own.iter().flat_map(|folder| folders_beside(folder));
    let mut roots: Vec<PathBuf> = own.iter().map(|folder| folder.to_path_buf()).collect();
    roots.extend(beside);
    if let Pictures::In(folder) = &options.pictures {
        roots.push(folder.clone());
    }
    let full = roots.iter().filter_map(|folder| folder.canonicalize().ok());
    full.collect()
}

/// The folder of the file before, as most files share theirs with it.
#[derive(Default)]
struct LastFolder {
    folder: PathBuf,
    is_inside: bool,
}

impl LastFolder {
    fn is_inside(&mut self, file: &Path, roots: &[PathBuf]) -> bool {
        let lies_in = |full: std::io::Result<PathBuf>| {
            full.is_ok_and(|full| roots.iter().any(|root| full.starts_with(root)))
        };
        if file.is_symlink() {
            return lies_in(file.canonicalize());
        }
        let folder = source_file::folder_of(file);
        if folder != self.folder {
            self.is_inside = lies_in(folder.canonicalize());
            self.folder = folder.to_path_buf();
        }
        self.is_inside
    }
}
