//! A made-up gallery: shapes of some color in some light, found by the words of their captions. Tests serve it, and
//! so does the example `fake`.
#![allow(dead_code, reason = "each test file uses a part of it")]

mod drawing;
mod filter;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use truepair_serve::{
    Answer, Ask, CaptionInput, Cell, Column, ColumnKind, Description, EmbedInput, Hit, ImageInput,
    ItemView, PairInput, PairScore, Picture, Query, QueryKind, Reason, Refusal, Service, Side,
};

/// A caption that would run if a page took it for markup, and an id that would leave a folder.
pub(crate) const HOSTILE: (&str, &str) = (
    "../..\\\"<b>id%2F",
    "<script>document.title='broken'</script><img src=x onerror=\"document.title='broken'\"> a grey square",
);

const SOURCES: &[&str] = &["web", "camera", "scan"];

pub(crate) struct Gallery {
    pub(crate) version: String,
    /// How long a batch takes.
    pub(crate) slow: Duration,
    /// Sizes of the batches of searches that came.
    pub(crate) batches: Mutex<Vec<usize>>,
    /// Thumbnails that were made.
    pub(crate) thumbnails: AtomicUsize,
    items: Vec<Item>,
}

struct Item {
    id: String,
    text: String,
    words: Vec<&'static str>,
    columns: BTreeMap<String, Cell>,
    scene: Option<drawing::Scene>,
}

impl Gallery {
    pub(crate) fn new(version: &str) -> Self {
        let mut items = Vec::new();
        for (s, shape) in drawing::SHAPES.iter().enumerate() {
            for (c, color) in drawing::COLORS.iter().enumerate() {
                for (l, light) in drawing::LIGHTS.iter().enumerate() {
                    let n = items.len();
                    let source = SOURCES[(s + 2 * c + l) % SOURCES.len()];
                    let columns = [
                        ("color", Cell::Text(color.0.to_owned())),
                        ("source", Cell::Text(source.to_owned())),
                        ("width", Cell::Integer(320 + 64 * (n as i64 % 7))),
                        ("outdoors", Cell::Boolean(l % 2 == 0)),
                    ];
                    items.push(Item {
                        id: format!("scene-{n:04}"),
                        text: format!("A {} {shape} {}.", color.0, light.0),
                        words: vec![color.0, *shape, light.1],
                        columns: columns.map(|(name, cell)| (name.to_owned(), cell)).into(),
                        scene: Some(drawing::Scene {
                            shape: s,
                            color: c,
                            light: l,
                        }),
                    });
                }
            }
        }
        items.push(Item {
            id: HOSTILE.0.to_owned(),
            text: HOSTILE.1.to_owned(),
            words: vec!["hostile"],
            columns: [("color".to_owned(), Cell::Text("<i>grey</i>".to_owned()))].into(),
            scene: None,
        });
        Self {
            version: version.to_owned(),
            slow: Duration::ZERO,
            batches: Mutex::default(),
            thumbnails: AtomicUsize::new(0),
            items,
        }
    }

    fn find(&self, id: &str) -> Option<&Item> {
        let id = id.strip_prefix("caption-of-").unwrap_or(id);
        self.items.iter().find(|item| item.id == id)
    }

    fn answer(&self, query: &Query) -> Result<Answer, Refusal> {
        let filter = query.filter.as_deref().map(filter::Filter::read);
        let filter = filter.transpose()?;
        let wanted = match &query.ask {
            Ask::Text(text) if text == "panic" => panic!("asked to"),
            Ask::Text(text) => words(text),
            Ask::Like(id) => match self.find(id) {
                Some(item) => item.words.iter().map(|word| (*word).to_owned()).collect(),
                None => {
                    let message = format!("there is no item `{id}`");
                    return Err(Refusal::new(
                        Reason::NotFound,
                        message,
                        "take the id of a hit",
                    ));
                }
            },
            Ask::Image(bytes) => self.seen_in(bytes)?,
        };
        let mut scored: Vec<(f64, &Item)> = self
            .items
            .iter()
            .filter(|item| {
                filter
                    .as_ref()
                    .is_none_or(|filter| filter.holds(&item.columns))
            })
            .map(|item| (overlap(&wanted, &item.words), item))
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        let known = wanted.iter().any(|word| {
            self.items
                .iter()
                .any(|item| item.words.iter().any(|own| own.starts_with(word.as_str())))
        });
        let hits: Vec<Hit> = scored
            .iter()
            .take(query.top)
            .enumerate()
            .map(|(n, (score, item))| self.hit(query, n, *score, item, known))
            .collect();
        let best = hits.first().and_then(|hit| hit.p_relevant).unwrap_or(0.0);
        Ok(Answer {
            hits,
            p_nothing: Some(1.0 - best),
            nothing_here: Some(!known),
            exact: true,
            version: self.version.clone(),
        })
    }

    fn hit(&self, query: &Query, n: usize, score: f64, item: &Item, known: bool) -> Hit {
        let sure = if known { 1.0 } else { 0.1 };
        let p = sure / (1.0 + (-9.0 * (score - 0.55)).exp());
        let p = (p - 0.002 * n as f64).clamp(0.001, 0.999);
        let is_image = query.of == Side::Images;
        Hit {
            id: if is_image {
                item.id.clone()
            } else {
                format!("caption-of-{}", item.id)
            },
            rank: n as u64 + 1,
            score,
            p_relevant: Some(p),
            in_answer: query
                .coverage
                .map(|coverage| p >= (5.0 * (1.0 - coverage)).min(0.95)),
            text: item.text.clone(),
            has_picture: is_image && item.scene.is_some(),
            why: why(item),
            columns: item.columns.clone(),
        }
    }

    /// The words of the item whose picture these bytes are; of any other, those that its bytes happen to say.
    fn seen_in(&self, bytes: &[u8]) -> Result<Vec<String>, Refusal> {
        if !bytes.starts_with(b"\x89PNG") && !bytes.starts_with(b"\xff\xd8") {
            return Err(Refusal::new(
                Reason::BadPicture,
                "the bytes are no picture that is read here",
                "send a PNG or a JPEG",
            ));
        }
        let sum = bytes.iter().fold(7usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(usize::from(*byte))
        });
        let own = self.items.iter().find(|item| {
            let name = item.scene.as_ref().map(drawing::Scene::name);
            name.is_some_and(|name| {
                bytes
                    .windows(name.len())
                    .any(|part| part == name.as_bytes())
            })
        });
        let item = own.unwrap_or(&self.items[sum % (self.items.len() - 1)]);
        Ok(item.words.iter().map(|word| (*word).to_owned()).collect())
    }
}

fn why(item: &Item) -> Vec<String> {
    match item.words.as_slice() {
        [color, shape, light] => vec![
            format!("{shape} in {color}, {light} light"),
            format!("something {color}"),
            format!("a picture of a {shape}"),
        ],
        _ => vec![item.text.clone()],
    }
}

fn words(text: &str) -> Vec<String> {
    let words = text.to_lowercase();
    let words = words.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| word.len() > 1)
        .map(str::to_owned)
        .collect()
}

fn overlap(wanted: &[String], own: &[&str]) -> f64 {
    if wanted.is_empty() {
        return 0.0;
    }
    let found = wanted
        .iter()
        .filter(|word| own.iter().any(|own| own.starts_with(word.as_str())));
    found.count() as f64 / wanted.len() as f64
}

impl Service for Gallery {
    fn describe(&self) -> Description {
        let column = |name: &str, kind, examples: &[&str]| Column {
            name: name.to_owned(),
            kind,
            examples: examples.iter().map(|one| (*one).to_owned()).collect(),
        };
        Description {
            name: "a made-up gallery".to_owned(),
            version: self.version.clone(),
            images: self.items.len() as u64,
            captions: self.items.len() as u64,
            dimensions: Some(4),
            queries: vec![QueryKind::Text, QueryKind::Image, QueryKind::Like],
            embeds: true,
            scores: true,
            judges: true,
            pictures: true,
            columns: vec![
                column("color", ColumnKind::Text, &["red", "blue"]),
                column("source", ColumnKind::Text, SOURCES),
                column("width", ColumnKind::Number, &["512"]),
                column("outdoors", ColumnKind::Boolean, &["true"]),
            ],
            calibrated: true,
            coverage: true,
        }
    }

    fn search(&self, queries: &[Query]) -> Vec<Result<Answer, Refusal>> {
        self.batches.lock().unwrap().push(queries.len());
        std::thread::sleep(self.slow);
        queries.iter().map(|query| self.answer(query)).collect()
    }

    fn embed(&self, inputs: &[EmbedInput]) -> Vec<Result<Vec<f32>, Refusal>> {
        let embed = |input: &EmbedInput| match input {
            EmbedInput::Text(text) if text == "short" => {
                Err(Refusal::new(Reason::NotOffered, "no", "none"))
            }
            EmbedInput::Text(text) => Ok(vec![text.len() as f32, 1.0, 0.0, 0.0]),
            EmbedInput::Image(bytes) => Ok(vec![bytes.len() as f32, 0.0, 1.0, 0.0]),
        };
        inputs.iter().map(embed).collect()
    }

    fn score(&self, pairs: &[PairInput]) -> Vec<Result<PairScore, Refusal>> {
        let score = |pair: &PairInput| {
            let image = match &pair.image {
                ImageInput::Id(id) => self.find(id).map(|item| item.text.clone()),
                ImageInput::Bytes(bytes) => Some(self.seen_in(bytes)?.join(" ")),
            };
            let Some(image) = image else {
                return Err(Refusal::new(
                    Reason::NotFound,
                    "there is no such image",
                    "take the id of a hit",
                ));
            };
            let caption = match &pair.caption {
                CaptionInput::Id(id) => self
                    .find(id)
                    .map_or_else(String::new, |item| item.text.clone()),
                CaptionInput::Text(text) => text.clone(),
            };
            let image = words(&image);
            let image: Vec<&str> = image.iter().map(String::as_str).collect();
            let score = overlap(&words(&caption), &image);
            Ok(PairScore {
                score,
                p_mismatched: Some(1.0 - score),
                judgment: if score > 0.5 { "matched" } else { "mismatched" }.to_owned(),
            })
        };
        pairs.iter().map(score).collect()
    }

    fn item(&self, _side: Side, id: &str) -> Result<Option<ItemView>, Refusal> {
        Ok(self.find(id).map(|item| ItemView {
            id: id.to_owned(),
            text: item.text.clone(),
            has_picture: item.scene.is_some(),
            why: why(item),
            columns: item.columns.clone(),
        }))
    }

    fn picture(&self, id: &str) -> Result<Option<Picture>, Refusal> {
        Ok(self.draw(id, 640))
    }

    fn thumbnail(&self, id: &str, size: u32) -> Result<Option<Picture>, Refusal> {
        self.thumbnails.fetch_add(1, Ordering::Relaxed);
        Ok(self.draw(id, size))
    }
}

impl Gallery {
    fn draw(&self, id: &str, size: u32) -> Option<Picture> {
        let scene = self.find(id)?.scene.as_ref()?;
        Some(Picture {
            bytes: drawing::png(scene, size),
            media_type: "image/png".to_owned(),
        })
    }
}
