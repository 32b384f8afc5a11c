//! The cleaned list of a parquet table that holds its pictures: their bytes come along.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use truepair_core::dataset::{Dataset, Picture};
use truepair_core::durable;
use truepair_core::error::Result;
use truepair_core::pair::Pair;

/// As Hugging Face data sets store images; `path` is the image's id.
const SCHEMA: &str = "message pairs {
    required group image {
        optional binary bytes;
        required binary path (STRING);
    }
    required binary caption (STRING);
}";

/// Pairs whose pictures are in memory together.
const GROUP_PAIRS: usize = 256;

/// Whether the images are values of a parquet column.
pub(super) fn hold_bytes(dataset: &Dataset) -> bool {
    let first = (dataset.n_images() > 0).then(|| dataset.images.picture(0));
    matches!(first.flatten(), Some(Picture::Value { .. }))
}

/// Writes one record a kept pair to `path`. Only the first record of an image has its bytes, and a
/// picture without bytes has none again.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn write(dataset: &Dataset, keep: &[bool], path: &Path) -> Result<()> {
    let texts = dataset.require_captions()?;
    let kept: Vec<Pair> = dataset.kept(keep).collect();
    durable::write_with(path, |file| {
        fill(file, dataset, texts, &kept).map_err(std::io::Error::other)
    })
}

fn fill(
    file: &mut (dyn Write + Send),
    dataset: &Dataset,
    texts: &[String],
    kept: &[Pair],
) -> Result<(), ParquetError> {
    let schema = Arc::new(parse_message_type(SCHEMA)?);
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(file, schema, properties)?;
    let mut written = HashSet::new();
    for pairs in kept.chunks(GROUP_PAIRS) {
        let bytes = pairs.iter().map(|pair| {
            let image = pair.image as usize;
            let picture = dataset
                .images
                .picture(image)
                .filter(|_| written.insert(image));
            picture.and_then(|picture| picture.read().ok())
        });
        let bytes: Vec<Option<Vec<u8>>> = bytes.collect();
        let text = |text: &str| Some(text.as_bytes().to_vec());
        let id = |pair: &Pair| text(&dataset.image_ids[pair.image as usize]);
        let caption = |pair: &Pair| text(&texts[pair.caption as usize]);
        let mut group = writer.next_row_group()?;
        column(&mut group, bytes, Presence::Optional)?;
        column(
            &mut group,
            pairs.iter().map(id).collect(),
            Presence::Required,
        )?;
        column(
            &mut group,
            pairs.iter().map(caption).collect(),
            Presence::Required,
        )?;
        group.close()?;
    }
    writer.close()?;
    Ok(())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    Required,
    Optional,
}

fn column<W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: Vec<Option<Vec<u8>>>,
    presence: Presence,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General(
            "the schema ends before the record".into(),
        ));
    };
    let present: Vec<i16> = values.iter().map(|value| value.is_some().into()).collect();
    let levels = (presence == Presence::Optional).then_some(&present[..]);
    let values: Vec<ByteArray> = values.into_iter().flatten().map(ByteArray::from).collect();
    column
        .typed::<ByteArrayType>()
        .write_batch(&values, levels, None)?;
    column.close()
}
