//! Image features in a file of their own, for the formats that list images without features.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use truepair_core::dataset::{Account, Features};
use truepair_core::error::{Error, Place, Result};
use truepair_core::source_file;

use super::ReadOptions;
use super::leftovers::{entries, is_hidden};
use super::records::unpacked;
use super::sides::{CAPTION_NAMES, IMAGE_NAMES, account_for_arrays};
use crate::archive::{Archive, problem_of};
use crate::lines::{read_lines, refuse_duplicates};
use crate::npy_features::{open_npy, scale_beside};
use crate::shards::{ShardSet, set_of, sets_among};

/// Features in row order or by id.
#[derive(Debug)]
pub(super) struct GivenFeatures {
    pub(super) images: Features,
    /// Row of each id; `None` = the rows are in the order of the images.
    pub(super) rows: Option<HashMap<String, u32>>,
    /// Caption embeddings from the same file.
    pub(super) captions: Option<Features>,
    /// The features' own file first.
    pub(super) files: Vec<PathBuf>,
    pub(super) account: Account,
}

impl GivenFeatures {
    /// Opens the file, shard or folder of shards that the caller named, or what lies beside `listing`
    /// under its name.
    ///
    /// # Errors
    /// If there is none, it holds no features, a shard is missing, or several files could be meant.
    pub(super) fn open(options: &ReadOptions, listing: &Path) -> Result<Self> {
        let files = match &options.features {
            Some(path) if path.is_dir() => shards_in(path)?,
            Some(path) => set_of(path)?.unwrap_or_else(|| vec![path.clone()]),
            None => find_beside(listing)?,
        };
        let open = |file: &PathBuf| match Archive::has_ending(file) {
            true => from_archive(file),
            false => from_npy(file),
        };
        let mut parts = files.iter().map(open).collect::<Result<Vec<Self>>>()?;
        match parts.len() {
            1 => Ok(parts.pop().expect("one part")),
            _ => Self::join(parts),
        }
    }

    /// Features whose rows follow one another.
    fn join(parts: Vec<Self>) -> Result<Self> {
        let all = |of: fn(&Self) -> Option<&Features>| -> Result<Option<Features>> {
            let features: Vec<Features> = parts.iter().filter_map(of).cloned().collect();
            match features.len() {
                0 => Ok(None),
                n if n == parts.len() => Features::concat(&features).map(Some),
                n => Err(Error::data(
                    &parts[0].files[0],
                    Place::Whole,
                    format!(
                        "only {n} of {} shards hold embeddings of captions",
                        parts.len()
                    ),
                    "write every shard with the same arrays",
                )),
            }
        };
        let images = all(|part| Some(&part.images))?.expect("every shard has images");
        let captions = all(|part| part.captions.as_ref())?;
        let mut account = Account::default();
        account.used("shard", parts.len());
        let (mut rows, mut files, mut first) = (HashMap::new(), Vec::new(), 0);
        let n_keyed = parts.iter().filter(|part| part.rows.is_some()).count();
        if n_keyed != 0 && n_keyed != parts.len() {
            return Err(Error::data(
                &parts[0].files[0],
                Place::Whole,
                format!("only {n_keyed} of {} shards hold ids", parts.len()),
                "write every shard with the ids of its rows, or none",
            ));
        }
        for part in parts {
            for (id, row) in part.rows.into_iter().flatten() {
                if rows.insert(id.clone(), first + row).is_some() {
                    return Err(Error::data(
                        &part.files[0],
                        Place::Row(row.into()),
                        format!("id '{id}' already appears in a shard before"),
                        "write every image once",
                    ));
                }
            }
            first += part.images.len() as u32;
            files.extend(part.files);
            account.merge(part.account);
        }
        Ok(Self {
            images,
            rows: (n_keyed > 0).then_some(rows),
            captions,
            files,
            account,
        })
    }
}

/// The files of features in a folder: one, or shards of one set.
fn shards_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = entries(folder)?;
    files.retain(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let is_npy = file.extension().is_some_and(|ending| ending == "npy");
        file.is_file() && !is_hidden(&name) && (is_npy || Archive::has_ending(file))
    });
    let mut sets = sets_among(&files);
    match (files.len(), sets.len()) {
        (1, _) => Ok(files),
        (n, 1) if sets[0].len() == n => sets.remove(0).in_order(),
        (0, _) => Err(Error::data(
            folder,
            Place::Whole,
            "no file of features is in it",
            "name a .npy, .npz or .safetensors file, or a folder of their shards",
        )),
        _ => Err(several(folder, &files)),
    }
}

/// What lies beside a list under its name: one file, or shards of one set.
///
/// # Errors
/// If there is none, or several could be meant.
pub(super) fn find_beside(listing: &Path) -> Result<Vec<PathBuf>> {
    let stem = unpacked(listing).file_stem().unwrap_or_default();
    let stem = stem.to_string_lossy();
    let names = [".npy", "_ims.npy", ".npz", ".safetensors"].map(|end| format!("{stem}{end}"));
    let whole = names.iter().map(|name| listing.with_file_name(name));
    let mut found: Vec<Vec<PathBuf>> = whole
        .filter(|path| path.is_file())
        .map(|path| vec![path])
        .collect();
    let folder = source_file::folder_of(listing);
    let mut beside = entries(folder)?;
    beside.retain(|file| {
        let is_npy = file.extension().is_some_and(|ending| ending == "npy");
        (is_npy || Archive::has_ending(file)) && file.is_file()
    });
    let sets = sets_among(&beside).into_iter();
    let of_stem = |set: &ShardSet| set.is_of_several() && set.stem == stem;
    for set in sets.filter(of_stem) {
        found.push(set.in_order()?);
    }
    if found.len() > 1 {
        let firsts: Vec<PathBuf> = found.iter().map(|files| files[0].clone()).collect();
        return Err(several(listing, &firsts));
    }
    found.pop().ok_or_else(|| {
        Error::data(
            listing,
            Place::Whole,
            format!(
                "it names images but no features; looked beside it for {}",
                names.join(", ")
            ),
            "name the file of image features (rows in the order of the images, or keyed by id), or make some from \
             the pictures with `truepair embed`",
        )
    })
}

fn several(path: &Path, files: &[PathBuf]) -> Error {
    let names = files.iter().take(5).map(|file| {
        let name = file.file_name().unwrap_or_default();
        name.display().to_string()
    });
    let names: Vec<String> = names.collect();
    Error::data(
        path,
        Place::Whole,
        format!(
            "several files could hold its features: {}",
            names.join(", ")
        ),
        "name the one that is meant",
    )
}

fn from_npy(path: &Path) -> Result<GivenFeatures> {
    let mut account = Account::default();
    let images = open_npy(path, &mut account)?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let ids_file = path.with_file_name(format!("{stem}_ids.txt"));
    let mut files = vec![path.to_path_buf()];
    files.extend(scale_beside(path));
    let mut rows = None;
    if ids_file.is_file() {
        let ids = read_lines(&ids_file)?;
        refuse_duplicates(&ids_file, &ids, |n| Place::Line(n as u64 + 1))?;
        rows = Some(rows_of(&ids_file, ids, images.len())?);
        files.push(ids_file);
    }
    Ok(GivenFeatures {
        images,
        rows,
        captions: None,
        files,
        account,
    })
}

fn from_archive(path: &Path) -> Result<GivenFeatures> {
    let mut archive = Archive::open(path)?;
    let names = archive.names();
    let known = |wanted: &[&'static str]| {
        wanted
            .iter()
            .find(|name| names.iter().any(|found| found == *name))
            .copied()
    };
    let files = vec![path.to_path_buf()];
    let mut refused = Account::default();
    let plain;
    let one = match known(IMAGE_NAMES).or_else(|| known(&["features"])) {
        Some(name) => name,
        None => {
            plain = plain_arrays(&mut archive, &names, &mut refused);
            match plain.as_slice() {
                [only] => only.as_str(),
                _ => return keyed_members(archive, plain, files, refused),
            }
        }
    };
    let images = archive.features(one)?;
    let ids = known(&["ids", "image_ids"]);
    let of_captions = known(CAPTION_NAMES);
    let mut account = Account::default();
    let used: Vec<&str> = [Some(one), ids, of_captions]
        .into_iter()
        .flatten()
        .collect();
    account_for_arrays(&mut account, path, &used)?;
    if names.len() > 1 && known(IMAGE_NAMES).is_none() && one != "features" {
        account.chose(format!(
            "features are array '{one}', the only one of plain numbers"
        ));
    }
    let rows = match ids {
        Some(ids) => {
            let ids = archive.member(ids)?.texts()?;
            refuse_duplicates(path, &ids, |n| Place::Row(n as u64))?;
            Some(rows_of(path, ids, images.len())?)
        }
        None => None,
    };
    let captions = of_captions.map(|name| archive.features(name)).transpose()?;
    Ok(GivenFeatures {
        images,
        rows,
        captions,
        files,
        account,
    })
}

/// The arrays that could be features; texts, pickled objects and the like are noted and left out.
fn plain_arrays(archive: &mut Archive, names: &[String], refused: &mut Account) -> Vec<String> {
    let mut plain = Vec::new();
    for name in names {
        match archive.member(name) {
            Ok(member) if member.is_of_texts() => refused.pass("array", "it holds texts", name),
            Ok(_) => plain.push(name.clone()),
            Err(error) => refused.pass("array", &problem_of(&error), name),
        }
    }
    plain.retain(|name| !["ids", "image_ids"].contains(&name.as_str()));
    plain
}

/// A file with one array per image, called by its id.
fn keyed_members(
    mut archive: Archive,
    names: Vec<String>,
    files: Vec<PathBuf>,
    mut account: Account,
) -> Result<GivenFeatures> {
    if names.is_empty() {
        return Err(Error::data(
            &files[0],
            Place::Whole,
            format!(
                "no array of plain numbers is in it: {}",
                account.lines().join("; ")
            ),
            "save the features as an array 'features' [n, d] and their ids as texts 'ids' [n]",
        ));
    }
    let mut rows = Vec::with_capacity(names.len());
    for name in &names {
        let mut member = archive.member(name)?;
        // A vector [d] or regions [r, d] are one row.
        member.header.shape.insert(0, 1);
        rows.push(Features::from_encoded(
            &member.path,
            member.bytes,
            &member.header,
        )?);
    }
    let images = Features::concat(&rows)?;
    account.used("array", names.len());
    for name in archive.other_members() {
        account.pass("member", "it is not an array by its name", name);
    }
    let rows = rows_of(&files[0], names, images.len())?;
    Ok(GivenFeatures {
        images,
        rows: Some(rows),
        captions: None,
        files,
        account,
    })
}

fn rows_of(path: &Path, ids: Vec<String>, n_rows: usize) -> Result<HashMap<String, u32>> {
    if ids.len() != n_rows {
        return Err(Error::data(
            path,
            Place::Whole,
            format!("{} ids for {n_rows} rows of features", ids.len()),
            "write one id per row",
        ));
    }
    Ok(ids.into_iter().zip(0..).collect())
}
