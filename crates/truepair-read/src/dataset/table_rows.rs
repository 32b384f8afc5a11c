//! Records of tables on their way into a listing: whose captions they are, and which split's.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use truepair_core::error::{Error, Place, Result};

use super::cell::Cell;
use super::listed::{ListedCaption, ListedImage};
use super::listing::Listing;
use super::naming::Naming;
use super::records::Source;
use super::selector::Selector;
use super::split_names::canonical;
use super::table_columns::Columns;
use crate::spelling::normal;

/// One or more files of records that follow one another.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a> {
    pub(super) sources: &'a [Source],
    pub(super) columns: &'a Columns,
    /// The split whose records count; all of them where the columns know no split.
    pub(super) split: &'a str,
}

impl Tables<'_> {
    /// Reads all records into `listing`, which knows already where pictures and features are.
    ///
    /// # Errors
    /// If a record cannot be read, or an id stands twice.
    pub(super) fn read(&self, listing: Listing) -> Result<Listing> {
        let mut rows = Rows {
            images: HashMap::new(),
            columns: self.columns,
            split: self.split,
            listing,
        };
        rows.listing.account.merge(self.columns.account.clone());
        let wanted = self.columns.wanted();
        for (shard, source) in self.sources.iter().enumerate() {
            rows.listing.starts.push(rows.listing.n_records);
            rows.listing.files.push(source.path().to_path_buf());
            let of_records = source.for_each(&wanted, |place, cells| {
                let path = source.path();
                rows.push(Origin { shard, path, place }, cells)
            })?;
            rows.listing.account.merge(of_records);
        }
        Ok(rows.listing)
    }
}

/// The splits that a column of these files names.
///
/// # Errors
/// If a file cannot be read.
pub(super) fn splits_in(sources: &[Source], column: &Selector) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for source in sources {
        source.for_each(std::slice::from_ref(column), |_, mut cells| {
            let name = split_name(cells.pop().unwrap_or(Cell::Missing));
            if !found.contains(&name) {
                found.insert(name);
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// Where a record stands.
#[derive(Debug, Clone, Copy)]
struct Origin<'a> {
    shard: usize,
    path: &'a Path,
    place: Place,
}

impl Origin<'_> {
    fn error(&self, problem: String, remedy: &str) -> Error {
        Error::data(self.path, self.place, problem, remedy)
    }
}

/// The cells of one record.
struct Parts {
    image: Cell,
    captions: Vec<Cell>,
    /// `None` where the table has no column of splits.
    split: Option<Cell>,
    /// `None` where no column of ids is named.
    id: Option<Cell>,
}

/// Records on their way into a listing.
struct Rows<'a> {
    /// Index and origin of the record that named each image first, by the name in its normal
    /// spelling.
    images: HashMap<String, (u32, Origin<'a>)>,
    columns: &'a Columns,
    split: &'a str,
    listing: Listing,
}

impl<'a> Rows<'a> {
    fn push(&mut self, origin: Origin<'a>, cells: Vec<Cell>) -> Result<()> {
        let record = u32::try_from(self.listing.n_records)
            .map_err(|_| origin.error("more than 2^32 records".into(), "split the data"))?;
        self.listing.n_records += 1;
        let Parts {
            image,
            captions,
            split,
            id,
        } = self.parts(cells);
        let in_split = split.is_none_or(|cell| split_name(cell) == self.split);
        let kind = if in_split {
            "row"
        } else {
            "row of other splits"
        };
        if self.listing.without_vector.contains(&record) {
            let why = "it has no embedding";
            self.listing.account.pass(kind, why, number(&origin));
            return Ok(());
        }
        let naming = match self.columns.image {
            Some(_) => self.listing.naming,
            None => Naming::Number,
        };
        let name = naming.name(record, image);
        let file = match name {
            Ok(Some(file)) => file,
            Ok(None) if id.is_some() => String::new(),
            Ok(None) => {
                let why = "it names no image";
                self.listing.account.pass(kind, why, number(&origin));
                return Ok(());
            }
            Err(names) => {
                let why = "it names several images";
                self.listing.account.pass(kind, why, names.join(" "));
                return Ok(());
            }
        };
        let id = match id {
            Some(id) => id.only().ok().flatten().unwrap_or_default(),
            None => file.clone(),
        };
        if id.trim().is_empty() {
            let remedy = "name the image, or remove the record";
            return Err(origin.error("the record names no image".into(), remedy));
        }
        let image = self.image(id, file, record, origin)?;
        self.listing.account.used(kind, 1);
        if in_split {
            self.listing.images[image as usize].in_split = true;
            self.caption(image, record, captions, origin)?;
        }
        Ok(())
    }

    /// The cells of a record by what they hold, in the order of [`Columns::wanted`].
    fn parts(&self, cells: Vec<Cell>) -> Parts {
        let has = |place: &Option<Selector>| place.is_some();
        let mut cells = cells.into_iter();
        let mut next = |is_there: bool| is_there.then(|| cells.next()).flatten();
        Parts {
            image: next(has(&self.columns.image)).unwrap_or(Cell::Missing),
            captions: (self.columns.captions.iter())
                .filter_map(|_| next(true))
                .collect(),
            split: next(has(&self.columns.split)),
            id: next(has(&self.columns.id)),
        }
    }

    /// The image `id`, which is new or was named by an earlier record.
    fn image(&mut self, id: String, file: String, record: u32, origin: Origin<'a>) -> Result<u32> {
        let key = normal(&id);
        if let Some((image, first)) = self.images.get(key.as_ref()) {
            if self.columns.id.is_some() {
                let problem = format!(
                    "id '{id}' already appears at {}",
                    first_place(first, &origin)
                );
                let remedy = "give every record an id of its own, or remove one of the two";
                return Err(origin.error(problem, remedy));
            }
            if self.listing.images[*image as usize].id != id {
                let how = "its name is written in two ways, which Unicode takes as the same";
                self.listing.account.chose_for("image", how, &id);
            }
            let known = &mut self.listing.images[*image as usize].record;
            let is_empty = |record| self.listing.without_picture.contains(record);
            if is_empty(known) && !is_empty(&record) {
                *known = record;
            }
            return Ok(*image);
        }
        let image = self.listing.images.len() as u32;
        self.images.insert(key.into_owned(), (image, origin));
        self.listing.images.push(ListedImage {
            id,
            file,
            record,
            in_split: false,
        });
        Ok(image)
    }

    fn caption(
        &mut self,
        image: u32,
        record: u32,
        cells: Vec<Cell>,
        origin: Origin<'a>,
    ) -> Result<()> {
        let texts = texts(cells);
        let given = self.listing.given.as_ref();
        if given.is_some_and(|given| given.captions.is_some()) && texts.len() > 1 {
            let problem = format!("{} captions for one caption embedding", texts.len());
            let remedy = "write one record per caption, or name one caption column";
            return Err(origin.error(problem, remedy));
        }
        let captions = texts.into_iter().map(|text| ListedCaption {
            image,
            text,
            place: origin.place,
            record,
        });
        self.listing.captions.extend(captions);
        Ok(())
    }
}

/// The captions of one record. Of several, those that are empty are absent, as tables have as many
/// columns as the image with the most captions; a record without any has one empty caption.
pub(super) fn texts(cells: Vec<Cell>) -> Vec<String> {
    let texts = cells.into_iter().flat_map(Cell::texts);
    let texts: Vec<String> = texts.filter(|text| !text.trim().is_empty()).collect();
    if texts.is_empty() {
        vec![String::new()]
    } else {
        texts
    }
}

/// Where the first of two records stands, for a message at the second.
fn first_place(first: &Origin<'_>, second: &Origin<'_>) -> String {
    let place = first.place.to_string();
    let place = place.trim_start_matches(':').trim();
    if first.shard == second.shard {
        return place.to_owned();
    }
    let name = first.path.file_name().unwrap_or_default();
    format!("{}, {place}", name.display())
}

fn number(origin: &Origin<'_>) -> String {
    origin
        .place
        .to_string()
        .trim_start_matches(':')
        .trim()
        .to_owned()
}

fn split_name(cell: Cell) -> String {
    match cell {
        Cell::One(text) => canonical(text.trim()).to_owned(),
        Cell::Missing | Cell::Many(_) => String::new(),
    }
}
