//! What may be asked in batches: the bodies of requests, checked and turned into what the service is given.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::refusal::{Reason, Refusal};
use crate::service::{
    Answer, Ask, CaptionInput, EmbedInput, ImageInput, PairInput, PairScore, Query, Service, Side,
};
use crate::settings::ServerSettings;

/// Hits when a query does not say how many.
const TOP: usize = 20;

/// One of the three things that are asked in batches.
pub(crate) trait Task: Send + Sync + 'static {
    /// One request's question, as JSON.
    type Body: DeserializeOwned + Send + 'static;
    /// The same, checked.
    type Input: Send + Sync + 'static;
    /// What is answered.
    type Output: Serialize + Send + 'static;
    /// Its name in metrics.
    const NAME: &'static str;

    /// Checks a body against the limits.
    fn check(body: Self::Body, settings: &ServerSettings) -> Result<Self::Input, Refusal>;

    /// Asks the service.
    fn run(service: &dyn Service, inputs: &[Self::Input]) -> Vec<Result<Self::Output, Refusal>>;
}

/// Search.
pub(crate) enum Search {}

/// A question: exactly one of `text`, `image` and `like`.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryBody {
    /// Words that say what is looked for.
    #[serde(default)]
    pub(crate) text: Option<String>,
    /// An encoded picture (JPEG, PNG, ...) in base64.
    #[serde(default)]
    #[schema(content_encoding = "base64")]
    pub(crate) image: Option<String>,
    /// Id of an item of the index: more like this.
    #[serde(default)]
    pub(crate) like: Option<String>,
    /// What kind of item is wanted.
    #[serde(default)]
    pub(crate) of: Side,
    /// Hits wanted, 20 unless given.
    #[serde(default)]
    #[schema(minimum = 1)]
    pub(crate) top: Option<usize>,
    /// A condition on columns, such as `source = "web" and width > 512`.
    #[serde(default)]
    pub(crate) filter: Option<String>,
    /// Share of queries, in (0, 1), whose answer set is to hold a right answer.
    #[serde(default)]
    #[schema(exclusive_minimum = 0, exclusive_maximum = 1)]
    pub(crate) coverage: Option<f64>,
}

impl Task for Search {
    type Body = QueryBody;
    type Input = Query;
    type Output = Answer;
    const NAME: &'static str = "search";

    fn check(body: QueryBody, settings: &ServerSettings) -> Result<Query, Refusal> {
        let ask = match (body.text, body.image, body.like) {
            (Some(text), None, None) => Ask::Text(words("text", text, settings)?),
            (None, Some(image), None) => Ask::Image(picture("image", &image)?),
            (None, None, Some(id)) => Ask::Like(words("like", id, settings)?),
            _ => {
                return Err(Refusal::new(
                    Reason::BadQuery,
                    "a query has exactly one of `text`, `image` and `like`",
                    "ask by words, by a picture or by an id",
                ));
            }
        };
        let query = Query {
            ask,
            of: body.of,
            top: body.top.unwrap_or(TOP.min(settings.max_top)),
            filter: body.filter.filter(|filter| !filter.trim().is_empty()),
            coverage: body.coverage,
        };
        checked(query, settings)
    }

    fn run(service: &dyn Service, inputs: &[Query]) -> Vec<Result<Answer, Refusal>> {
        service.search(inputs)
    }
}

/// A query within the limits.
pub(crate) fn checked(query: Query, settings: &ServerSettings) -> Result<Query, Refusal> {
    if query.top == 0 || query.top > settings.max_top {
        return Err(Refusal::new(
            Reason::BadQuery,
            format!("`top` is {}, expected 1 to {}", query.top, settings.max_top),
            "ask for fewer hits",
        ));
    }
    if let Some(filter) = &query.filter {
        short_enough("filter", filter, settings)?;
    }
    match query.coverage {
        Some(coverage) if !(coverage > 0.0 && coverage < 1.0) => Err(Refusal::new(
            Reason::BadQuery,
            format!("`coverage` is {coverage}, expected a number between 0 and 1"),
            "0.9 asks for answer sets that hold a right answer for nine queries of ten",
        )),
        _ => Ok(query),
    }
}

/// Embedding.
pub(crate) enum Embed {}

/// What is to be embedded: a text or a picture.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmbedBody {
    /// A caption.
    #[serde(default)]
    text: Option<String>,
    /// An encoded picture in base64.
    #[serde(default)]
    #[schema(content_encoding = "base64")]
    image: Option<String>,
}

/// An embedding.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Embedding {
    /// As many numbers as the description says.
    embedding: Vec<f32>,
}

impl Task for Embed {
    type Body = EmbedBody;
    type Input = EmbedInput;
    type Output = Embedding;
    const NAME: &'static str = "embed";

    fn check(body: EmbedBody, settings: &ServerSettings) -> Result<EmbedInput, Refusal> {
        match (body.text, body.image) {
            (Some(text), None) => Ok(EmbedInput::Text(words("text", text, settings)?)),
            (None, Some(image)) => Ok(EmbedInput::Image(picture("image", &image)?)),
            _ => Err(Refusal::new(
                Reason::BadQuery,
                "an input has exactly one of `text` and `image`",
                "give one input for each",
            )),
        }
    }

    fn run(service: &dyn Service, inputs: &[EmbedInput]) -> Vec<Result<Embedding, Refusal>> {
        let embedded = service.embed(inputs).into_iter();
        embedded
            .map(|result| result.map(|embedding| Embedding { embedding }))
            .collect()
    }
}

/// Scoring of pairs.
pub(crate) enum Score {}

/// A pair: one of `image` and `image_id`, and one of `caption` and `caption_id`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PairBody {
    /// An encoded picture in base64.
    #[serde(default)]
    #[schema(content_encoding = "base64")]
    image: Option<String>,
    /// An image of the index.
    #[serde(default)]
    image_id: Option<String>,
    /// The caption's words.
    #[serde(default)]
    caption: Option<String>,
    /// A caption of the index.
    #[serde(default)]
    caption_id: Option<String>,
}

impl Task for Score {
    type Body = PairBody;
    type Input = PairInput;
    type Output = PairScore;
    const NAME: &'static str = "score";

    fn check(body: PairBody, settings: &ServerSettings) -> Result<PairInput, Refusal> {
        let image = match (body.image, body.image_id) {
            (Some(image), None) => ImageInput::Bytes(picture("image", &image)?),
            (None, Some(id)) => ImageInput::Id(words("image_id", id, settings)?),
            _ => return Err(not_one_pair()),
        };
        let caption = match (body.caption, body.caption_id) {
            (Some(text), None) => CaptionInput::Text(words("caption", text, settings)?),
            (None, Some(id)) => CaptionInput::Id(words("caption_id", id, settings)?),
            _ => return Err(not_one_pair()),
        };
        Ok(PairInput { image, caption })
    }

    fn run(service: &dyn Service, inputs: &[PairInput]) -> Vec<Result<PairScore, Refusal>> {
        service.score(inputs)
    }
}

fn not_one_pair() -> Refusal {
    Refusal::new(
        Reason::BadQuery,
        "a pair has exactly one of `image` and `image_id`, and exactly one of `caption` and `caption_id`",
        "give the image as base64 or by its id, the caption by its words or by its id",
    )
}

/// A text that is there and not too long.
fn words(name: &str, text: String, settings: &ServerSettings) -> Result<String, Refusal> {
    if text.trim().is_empty() {
        return Err(Refusal::new(
            Reason::BadQuery,
            format!("`{name}` is empty"),
            "give at least one word",
        ));
    }
    short_enough(name, &text, settings)?;
    Ok(text)
}

fn short_enough(name: &str, text: &str, settings: &ServerSettings) -> Result<(), Refusal> {
    let length = text.chars().count();
    if length > settings.max_text {
        return Err(Refusal::new(
            Reason::TooLarge,
            format!(
                "`{name}` has {length} characters, expected at most {}",
                settings.max_text
            ),
            "shorten it",
        ));
    }
    Ok(())
}

fn picture(name: &str, text: &str) -> Result<Vec<u8>, Refusal> {
    match STANDARD.decode(text) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        Ok(_) => Err(Refusal::new(
            Reason::BadPicture,
            format!("`{name}` is empty"),
            "send a picture file's bytes in base64",
        )),
        Err(error) => Err(Refusal::new(
            Reason::BadPicture,
            format!("`{name}` is not base64: {error}"),
            "use the standard alphabet with padding, no line breaks and no `data:` prefix",
        )),
    }
}
