//! What is served: the trait that an index, a run or a pair of encoders implements, and the words it speaks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::refusal::Refusal;

/// Answers queries for images and captions. Its functions block, are called from several threads at once, and get
/// whatever arrived together: a batch should cost less than its parts.
///
/// Every function that takes a slice gives exactly one result for each of its items, in order. A panic is reported
/// to whoever asked, and to nobody else.
pub trait Service: Send + Sync {
    /// What this service holds and can do. Asked once when it is opened, and kept.
    fn describe(&self) -> Description;

    /// The best hits of each query.
    fn search(&self, queries: &[Query]) -> Vec<Result<Answer, Refusal>>;

    /// The embedding of each input: [`Description::dimensions`] numbers.
    fn embed(&self, inputs: &[EmbedInput]) -> Vec<Result<Vec<f32>, Refusal>>;

    /// How well each image and caption go together.
    fn score(&self, pairs: &[PairInput]) -> Vec<Result<PairScore, Refusal>>;

    /// One item; `None` when there is none of that id.
    fn item(&self, side: Side, id: &str) -> Result<Option<ItemView>, Refusal>;

    /// The picture of an image as it was given; `None` when there is none.
    fn picture(&self, id: &str) -> Result<Option<Picture>, Refusal>;

    /// The picture of an image, no side longer than `size` pixels; `None` when there is none. The server keeps what it
    /// was given, so that a thumbnail is made once.
    fn thumbnail(&self, id: &str, size: u32) -> Result<Option<Picture>, Refusal>;
}

/// One of the two sides of the data.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Images.
    #[default]
    Images,
    /// Captions.
    Captions,
}

/// What a service holds and can do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Description {
    /// Name of the data, for people.
    pub name: String,
    /// Version of the index: another one after every change.
    pub version: String,
    /// Images that can be found.
    pub images: u64,
    /// Captions that can be found.
    pub captions: u64,
    /// Numbers of an embedding; absent when the matcher has none.
    pub dimensions: Option<u32>,
    /// Ways to ask that are answered.
    pub queries: Vec<QueryKind>,
    /// Whether `/v1/embed` is answered.
    pub embeds: bool,
    /// Whether `/v1/score` is answered.
    pub scores: bool,
    /// Whether `/v1/score` says how probably a pair is mismatched.
    pub judges: bool,
    /// Whether there are pictures to show.
    pub pictures: bool,
    /// Columns that a filter may name.
    pub columns: Vec<Column>,
    /// Whether hits carry a probability of relevance.
    pub calibrated: bool,
    /// Whether a query may ask for an answer set with a coverage.
    pub coverage: bool,
}

/// A way to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueryKind {
    /// By words.
    Text,
    /// By a picture.
    Image,
    /// By an item of the index.
    Like,
}

/// A column of metadata.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Column {
    /// As a filter names it.
    pub name: String,
    /// What its values are.
    pub kind: ColumnKind,
    /// A few values as examples, as a filter writes them; may be empty.
    pub examples: Vec<String>,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// Text.
    Text,
    /// Numbers, with or without a fraction.
    Number,
    /// True or false.
    Boolean,
}

/// One question.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// What is looked for.
    pub ask: Ask,
    /// What kind of item is wanted.
    pub of: Side,
    /// Hits wanted, at least 1.
    pub top: usize,
    /// A condition on columns, as the user wrote it.
    pub filter: Option<String>,
    /// Share of queries, in (0, 1), whose answer set is to hold a right answer.
    pub coverage: Option<f64>,
}

/// What is looked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Ask {
    /// What these words say.
    Text(String),
    /// What this encoded picture shows. The bytes are unchecked.
    Image(Vec<u8>),
    /// What resembles the item of this id: of the side that is wanted if there is one, else of the other.
    Like(String),
}

/// What is found for a query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Answer {
    /// Best first.
    pub hits: Vec<Hit>,
    /// Probability, [0, 1], that nothing in the index answers the query, were queries with and without an answer
    /// equally frequent.
    pub p_nothing: Option<f64>,
    /// Whether the answer is that nothing here matches; the hits are then the nearest of what does not.
    pub nothing_here: Option<bool>,
    /// Whether the hits are those of an exhaustive search.
    pub exact: bool,
    /// Version of the index that answered.
    pub version: String,
}

/// One item found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Hit {
    /// The item.
    pub id: String,
    /// From 1.
    pub rank: u64,
    /// Larger is more similar; comparable within one query only.
    pub score: f64,
    /// Probability, [0, 1], that the item answers the query; absent when the index is not calibrated.
    pub p_relevant: Option<f64>,
    /// Whether the item belongs to the answer set of the coverage asked for.
    pub in_answer: Option<bool>,
    /// The caption, or one of the image's captions.
    pub text: String,
    /// Whether there is a picture under `/v1/items/{id}/image`.
    pub has_picture: bool,
    /// The captions nearest to the item, nearest first.
    pub why: Vec<String>,
    /// Metadata by column.
    pub columns: BTreeMap<String, Cell>,
}

/// A value of a column.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Cell {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// Text.
    Text(String),
}

impl PartialSchema for Cell {
    /// By hand, because a whole number is a number too, which alternatives that exclude each other do not allow.
    fn schema() -> RefOr<Schema> {
        let kinds = SchemaType::from_iter([Type::Boolean, Type::Number, Type::String]);
        let cell = ObjectBuilder::new().schema_type(kinds);
        cell.description(Some("A value of a column.")).into()
    }
}

impl ToSchema for Cell {}

/// What is to be embedded.
#[derive(Debug, Clone, PartialEq)]
pub enum EmbedInput {
    /// A caption.
    Text(String),
    /// An encoded picture. The bytes are unchecked.
    Image(Vec<u8>),
}

/// An image and a caption to be scored.
#[derive(Debug, Clone, PartialEq)]
pub struct PairInput {
    /// The image.
    pub image: ImageInput,
    /// The caption.
    pub caption: CaptionInput,
}

/// An image of a pair.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageInput {
    /// An image of the index.
    Id(String),
    /// An encoded picture. The bytes are unchecked.
    Bytes(Vec<u8>),
}

/// A caption of a pair.
#[derive(Debug, Clone, PartialEq)]
pub enum CaptionInput {
    /// A caption of the index.
    Id(String),
    /// Its words.
    Text(String),
}

/// How well an image and a caption go together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct PairScore {
    /// Larger is more similar.
    pub score: f64,
    /// Probability, [0, 1], that the pair is mismatched; absent without a calibration.
    pub p_mismatched: Option<f64>,
    /// The pair in a word: `matched`, `mismatched`, `unknown`, ...
    pub judgment: String,
}

/// Everything that is shown of one item.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct ItemView {
    /// The item.
    pub id: String,
    /// The caption, or one of the image's captions.
    pub text: String,
    /// Whether there is a picture under `/v1/items/{id}/image`.
    pub has_picture: bool,
    /// The captions nearest to the item, nearest first.
    pub why: Vec<String>,
    /// Metadata by column.
    pub columns: BTreeMap<String, Cell>,
}

/// An encoded picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// Such as `image/jpeg`. What is no image is sent as bytes to be saved.
    pub media_type: String,
}
