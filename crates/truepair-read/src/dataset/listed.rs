//! An image and a caption as a table or a JSON file lists them.

use truepair_core::error::Place;

#[derive(Debug)]
pub(super) struct ListedImage {
    /// The user's name of the image.
    pub(super) id: String,
    /// Where its picture may lie, and another name under which its features may stand.
    /// `None` where that is the id itself.
    pub(super) file: Option<String>,
    /// Index of the record that names it first.
    pub(super) record: u32,
    pub(super) in_split: bool,
}

impl ListedImage {
    /// Where its picture may lie.
    pub(super) fn file(&self) -> &str {
        self.file.as_deref().unwrap_or(&self.id)
    }
}

#[derive(Debug)]
pub(super) struct ListedCaption {
    /// Index among the images of the list.
    pub(super) image: u32,
    pub(super) text: String,
    pub(super) place: Place,
    /// Index of its record.
    pub(super) record: u32,
}
