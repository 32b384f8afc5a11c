//! What is asked of Milvus: the paths and bodies of both versions of its REST interface.

use serde::Serialize;
use serde_json::{Value as Json, json};

use crate::json_row::JsonRow;
use crate::layout::{Geometry, Layout};

/// How the graph of the index is built.
const GRAPH: (u32, u32) = (16, 200);

/// Bytes of an id, as Milvus counts them.
const ID_BYTES: u32 = 1024;

/// Which interface a server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Up to 2.3. Collections are made through the port of its management, as `v1` makes none with ids of
    /// their own.
    V1,
    /// Since 2.4.
    V2,
}

impl Version {
    /// The path of an operation on records: `upsert`, `search`, `query`, `delete`.
    pub(super) fn path(self, operation: &str) -> String {
        match self {
            Self::V1 => format!("/v1/vector/{operation}"),
            Self::V2 => format!("/v2/vectordb/entities/{operation}"),
        }
    }

    /// What a good answer has as its code.
    pub(super) fn is_good(self, code: i64) -> bool {
        match self {
            Self::V1 => code == 200,
            // The first servers of the second interface kept the code of the first.
            Self::V2 => code == 0 || code == 200,
        }
    }
}

/// A collection of a database.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Collection {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) db_name: Option<String>,
    pub(super) collection_name: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Upsert<'a> {
    #[serde(flatten)]
    pub(super) collection: &'a Collection,
    pub(super) data: Vec<JsonRow<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Find<'a> {
    #[serde(flatten)]
    collection: &'a Collection,
    /// Of the first version.
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<&'a [f32]>,
    /// Of the second.
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<[&'a [f32]; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    anns_field: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consistency_level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<&'a str>,
    limit: usize,
    output_fields: [&'static str; 2],
}

impl<'a> Find<'a> {
    /// A search; one query at a time, which is what both versions do with scores that tell queries apart.
    pub(super) fn new(
        version: Version,
        collection: &'a Collection,
        point: &'a [f32],
        (limit, filter): (usize, Option<&'a str>),
    ) -> Self {
        let is_second = version == Version::V2;
        Self {
            collection,
            vector: (!is_second).then_some(point),
            data: is_second.then_some([point]),
            anns_field: is_second.then_some("vector"),
            consistency_level: is_second.then_some("Strong"),
            filter,
            limit,
            // Everything but the vector.
            output_fields: ["id", "$meta"],
        }
    }
}

fn metric(geometry: Geometry) -> &'static str {
    match geometry {
        Geometry::Embedding => "IP",
        Geometry::Gaussian => "L2",
    }
}

/// Makes a collection with its index, and loads it.
pub(super) fn create_second(collection: &Collection, layout: &Layout) -> Json {
    json!({
        "dbName": collection.db_name,
        "collectionName": collection.collection_name,
        "schema": {
            "autoID": false,
            "enableDynamicField": true,
            "fields": [
                {
                    "fieldName": "id",
                    "dataType": "VarChar",
                    "isPrimary": true,
                    "elementTypeParams": { "max_length": ID_BYTES.to_string() },
                },
                {
                    "fieldName": "vector",
                    "dataType": "FloatVector",
                    "elementTypeParams": { "dim": layout.width().to_string() },
                },
            ],
        },
        "indexParams": [{
            "fieldName": "vector",
            "indexName": "vector",
            "metricType": metric(layout.geometry),
            // The place before 2.5, and since.
            "params": { "index_type": "HNSW", "M": GRAPH.0, "efConstruction": GRAPH.1 },
            "indexType": "HNSW",
        }],
        "params": { "consistencyLevel": "Strong" },
    })
}

/// What makes a collection of the first version, by paths of the management's port, in order.
pub(super) fn create_first(collection: &Collection, layout: &Layout) -> [(&'static str, Json); 3] {
    // Numbers that Milvus gives its types: 21 texts, 101 vectors; the level 0 reads its own writes.
    let name = &collection.collection_name;
    let database = &collection.db_name;
    let pair = |key: &str, value: String| json!({ "key": key, "value": value });
    let graph = json!({ "M": GRAPH.0, "efConstruction": GRAPH.1 }).to_string();
    [
        (
            "/api/v1/collection",
            json!({
                "db_name": database,
                "collection_name": name,
                "consistency_level": 0,
                "shards_num": 1,
                "schema": {
                    "name": name,
                    "enable_dynamic_field": true,
                    "fields": [
                        {
                            "name": "id",
                            "is_primary_key": true,
                            "autoID": false,
                            "data_type": 21,
                            "type_params": [pair("max_length", ID_BYTES.to_string())],
                        },
                        {
                            "name": "vector",
                            "data_type": 101,
                            "type_params": [pair("dim", layout.width().to_string())],
                        },
                    ],
                },
            }),
        ),
        (
            "/api/v1/index",
            json!({
                "db_name": database,
                "collection_name": name,
                "field_name": "vector",
                "extra_params": [
                    pair("metric_type", metric(layout.geometry).to_owned()),
                    pair("index_type", "HNSW".to_owned()),
                    pair("params", graph),
                ],
            }),
        ),
        (
            "/api/v1/collection/load",
            json!({ "db_name": database, "collection_name": name, "replica_number": 1 }),
        ),
    ]
}

/// The layout out of the description of a collection; `None` where it is not one of ours.
pub(super) fn layout_of(description: &Json) -> Option<Layout> {
    let fields = description.get("fields")?.as_array()?;
    let named = |name: &str| fields.iter().find(|field| field["name"] == name);
    let id = named("id")?;
    if id["primaryKey"] != true || id["autoId"] == true {
        return None;
    }
    if description["enableDynamicField"] == false {
        return None;
    }
    let vector = named("vector")?;
    let kind = vector["type"].as_str()?;
    // `FloatVector(4)` in the first version, beside its parameters in the second.
    let width = match kind
        .strip_prefix("FloatVector(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        Some(width) => width.parse().ok()?,
        None => {
            let parameters = vector["params"].as_array()?;
            let width = parameters.iter().find(|one| one["key"] == "dim")?;
            width["value"].as_str()?.parse().ok()?
        }
    };
    let indexes = description["indexes"].as_array()?;
    let index = indexes
        .iter()
        .find(|index| index["fieldName"] == "vector")?;
    let geometry = match index["metricType"].as_str()? {
        "IP" => Geometry::Embedding,
        "L2" => Geometry::Gaussian,
        _ => return None,
    };
    Some(Layout::of_width(geometry, width))
}
