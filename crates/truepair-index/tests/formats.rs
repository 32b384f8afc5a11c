//! The stored specimen of every version of the format opens, or is refused by name.

use std::collections::BTreeMap;
use std::path::Path;

use truepair_core::scores::Matrix;
use truepair_index::{
    Filter, Index, Item, Kind, Measure, Records, SearchOptions, Settings, Side, Storage, Value,
};

/// Version 1: one byte a number, two segments, a deleted row.
const SPECIMEN: &str = "fixtures/formats/index-1";

fn item(id: &str, width: i64) -> Item {
    Item {
        id: id.to_owned(),
        text: Some(format!("the text of {id}")),
        picture: None,
        columns: BTreeMap::from([
            ("width".to_owned(), Value::Int(width)),
            ("source".to_owned(), Value::Text("web".to_owned())),
        ]),
    }
}

/// How the specimen was made.
fn write(folder: &Path) {
    let settings = Settings {
        dim: 3,
        measure: Measure::InnerProduct,
        storage: Storage::Int8,
        kind: Kind::Exact,
    };
    let mut writer =
        Index::create(folder, &settings, serde_json::json!({"encoder": "toy"})).unwrap();
    let records = |items: Vec<Item>, values: &[f32]| Records {
        items,
        vectors: Matrix::new(values.to_vec(), 3),
    };
    let first = records(
        vec![item("a", 1), item("b", 2)],
        &[1.0, 0.0, 0.0, 0.0, 0.5, 0.5],
    );
    let captions = records(vec![item("c", 3)], &[0.25, 0.25, -1.0]);
    writer.append(Some(first), Some(captions)).unwrap();
    writer
        .append(Some(records(vec![item("d", 4)], &[0.0, 1.0, 0.0])), None)
        .unwrap();
    writer.delete(Side::Images, &["a".to_owned()]).unwrap();
}

#[test]
fn an_index_of_version_1_opens() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(SPECIMEN);
    let index = Index::open(&folder).unwrap();
    index.verify().unwrap();
    assert_eq!(
        (
            index.version(),
            index.images().len(),
            index.captions().len()
        ),
        (4, 2, 1)
    );
    assert_eq!(index.about()["encoder"], "toy");
    assert_eq!(index.captions().item(0).unwrap(), item("c", 3));
    let wide = Filter::parse("width > 2 and source = 'web'").unwrap();
    let options = SearchOptions {
        filter: Some(&wide),
        ..Default::default()
    };
    let query = Matrix::new(vec![0.0, 2.0, 0.0], 3);
    let hits = index.images().search(&query, 5, &options).unwrap();
    let found: Vec<(usize, f32)> = hits[0].iter().map(|hit| (hit.row, hit.score)).collect();
    assert_eq!(found, [(2, 2.0)]);
}

#[test]
fn what_is_written_today_is_the_specimen() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let stored = Path::new(env!("CARGO_MANIFEST_DIR")).join(SPECIMEN);
    for name in [
        "index.json",
        "segment-000001/images-codes.i8",
        "segment-000002/images-ids.u64",
    ] {
        let [today, then] =
            [folder.path(), &stored].map(|folder| std::fs::read(folder.join(name)).unwrap());
        assert_eq!(today, then, "{name}");
    }
}
