//! Records of tables on their way into a listing: whose captions they are, and which split's.

use std::collections::BTreeSet;
use std::path::Path;

use truepair_core::error::{Error, Place, Result};

use super::cell::Cell;
use super::image_index::ImageIndex;
use super::listed::{ListedCaption, ListedImage};
use super::listing::Listing;
use super::naming::Naming;
use super::records::Source;
use super::selector::Selector;
use super::split_names::canonical;
use super::table_columns::Columns;

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
            index: ImageIndex::default(),
            firsts: Vec::new(),
            used: None,
            columns: self.columns,
            split: self.split,
            listing,
        };
        rows.listing.account.merge(self.columns.account.clone());
        let wanted = self.columns.wanted();
        for (shard, source) in self.sources.iter().enumerate() {
            rows.listing.starts.push(rows.listing.n_records);
            rows.listing.files.push(source.path().to_path_buf());
            let of_records = source.for_each_row(&wanted, |place, cells| {
                let path = source.path();
                rows.push(Origin { shard, path, place }, cells)
            })?;
            rows.note_used();
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
struct Parts<'a> {
    image: Cell,
    captions: &'a mut [Cell],
    /// `None` where the table has no column of splits.
    split: Option<Cell>,
    /// `None` where no column of ids is named.
    id: Option<Cell>,
}

/// Records on their way into a listing.
struct Rows<'a> {
    index: ImageIndex,
    /// Where the record stands that named each image first; only where a column of ids is named, of
    /// which none may stand twice.
    firsts: Vec<Origin<'a>>,
    /// The records that were used last, as long as they are of one kind: they are noted together.
    used: Option<(&'static str, usize)>,
    columns: &'a Columns,
    split: &'a str,
    listing: Listing,
}

impl<'a> Rows<'a> {
    fn push(&mut self, origin: Origin<'a>, cells: &mut [Cell]) -> Result<()> {
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
        let (id, file) = match id {
            Some(id) => (id.only().ok().flatten().unwrap_or_default(), Some(file)),
            None => (file, None),
        };
        if id.trim().is_empty() {
            let remedy = "name the image, or remove the record";
            return Err(origin.error("the record names no image".into(), remedy));
        }
        let image = self.image(id, file, record, origin)?;
        self.use_one(kind);
        if in_split {
            self.listing.images[image as usize].in_split = true;
            self.caption(image, record, captions, origin)?;
        }
        Ok(())
    }

    /// One more record of this kind is used.
    fn use_one(&mut self, kind: &'static str) {
        match &mut self.used {
            Some((known, n)) if *known == kind => *n += 1,
            _ => {
                self.note_used();
                self.used = Some((kind, 1));
            }
        }
    }

    /// Notes the records that were used last.
    fn note_used(&mut self) {
        if let Some((kind, n)) = self.used.take() {
            self.listing.account.used(kind, n);
        }
    }

    /// The cells of a record by what they hold, in the order of [`Columns::wanted`].
    fn parts<'c>(&self, cells: &'c mut [Cell]) -> Parts<'c> {
        let has = |place: &Option<Selector>| usize::from(place.is_some());
        let (image, rest) = cells.split_at_mut(has(&self.columns.image));
        let (captions, rest) = rest.split_at_mut(self.columns.captions.len());
        let (split, id) = rest.split_at_mut(has(&self.columns.split));
        Parts {
            image: image.first_mut().map(std::mem::take).unwrap_or_default(),
            captions,
            split: split.first_mut().map(std::mem::take),
            id: id.first_mut().map(std::mem::take),
        }
    }

    /// The image `id`, which is new or was named by an earlier record.
    fn image(
        &mut self,
        id: String,
        file: Option<String>,
        record: u32,
        origin: Origin<'a>,
    ) -> Result<u32> {
        let Some(image) = self.index.find_or_place(&id, &self.listing.images) else {
            let image = self.listing.images.len() as u32;
            if self.columns.id.is_some() {
                self.firsts.push(origin);
            }
            self.listing.images.push(ListedImage {
                id,
                file,
                record,
                in_split: false,
            });
            return Ok(image);
        };
        if let Some(first) = self.firsts.get(image as usize) {
            let problem = format!(
                "id '{id}' already appears at {}",
                first_place(first, &origin)
            );
            let remedy = "give every record an id of its own, or remove one of the two";
            return Err(origin.error(problem, remedy));
        }
        let known = &mut self.listing.images[image as usize];
        if known.id != id {
            let how = "its name is written in two ways, which Unicode takes as the same";
            self.listing.account.chose_for("image", how, &id);
        }
        let is_empty = |record| self.listing.without_picture.contains(record);
        if is_empty(&known.record) && !is_empty(&record) {
            known.record = record;
        }
        Ok(image)
    }

    fn caption(
        &mut self,
        image: u32,
        record: u32,
        cells: &mut [Cell],
        origin: Origin<'a>,
    ) -> Result<()> {
        let mut push = |text| {
            self.listing.captions.push(ListedCaption {
                image,
                text,
                place: origin.place,
                record,
            });
        };
        if let [Cell::One(text)] = cells
            && !text.trim().is_empty()
        {
            push(std::mem::take(text));
            return Ok(());
        }
        let texts = texts(cells.iter_mut().map(std::mem::take));
        let given = self.listing.given.as_ref();
        if given.is_some_and(|given| given.captions.is_some()) && texts.len() > 1 {
            let problem = format!("{} captions for one caption embedding", texts.len());
            let remedy = "write one record per caption, or name one caption column";
            return Err(origin.error(problem, remedy));
        }
        texts.into_iter().for_each(push);
        Ok(())
    }
}

/// The captions of one record; one without any has one empty caption.
pub(super) fn texts(cells: impl IntoIterator<Item = Cell>) -> Vec<String> {
    let texts: Vec<String> = cells.into_iter().flat_map(Cell::captions).collect();
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

/// The split that a record names; nothing where it names none.
pub(super) fn split_name(cell: Cell) -> String {
    match cell {
        Cell::One(text) => canonical(text.trim()).to_owned(),
        Cell::Missing | Cell::Many(_) | Cell::Gapped(_) => String::new(),
    }
}
