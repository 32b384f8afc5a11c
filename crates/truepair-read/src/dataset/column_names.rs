//! Names of columns that say what they hold.

use super::delimited::Look;

/// Names of image columns, best first; compared without case.
pub(super) const IMAGE_COLUMNS: &[&str] = &[
    "image",
    "image_path",
    "filepath",
    "file_path",
    "file_name",
    "filename",
    "image_file",
    "image_name",
    "img",
    "img_name",
    "picture",
    "photo",
    "img_path",
    "jpg",
    "png",
    "webp",
    "file",
    "path",
    "image_id",
    "url",
    "image_url",
    "video",
    "video_id",
    "id",
    "uid",
    "key",
];
/// Names of caption columns, best first; a number or an `s` may follow, and all columns of the
/// first name found are used.
pub(super) const CAPTION_COLUMNS: &[&str] = &[
    "caption",
    "caption_text",
    "image_caption",
    "title",
    "text",
    "sentence",
    "description",
    "alt_text",
    "alttext",
    "alt",
    "raw",
    "comment",
    "conversation",
];
pub(super) const SPLIT_COLUMNS: &[&str] = &["split", "subset", "partition"];

/// Whether the cells of a first line name columns of images and of captions, or are those of a record
/// of a picture and a text.
pub(super) fn look_like_pairs(cells: &[String]) -> bool {
    let is_image = |cell: &String| {
        IMAGE_COLUMNS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(cell))
    };
    let is_caption = |cell: &String| {
        CAPTION_COLUMNS
            .iter()
            .any(|known| is_of_captions(cell, known))
    };
    let looks = || cells.iter().map(|cell| Look::of_cell(cell));
    (cells.iter().any(is_image) && cells.iter().any(is_caption))
        || (looks().any(Look::is_of_images) && looks().any(|look| matches!(look, Look::Text)))
}

/// Whether a column of this name would be read unasked.
pub(super) fn is_known(name: &str) -> bool {
    let known = IMAGE_COLUMNS.iter().chain(SPLIT_COLUMNS);
    known.clone().any(|known| known.eq_ignore_ascii_case(name))
        || CAPTION_COLUMNS
            .iter()
            .any(|known| is_of_captions(name, known))
}

/// Whether `column` is `name`, with an `s` or a number behind it or not.
pub(super) fn is_of_captions(column: &str, name: &str) -> bool {
    let column = column.to_ascii_lowercase();
    let stem = column
        .trim_end_matches(|c: char| c.is_ascii_digit())
        .trim_end_matches(['_', ' ']);
    stem == name || stem.strip_suffix('s') == Some(name)
}
