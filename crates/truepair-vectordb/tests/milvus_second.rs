//! The second version of Milvus' REST interface, against a stub; the server of the package has the first.

mod stub;

use serde_json::json;
use stub::{Asked, Reply, Stub, good};
use truepair_vectordb::{
    Address, Comparison, Filter, Layout, Query, Record, Search, Value, open_store,
};

fn reply(asked: &Asked) -> Reply {
    let data = match asked.path.strip_prefix("/v2/vectordb/")? {
        "collections/list" => json!([]),
        "collections/has" => json!({ "has": asked.body["collectionName"] == "there" }),
        "collections/describe" => json!({
            "enableDynamicField": true,
            "fields": [
                { "name": "id", "type": "VarChar", "primaryKey": true, "autoId": false },
                { "name": "vector", "type": "FloatVector", "params": [{ "key": "dim", "value": "3" }] },
            ],
            "indexes": [{ "fieldName": "vector", "indexName": "vector", "metricType": "L2" }],
            "load": "LoadStateLoaded",
        }),
        "collections/create" => json!({}),
        "entities/upsert" => json!({ "upsertCount": 1 }),
        "entities/search" => json!([
            { "id": "b", "distance": 4.0, "caption": "far" },
            { "id": "a", "distance": 1.0, "w": 3, "p_mismatched": 0.5 },
        ]),
        "entities/query" => json!([{ "count(*)": 7 }]),
        "entities/delete" => {
            let body = json!({ "code": 1100, "message": "no such partition" });
            return good(body);
        }
        _ => return Some((404, String::new())),
    };
    good(json!({ "code": 0, "data": data }))
}

#[test]
fn requests_are_those_of_the_documentation() {
    let stub = Stub::start(reply);
    let open = |name: &str| {
        let address = format!("milvus://root:secret@{}/base?collection={name}", stub.host);
        open_store(&Address::parse(&address).unwrap(), &[]).unwrap()
    };
    let layout = Layout::gaussians(2);
    open("new").prepare(&layout).unwrap();
    let created = stub.asked().pop().unwrap();
    assert_eq!(created.secret.as_deref(), Some("Bearer root:secret"));
    assert_eq!(created.body["dbName"], "base");
    let fields = &created.body["schema"]["fields"];
    assert_eq!(fields[1]["elementTypeParams"]["dim"], "3");
    assert_eq!(created.body["indexParams"][0]["metricType"], "L2");

    let mut store = open("there");
    store.prepare(&layout).unwrap();
    let record = Record {
        id: "a".into(),
        vector: vec![0.1, 2.0],
        total_variance: Some(4.0),
        ..Record::default()
    };
    store.upsert(&[record]).unwrap();
    store.finish().unwrap();
    stub.asked();
    let query = Query {
        vector: vec![1.0, 2.0],
        total_variance: Some(0.5),
    };
    let search = Search {
        k: 2,
        filter: Some(Filter::compare("w", Comparison::Less, Value::Int(4))),
        is_exact: false,
    };
    let hits = store.search(&[query], &search).unwrap();
    let scores: Vec<(&str, f64)> = hits[0]
        .iter()
        .map(|hit| (hit.id.as_str(), hit.score))
        .collect();
    assert_eq!(scores, [("a", -1.5), ("b", -4.5)]);
    assert_eq!(
        (hits[0][0].p_mismatched, &hits[0][0].columns["w"]),
        (Some(0.5), &Value::Int(3))
    );
    let asked = stub.asked().pop().unwrap();
    assert_eq!(
        asked.body,
        json!({
            "dbName": "base",
            "collectionName": "there",
            "data": [[1.0, 2.0, 0.0]],
            "annsField": "vector",
            "consistencyLevel": "Strong",
            "filter": "$meta[\"w\"] < 4",
            "limit": 2,
            "outputFields": ["id", "$meta"],
        })
    );
    assert_eq!(store.stats().unwrap().n_records, 7);
    let error = store.delete(&["a".into()]).unwrap_err().to_string();
    assert!(
        error.contains("no such partition") && !error.contains("secret"),
        "{error}"
    );
    let error = open("there")
        .prepare(&Layout::gaussians(9))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("Gaussians of 2 numbers, expected Gaussians of 9"),
        "{error}"
    );
}
