//! Pairs of embeddings as a parquet table of two columns of vectors, for lists whose pairs are not
//! those of their own table any more.

use std::path::Path;
use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, FloatType};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use truepair_core::dataset::{Dataset, Features};
use truepair_core::durable;
use truepair_core::error::Result;

/// One vector a record.
const VECTOR: &str = "(LIST) { repeated group list { required float element; } }";

/// Pairs that are in memory together.
const GROUP_PAIRS: usize = 4096;

/// Writes the pairs `order` of `dataset` with the vectors of their images and captions.
///
/// # Errors
/// If a vector cannot be read, or the file not written.
pub(super) fn write_vectors(dataset: &Dataset, order: &[usize], target: &Path) -> Result<()> {
    durable::write_with(target, |file| {
        let mut fill = || -> std::result::Result<(), ParquetError> {
            let captions = match &dataset.caption_features {
                Some(_) => format!("required group text_embedding {VECTOR}"),
                None => String::new(),
            };
            let schema = Arc::new(parse_message_type(&format!(
                "message pairs {{
                    required binary id (STRING);
                    optional binary caption (STRING);
                    required group image_embedding {VECTOR}
                    {captions}
                }}"
            ))?);
            let properties = Arc::new(WriterProperties::builder().build());
            let mut writer = SerializedFileWriter::new(&mut *file, schema, properties)?;
            for pairs in order.chunks(GROUP_PAIRS) {
                let mut group = writer.next_row_group()?;
                write_group(dataset, pairs, &mut group)?;
                group.close()?;
            }
            writer.close()?;
            Ok(())
        };
        fill().map_err(std::io::Error::other)
    })
}

fn write_group<W: std::io::Write + Send>(
    dataset: &Dataset,
    pairs: &[usize],
    group: &mut SerializedRowGroupWriter<'_, W>,
) -> std::result::Result<(), ParquetError> {
    let pairs: Vec<_> = pairs.iter().map(|pair| dataset.pairs[*pair]).collect();
    let ids = pairs
        .iter()
        .map(|pair| dataset.image_ids[pair.image as usize].as_str());
    texts(group, &ids.map(Some).collect::<Vec<_>>(), None)?;
    let captions = dataset.captions.as_ref();
    let text = |caption: u32| captions.map(|texts| texts[caption as usize].as_str());
    let captions: Vec<Option<&str>> = pairs.iter().map(|pair| text(pair.caption)).collect();
    let present: Vec<i16> = captions.iter().map(|text| text.is_some().into()).collect();
    texts(group, &captions, Some(&present))?;
    let images: Vec<u32> = pairs.iter().map(|pair| pair.image).collect();
    vectors(group, &dataset.images, &images)?;
    if let Some(named) = &dataset.caption_features {
        let captions: Vec<u32> = pairs.iter().map(|pair| pair.caption).collect();
        vectors(group, &named.features, &captions)?;
    }
    Ok(())
}

fn texts<W: std::io::Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    texts: &[Option<&str>],
    levels: Option<&[i16]>,
) -> std::result::Result<(), ParquetError> {
    let values: Vec<ByteArray> = texts
        .iter()
        .flatten()
        .map(|text| ByteArray::from(*text))
        .collect();
    if let Some(mut column) = group.next_column()? {
        column
            .typed::<ByteArrayType>()
            .write_batch(&values, levels, None)?;
        column.close()?;
    }
    Ok(())
}

fn vectors<W: std::io::Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    features: &Features,
    rows: &[u32],
) -> std::result::Result<(), ParquetError> {
    let values = features
        .gather(rows)
        .map_err(|cause| ParquetError::General(cause.to_string()))?;
    let dim = features.row_len();
    let def = vec![1i16; values.len()];
    let rep: Vec<i16> = (0..values.len()).map(|at| (at % dim > 0).into()).collect();
    if let Some(mut column) = group.next_column()? {
        column
            .typed::<FloatType>()
            .write_batch(&values, Some(&def), Some(&rep))?;
        column.close()?;
    }
    Ok(())
}
