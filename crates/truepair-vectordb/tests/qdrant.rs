//! Qdrant's REST against a stub that does what its documentation says; no server of theirs was at hand.

mod conformance;
mod qdrant_stub;
mod stub;

use conformance::{Abilities, a_table_lives, embeddings_are_ranked, gaussians};
use qdrant_stub::start;
use serde_json::json;
use stub::Stub;
use truepair_vectordb::{
    Address, Layout, Record, Search, Upload, Uploaded, Value, VectorStore, open_store, upload,
};

fn open_collection(host: &str) -> Box<dyn VectorStore> {
    let address = Address::parse(&format!("qdrant://:secret@{host}?collection=c")).unwrap();
    open_store(&address, &[]).unwrap()
}

#[test]
fn a_table_lives_on_the_stub() {
    let abilities = Abilities {
        orders_texts: false,
        odd: "odd 'name'.[] $1",
    };
    let (stub, _) = start();
    a_table_lives(&|| open_collection(&stub.host), abilities);
    assert!(
        stub.asked()
            .iter()
            .all(|asked| asked.secret.as_deref() == Some("secret"))
    );
    let (stub, _) = start();
    embeddings_are_ranked(&mut *open_collection(&stub.host));
}

#[test]
fn the_bodies_are_those_of_the_documentation() {
    let (stub, _) = start();
    let mut store = open_collection(&stub.host);
    store.prepare(&Layout::gaussians(2)).unwrap();
    let record = Record {
        id: "a".into(),
        caption: Some("b".into()),
        columns: [("w".to_owned(), Value::Int(3))].into(),
        vector: vec![0.1, 2.0],
        total_variance: Some(4.0),
        ..Record::default()
    };
    store.upsert(&[record]).unwrap();
    let asked = stub.asked();
    assert_eq!(
        (asked[1].method.as_str(), &asked[1].body),
        (
            "PUT",
            &json!({ "vectors": { "size": 3, "distance": "Euclid" } })
        )
    );
    // The SHA-256 of `a` begins with ca978112 ca1b bdca fac2 31b39a23dc4d.
    let point = json!({
        "id": "ca978112-ca1b-8dca-8ac2-31b39a23dc4d",
        "vector": [0.1, 2.0, 2.0],
        "payload": { "id": "a", "caption": "b", "w": 3 },
    });
    assert_eq!(asked[2].body, json!({ "points": [point] }));
}

#[test]
fn what_was_confirmed_before_the_server_went_is_not_sent_again() {
    let (stub, state) = start();
    let folder = tempfile::tempdir().unwrap();
    let progress = folder.path().join("progress.json");
    let mut records = gaussians(95, 4, 1);
    let send = |records: &[Record]| {
        let mut given = records.iter().cloned().map(Ok);
        let options = Upload {
            n_batch: 20,
            progress: Some(&progress),
            ..Upload::default()
        };
        upload(
            &mut *open_collection(&stub.host),
            &Layout::gaussians(4),
            &mut given,
            &options,
            &mut (),
        )
    };
    let of = |n_sent, n_skipped| Uploaded { n_sent, n_skipped };
    state.lock().unwrap().n_writes_left = Some(3);
    let error = send(&records).unwrap_err().to_string();
    assert!(
        error.contains("broke off") && error.contains(&stub.host),
        "{error}"
    );
    assert!(!error.contains("secret") && progress.exists(), "{error}");
    let text = std::fs::read_to_string(&progress).unwrap();
    assert!(!text.contains("secret"), "{text}");

    state.lock().unwrap().n_writes_left = Some(0);
    stub.asked();
    send(&records).unwrap_err();
    let puts = stub
        .asked()
        .into_iter()
        .filter(|asked| asked.method == "PUT");
    let firsts: Vec<_> = puts
        .map(|asked| asked.body["points"][0]["payload"]["id"].clone())
        .collect();
    assert_eq!(
        firsts,
        vec![json!("id 60"); 4],
        "the fourth batch, four times"
    );

    // What changed is sent, and what follows it.
    state.lock().unwrap().n_writes_left = None;
    records[25].caption = Some("new".into());
    assert_eq!(send(&records).unwrap(), of(75, 20));
    assert!(!progress.exists());
    assert_eq!(open_collection(&stub.host).stats().unwrap().n_records, 95);

    // A collection that was dropped gets everything, whatever the file says.
    state.lock().unwrap().n_writes_left = Some(2);
    send(&records).unwrap_err();
    *state.lock().unwrap() = qdrant_stub::State::default();
    assert_eq!(send(&records).unwrap(), of(95, 0));
}

#[test]
fn answers_that_are_none_are_told() {
    let search = Search {
        k: 1,
        ..Search::default()
    };
    let told = |status: u16, body: &str, words: &[&str]| {
        let body = body.to_owned();
        let stub = Stub::start(move |_| Some((status, body.clone())));
        let error = open_collection(&stub.host)
            .search(&[], &search)
            .unwrap_err()
            .to_string();
        let place = format!("qdrant://{}?collection=c", stub.host);
        for word in words.iter().chain([&place.as_str()]) {
            assert!(error.contains(word), "{word}: {error}");
        }
        assert!(!error.contains("secret"), "{error}");
    };
    told(
        200,
        "<html>hello",
        &["that is no JSON", "<html>", "check that this engine"],
    );
    told(403, "", &["refuses access", "key"]);
    told(
        500,
        "{\"status\":\"out of disk\"}",
        &["out of disk", "server's log"],
    );
    told(404, "", &["there is no such collection"]);
    told(200, "{\"result\":{}}", &["did not make it"]);
}

#[test]
fn nobody_there_is_told() {
    let error = open_collection("127.0.0.1:1")
        .stats()
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("cannot be reached") && error.contains("that the server runs"),
        "{error}"
    );
    assert!(!error.contains("secret"), "{error}");
    let error = open_collection("truepair.invalid")
        .stats()
        .unwrap_err()
        .to_string();
    assert!(error.contains("name of the server is unknown"), "{error}");
}
