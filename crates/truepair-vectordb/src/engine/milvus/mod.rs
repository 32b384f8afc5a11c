//! Milvus over REST: a collection with an HNSW index, its columns in the dynamic field.

mod expression;
mod request;

use std::time::Duration;

use reqwest::Method;
use serde::Serialize;
use serde_json::{Value as Json, json};
use truepair_core::error::{Error, Result};

use self::expression::{expression, quoted};
use self::request::{Collection, Find, Upsert, Version, create_first, create_second, layout_of};
use crate::address::Address;
use crate::http::{Http, Server, bearer};
use crate::json_row::{JsonRow, hit_of, records_at_once};
use crate::layout::{Geometry, Layout, other_layout};
use crate::record::{Query, Record, check_batch};
use crate::store::{Hit, Prepared, Search, StoreStats, VectorStore, VectorWriter, sort_hits};

/// Hits that a server gives at most.
const MOST_HITS: usize = 16_384;

/// Requests to delete so many ids each.
const DELETED_AT_ONCE: usize = 1000;

/// Waits for a collection to be loaded: how often, and how long each time.
const LOADING: (u32, Duration) = (600, Duration::from_millis(100));

/// A collection; connects at the first work. `variables` may bring `MILVUS_TOKEN`.
///
/// # Errors
/// If the address names no collection or cannot be understood.
pub(super) fn open(
    address: &Address,
    variables: &[(String, String)],
) -> Result<Box<dyn VectorStore>> {
    address.check_parameters(&["collection", "tls", "management"])?;
    let collection_name = address.needed("collection")?.to_owned();
    let of_environment = variables.iter().find(|(name, _)| name == "MILVUS_TOKEN");
    let token = match (address.user(), address.password()) {
        (Some(user), Some(password)) => Some(format!("{user}:{password}")),
        _ => of_environment.map(|(_, token)| token.clone()),
    };
    let host = match address.host() {
        "" => "localhost:19530".to_owned(),
        host if host.rsplit(']').next().is_some_and(|end| end.contains(':')) => host.to_owned(),
        host => format!("{host}:19530"),
    };
    let is_encrypted = address.parameter("tls") == Some("true");
    let server = |host| Server {
        host,
        is_encrypted,
        place: address.shown(),
    };
    let name = host
        .rsplit_once(':')
        .map_or(host.as_str(), |(name, _)| name);
    let port = address.parameter("management").unwrap_or("9091");
    let beside = format!("{name}:{port}");
    let management = Http::new(server(&beside), token.as_deref().map(bearer))?;
    Ok(Box::new(Milvus {
        http: Http::new(server(&host), token.as_deref().map(bearer))?,
        management,
        collection: Collection {
            db_name: Some(address.path().to_owned()).filter(|name| !name.is_empty()),
            collection_name,
        },
        is_unsettled: false,
        version: None,
        layout: None,
    }))
}

/// The first version reads without waiting for what was written; it is there a few tenths of a second later.
const SETTLING: Duration = Duration::from_secs(2);

#[derive(Debug)]
struct Milvus {
    http: Http,
    /// Where the first version makes collections.
    management: Http,
    collection: Collection,
    /// Whether something was written that a read may miss.
    is_unsettled: bool,
    /// Once they are known.
    version: Option<Version>,
    layout: Option<Layout>,
}

impl Milvus {
    fn wrong(&self, problem: &str, remedy: &str) -> Error {
        Error::argument(format!("{}: {problem}", self.http.place()), remedy)
    }

    /// Sends a request; its `data`, or an error with Milvus' own words.
    fn ask(&self, version: Version, path: &str, body: &impl Serialize) -> Result<Json> {
        let mut answer = self.http.send(&Method::POST, path, Some(body))?;
        let code = answer.body["code"].as_i64();
        if code.is_some_and(|code| version.is_good(code)) {
            return Ok(answer.body["data"].take());
        }
        let said = answer.body["message"]
            .as_str()
            .unwrap_or("an answer without a code");
        Err(self.wrong(said, "see the server's log"))
    }

    fn version(&mut self) -> Result<Version> {
        if let Some(version) = self.version {
            return Ok(version);
        }
        let nothing = json!({ "dbName": self.collection.db_name });
        let path = "/v2/vectordb/collections/list";
        let answer = self.http.send(&Method::POST, path, Some(&nothing))?;
        let version = if answer.status == reqwest::StatusCode::NOT_FOUND {
            Version::V1
        } else {
            Version::V2
        };
        self.version = Some(version);
        Ok(version)
    }

    /// The collection as the server describes it, or `None` where there is none.
    fn described(&mut self) -> Result<Option<Json>> {
        let version = self.version()?;
        let name = &self.collection.collection_name;
        let is_plain = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        if !is_plain(name) || !is_plain(self.collection.db_name.as_deref().unwrap_or_default()) {
            let problem = format!("the name of the collection {name:?} or of its database");
            return Err(self.wrong(&problem, "use letters, digits and underscores"));
        }
        match version {
            Version::V1 => {
                let database = self.collection.db_name.as_ref();
                let database = database
                    .map(|name| format!("&dbName={name}"))
                    .unwrap_or_default();
                let path =
                    format!("/v1/vector/collections/describe?collectionName={name}{database}");
                let mut answer = self.http.send(&Method::GET, &path, None::<&()>)?;
                match answer.body["code"].as_i64() {
                    Some(200) => Ok(Some(answer.body["data"].take())),
                    // The code of a collection that is not there.
                    Some(100) => Ok(None),
                    _ => {
                        let said = answer.body["message"].as_str().unwrap_or_default();
                        Err(self.wrong(said, "see the server's log"))
                    }
                }
            }
            Version::V2 => {
                let path = "/v2/vectordb/collections/has";
                let has = self.ask(version, path, &self.collection)?;
                if has["has"] != true {
                    return Ok(None);
                }
                let path = "/v2/vectordb/collections/describe";
                self.ask(version, path, &self.collection).map(Some)
            }
        }
    }

    fn found(&mut self) -> Result<Option<Layout>> {
        let Some(description) = self.described()? else {
            return Ok(None);
        };
        let layout = layout_of(&description).ok_or_else(|| {
            let problem = "the collection is there, but truepair did not make it";
            self.wrong(problem, "name another collection")
        })?;
        Ok(Some(layout))
    }

    fn layout(&mut self) -> Result<(Version, Layout)> {
        let version = self.version()?;
        if self.layout.is_none() {
            self.layout = self.found()?;
        }
        let layout = self.layout.ok_or_else(|| {
            let remedy = "put records there first, or check the address";
            self.wrong("there is no such collection", remedy)
        })?;
        Ok((version, layout))
    }

    fn make(&self, version: Version, layout: &Layout) -> Result<()> {
        if version == Version::V2 {
            let body = create_second(&self.collection, layout);
            return self
                .ask(version, "/v2/vectordb/collections/create", &body)
                .map(drop);
        }
        for (path, body) in create_first(&self.collection, layout) {
            let answer = self.management.send(&Method::POST, path, Some(&body)).map_err(|error| {
                let remedy = "a server before 2.4 makes collections through the port of its management: add \
                              management=PORT to the address where it is not 9091";
                Error::argument(error.to_string(), remedy)
            })?;
            // An empty status is a good one.
            let code = answer.body["error_code"]
                .as_i64()
                .or(answer.body["code"].as_i64());
            if !answer.status.is_success() || code.is_some_and(|code| code != 0) {
                let said = answer.body["reason"]
                    .as_str()
                    .or(answer.body["error"].as_str());
                let problem = format!("{path}: {}", said.unwrap_or("the collection was not made"));
                return Err(self.wrong(&problem, "see the server's log"));
            }
        }
        Ok(())
    }

    /// Waits until the collection can be searched.
    fn loaded(&mut self) -> Result<()> {
        for _ in 0..LOADING.0 {
            let description = self.described()?.unwrap_or_default();
            if description["load"]
                .as_str()
                .is_none_or(|state| state.ends_with("Loaded"))
            {
                return Ok(());
            }
            std::thread::sleep(LOADING.1);
        }
        let problem = "the server is still loading the collection";
        Err(self.wrong(problem, "see the server's log, and ask again"))
    }

    /// Lets what was written become visible.
    fn settle(&mut self, version: Version) {
        if std::mem::take(&mut self.is_unsettled) && version == Version::V1 {
            std::thread::sleep(SETTLING);
        }
    }

    fn hits_of(&self, layout: &Layout, query: &Query, answer: &Json) -> Result<Vec<Hit>> {
        let rows = answer.as_array().map(Vec::as_slice).unwrap_or_default();
        let hits = rows.iter().map(|row| {
            let distance = row["distance"].as_f64()?;
            let score = match layout.geometry {
                Geometry::Embedding => distance,
                // Its L2 is the square.
                Geometry::Gaussian => layout.score_of_square(distance, query),
            };
            hit_of(row.as_object()?, score)
        });
        let hits: Option<Vec<Hit>> = hits.collect();
        let mut hits = hits.ok_or_else(|| {
            self.wrong("a hit without an id or a distance", "see the server's log")
        })?;
        sort_hits(&mut hits);
        Ok(hits)
    }
}

impl VectorWriter for Milvus {
    fn place(&self) -> &str {
        self.http.place()
    }

    fn prepare(&mut self, layout: &Layout) -> Result<Prepared> {
        let version = self.version()?;
        let prepared = match self.found()? {
            Some(found) if found == *layout => Prepared::Found,
            Some(found) => return Err(other_layout(self.http.place(), &found, layout)),
            None => {
                self.make(version, layout)?;
                Prepared::Made
            }
        };
        self.layout = Some(*layout);
        Ok(prepared)
    }

    fn upsert(&mut self, batch: &[Record]) -> Result<()> {
        let (version, layout) = self.layout()?;
        check_batch(batch)?;
        for batch in batch.chunks(records_at_once(layout.width())) {
            let points = batch.iter().map(|record| layout.point(record));
            let points: Vec<Vec<f32>> = points.collect::<Result<_>>()?;
            let rows = batch.iter().zip(&points).map(|(record, point)| JsonRow {
                record,
                vector: Some(point),
            });
            let body = Upsert {
                collection: &self.collection,
                data: rows.collect(),
            };
            self.ask(version, &version.path("upsert"), &body)?;
            self.is_unsettled = true;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let (version, _) = self.layout()?;
        self.settle(version);
        self.loaded()
    }
}

impl VectorStore for Milvus {
    fn search(&mut self, queries: &[Query], search: &Search) -> Result<Vec<Vec<Hit>>> {
        let (version, layout) = self.layout()?;
        if search.is_exact {
            let problem = "Milvus searches by its index only";
            return Err(self.wrong(problem, "ask without exactness"));
        }
        if search.k > MOST_HITS {
            let problem = format!("{} hits, expected at most {MOST_HITS}", search.k);
            return Err(self.wrong(&problem, "ask for fewer"));
        }
        search
            .filter
            .as_ref()
            .map_or(Ok(()), |filter| filter.check())?;
        self.settle(version);
        let filter = search.filter.as_ref().map(expression);
        let asked = queries.iter().map(|query| {
            let point = layout.asked(query)?;
            let wanted = (search.k, filter.as_deref());
            let body = Find::new(version, &self.collection, &point, wanted);
            let answer = self.ask(version, &version.path("search"), &body)?;
            self.hits_of(&layout, query, &answer)
        });
        asked.collect()
    }

    fn delete(&mut self, ids: &[String]) -> Result<()> {
        let (version, _) = self.layout()?;
        for ids in ids.chunks(DELETED_AT_ONCE) {
            let quoted: Vec<String> = ids.iter().map(|id| quoted(id)).collect();
            let body = json!({
                "dbName": self.collection.db_name,
                "collectionName": self.collection.collection_name,
                "filter": format!("id in [{}]", quoted.join(", ")),
            });
            self.ask(version, &version.path("delete"), &body)?;
            self.is_unsettled = true;
        }
        Ok(())
    }

    fn stats(&mut self) -> Result<StoreStats> {
        let (version, layout) = self.layout()?;
        self.settle(version);
        let body = json!({
            "dbName": self.collection.db_name,
            "collectionName": self.collection.collection_name,
            "filter": "id != \"\"",
            "outputFields": ["count(*)"],
            "limit": 0,
        });
        let counted = self.ask(version, &version.path("query"), &body)?;
        let count = &counted[0]["count(*)"];
        let count = count.as_u64().or_else(|| count.as_str()?.parse().ok());
        let n_records =
            count.ok_or_else(|| self.wrong("no count of records", "see the server's log"))?;
        let engine = match version {
            Version::V1 => "Milvus, REST v1",
            Version::V2 => "Milvus, REST v2",
        };
        Ok(StoreStats {
            n_records,
            layout,
            engine: engine.to_owned(),
            index: "hnsw".to_owned(),
        })
    }
}
