//! Qdrant over REST, as it is documented: a collection of points with payloads.

mod conditions;

use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value as Json, json};
use truepair_core::digest::Digest;
use truepair_core::error::{Error, Result};

use self::conditions::condition;
use crate::address::Address;
use crate::http::{Http, Server};
use crate::json_row::{JsonRow, hit_of, records_at_once};
use crate::layout::{Geometry, Layout, other_layout};
use crate::record::{Query, Record, check_batch};
use crate::store::{Hit, Prepared, Search, StoreStats, VectorStore, VectorWriter, sort_hits};

/// A collection; connects at the first work. `variables` may bring `QDRANT_API_KEY`.
///
/// # Errors
/// If the address names no collection or cannot be understood.
pub(super) fn open(
    address: &Address,
    variables: &[(String, String)],
) -> Result<Box<dyn VectorStore>> {
    address.check_parameters(&["collection", "tls"])?;
    let name = address.needed("collection")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if !name.bytes().all(is_plain) || name.starts_with('.') {
        return Err(Error::argument(
            format!("{}: the collection's name {name:?}", address.shown()),
            "use letters, digits, underscores, dots and hyphens",
        ));
    }
    let of_environment = variables.iter().find(|(name, _)| name == "QDRANT_API_KEY");
    let key = address
        .password()
        .or(of_environment.map(|(_, key)| key.as_str()));
    let host = match address.host() {
        "" => "localhost:6333".to_owned(),
        host if host.rsplit(']').next().is_some_and(|end| end.contains(':')) => host.to_owned(),
        host => format!("{host}:6333"),
    };
    let server = Server {
        host: &host,
        is_encrypted: address.parameter("tls") == Some("true"),
        place: address.shown(),
    };
    Ok(Box::new(Qdrant {
        http: Http::new(server, key.map(|key| ("api-key", key.to_owned())))?,
        path: format!("/collections/{name}"),
        layout: None,
    }))
}

#[derive(Debug)]
struct Qdrant {
    http: Http,
    /// Of the collection.
    path: String,
    /// Once it is known.
    layout: Option<Layout>,
}

#[derive(Debug, Serialize)]
struct PointRow<'a> {
    id: String,
    vector: Vec<f32>,
    payload: JsonRow<'a>,
}

impl Qdrant {
    fn wrong(&self, problem: &str, remedy: &str) -> Error {
        Error::argument(format!("{}: {problem}", self.http.place()), remedy)
    }

    /// Sends a request; its `result`, or an error with Qdrant's own words.
    fn ask(&self, method: &Method, path: &str, body: Option<&impl Serialize>) -> Result<Json> {
        let path = format!("{}{path}", self.path);
        let mut answer = self.http.send(method, &path, body)?;
        if answer.status.is_success() {
            return Ok(answer.body["result"].take());
        }
        let said = answer.body["status"]["error"].as_str();
        let said = said.map_or_else(|| answer.status.to_string(), str::to_owned);
        let remedy = if answer.status == StatusCode::NOT_FOUND {
            "put records there first, or check the address"
        } else {
            "see the server's log"
        };
        Err(self.wrong(&said, remedy))
    }

    /// What the server says of the collection, or `None` where there is none.
    fn described(&self) -> Result<Option<Json>> {
        let mut answer = self.http.send(&Method::GET, &self.path, None::<&()>)?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !answer.status.is_success() {
            let said = answer.body["status"]["error"].as_str().unwrap_or_default();
            return Err(self.wrong(said, "see the server's log"));
        }
        Ok(Some(answer.body["result"].take()))
    }

    fn layout(&mut self) -> Result<Layout> {
        if let Some(layout) = self.layout {
            return Ok(layout);
        }
        let description = self.described()?.ok_or_else(|| {
            let remedy = "put records there first, or check the address";
            self.wrong("there is no such collection", remedy)
        })?;
        let layout = self.layout_of(&description)?;
        self.layout = Some(layout);
        Ok(layout)
    }

    fn hits_of(&self, layout: &Layout, query: &Query, answer: &Json) -> Result<Vec<Hit>> {
        let points = answer["points"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let hits = points.iter().map(|point| {
            let given = point["score"].as_f64()?;
            let score = match layout.geometry {
                Geometry::Embedding => given,
                // Its score is the distance, not the square.
                Geometry::Gaussian => layout.score_of_square(given * given, query),
            };
            hit_of(point["payload"].as_object()?, score)
        });
        let hits: Option<Vec<Hit>> = hits.collect();
        let mut hits = hits.ok_or_else(|| {
            let remedy = "name a collection that truepair made";
            self.wrong("a hit without a score or an id", remedy)
        })?;
        sort_hits(&mut hits);
        Ok(hits)
    }

    fn layout_of(&self, description: &Json) -> Result<Layout> {
        let vectors = &description["config"]["params"]["vectors"];
        let geometry = match vectors["distance"].as_str() {
            Some("Dot") => Some(Geometry::Embedding),
            Some("Euclid") => Some(Geometry::Gaussian),
            _ => None,
        };
        let width = vectors["size"]
            .as_u64()
            .and_then(|size| usize::try_from(size).ok());
        match (geometry, width) {
            (Some(geometry), Some(width)) => Ok(Layout::of_width(geometry, width)),
            _ => Err(self.wrong(
                "the collection is there, but truepair did not make it",
                "name another collection",
            )),
        }
    }
}

#[derive(Serialize)]
struct Searches<'a> {
    searches: Vec<OneSearch<'a>>,
}

#[derive(Serialize)]
struct OneSearch<'a> {
    query: Vec<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<&'a Json>,
    limit: usize,
    with_payload: bool,
    params: Json,
}

/// Qdrant wants numbers or UUIDs: the id's digest as one of version 8, which is for such uses.
fn key_of(id: &str) -> String {
    let mut digest = Digest::new();
    digest.add(id.as_bytes());
    let hex = digest.hex();
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..32],
    ];
    format!(
        "{}-{}-8{}-8{}-{}",
        parts[0], parts[1], parts[2], parts[3], parts[4]
    )
}

impl VectorWriter for Qdrant {
    fn place(&self) -> &str {
        self.http.place()
    }

    fn prepare(&mut self, layout: &Layout) -> Result<Prepared> {
        if let Some(description) = self.described()? {
            let found = self.layout_of(&description)?;
            if found != *layout {
                return Err(other_layout(self.http.place(), &found, layout));
            }
            self.layout = Some(found);
            return Ok(Prepared::Found);
        }
        let distance = match layout.geometry {
            Geometry::Embedding => "Dot",
            Geometry::Gaussian => "Euclid",
        };
        let body = json!({ "vectors": { "size": layout.width(), "distance": distance } });
        self.ask(&Method::PUT, "", Some(&body))?;
        self.layout = Some(*layout);
        Ok(Prepared::Made)
    }

    fn upsert(&mut self, batch: &[Record]) -> Result<()> {
        let layout = self.layout()?;
        check_batch(batch)?;
        #[derive(Serialize)]
        struct Points<'a> {
            points: Vec<PointRow<'a>>,
        }
        for batch in batch.chunks(records_at_once(layout.width())) {
            let rows = batch.iter().map(|record| {
                Ok(PointRow {
                    id: key_of(&record.id),
                    vector: layout.point(record)?,
                    payload: JsonRow {
                        record,
                        vector: None,
                    },
                })
            });
            let points = rows.collect::<Result<_>>()?;
            self.ask(&Method::PUT, "/points?wait=true", Some(&Points { points }))?;
        }
        Ok(())
    }

    /// Qdrant indexes by itself, in the background.
    fn finish(&mut self) -> Result<()> {
        self.layout().map(drop)
    }
}

impl VectorStore for Qdrant {
    fn search(&mut self, queries: &[Query], search: &Search) -> Result<Vec<Vec<Hit>>> {
        let layout = self.layout()?;
        search
            .filter
            .as_ref()
            .map_or(Ok(()), |filter| filter.check())?;
        let filter = search.filter.as_ref().map(condition).transpose()?;
        let searches = queries.iter().map(|query| {
            Ok(OneSearch {
                query: layout.asked(query)?,
                filter: filter.as_ref(),
                limit: search.k,
                with_payload: true,
                params: json!({ "exact": search.is_exact }),
            })
        });
        let body = Searches {
            searches: searches.collect::<Result<_>>()?,
        };
        let answer = self.ask(&Method::POST, "/points/query/batch", Some(&body))?;
        let answers = answer.as_array().map(Vec::as_slice).unwrap_or_default();
        if answers.len() != queries.len() {
            let problem = format!("{} answers to {} queries", answers.len(), queries.len());
            return Err(self.wrong(&problem, "see the server's log"));
        }
        let hits = queries
            .iter()
            .zip(answers)
            .map(|(query, answer)| self.hits_of(&layout, query, answer));
        hits.collect()
    }

    fn delete(&mut self, ids: &[String]) -> Result<()> {
        let keys: Vec<String> = ids.iter().map(|id| key_of(id)).collect();
        let body = json!({ "points": keys });
        self.ask(&Method::POST, "/points/delete?wait=true", Some(&body))
            .map(drop)
    }

    fn stats(&mut self) -> Result<StoreStats> {
        let layout = self.layout()?;
        let body = json!({ "exact": true });
        let counted = self.ask(&Method::POST, "/points/count", Some(&body))?;
        let n_records = counted["count"].as_u64();
        Ok(StoreStats {
            n_records: n_records.ok_or_else(|| self.wrong("no count", "see the server's log"))?,
            layout,
            engine: "Qdrant".to_owned(),
            index: "hnsw".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_uuids_that_repeat() {
        let key = key_of("a");
        assert_eq!(key, key_of("a"));
        assert_ne!(key, key_of("b"));
        let lengths: Vec<usize> = key.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!((&key[14..15], &key[19..20]), ("8", "8"));
    }
}
