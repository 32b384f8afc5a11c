//! Appending, deleting, compacting; what readers keep; what is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use truepair_core::scores::Matrix;
use truepair_index::{
    Index, Item, Kind, Measure, Records, SearchOptions, Settings, Side, Storage, Value, Writer,
};

fn settings(storage: Storage) -> Settings {
    Settings {
        dim: 4,
        measure: Measure::InnerProduct,
        storage,
        kind: Kind::Exact,
    }
}

fn create(folder: &Path, storage: Storage) -> Writer {
    Index::create(
        folder,
        &settings(storage),
        serde_json::json!({"encoder": "toy", "a": 0.1}),
    )
    .unwrap()
}

/// Items `from..to`; every value says which item it belongs to.
fn records(from: usize, to: usize) -> Records {
    let item = |n: usize| Item {
        id: format!("id{n}"),
        text: n.is_multiple_of(2).then(|| format!("text {n}")),
        picture: n.is_multiple_of(3).then(|| format!("{n}.jpg")),
        columns: BTreeMap::from([
            ("whole".to_owned(), Value::Int(n as i64)),
            ("half".to_owned(), Value::Float(n as f64 / 2.0)),
            ("name".to_owned(), Value::Text(format!("n{n}"))),
            ("odd".to_owned(), Value::Bool(n % 2 == 1)),
        ])
        .into_iter()
        .filter(|(name, _)| !n.is_multiple_of(5) || name == "whole")
        .collect(),
    };
    Records {
        items: (from..to).map(item).collect(),
        vectors: Matrix::new(
            (from..to)
                .flat_map(|n| [n as f32, 1.0, -0.5, 0.25])
                .collect(),
            4,
        ),
    }
}

/// Exactly the items of `numbers`, in this order, with everything that belongs to them.
fn assert_holds(index: &Index, side: Side, numbers: &[usize]) {
    let gallery = index.gallery(side);
    let rows: Vec<usize> = gallery.rows().collect();
    assert_eq!((gallery.len(), rows.len()), (numbers.len(), numbers.len()));
    for (&row, &n) in rows.iter().zip(numbers) {
        let expected = records(n, n + 1);
        assert_eq!(gallery.item(row).unwrap(), expected.items[0]);
        assert_eq!(gallery.vector(row).unwrap(), expected.vectors.row(0));
        assert_eq!(gallery.find(&expected.items[0].id), Some(row));
    }
    index.verify().unwrap();
}

#[test]
fn what_goes_in_comes_out_after_every_change() {
    for storage in [Storage::F32, Storage::F16, Storage::Int8] {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = create(folder.path(), storage);
        assert_eq!(
            writer
                .append(Some(records(0, 70)), Some(records(500, 503)))
                .unwrap(),
            2
        );
        assert_eq!(writer.append(None, Some(records(100, 101))).unwrap(), 3);
        assert_eq!(writer.append(None, None).unwrap(), 3);
        let ids = ["id3", "id69", "id3", "nobody"].map(str::to_owned);
        let deleted = writer.delete(Side::Images, &ids).unwrap();
        assert_eq!((deleted.n, deleted.unknown), (2, vec!["nobody".to_owned()]));
        let mut left: Vec<usize> = (0..69).filter(|n| *n != 3).collect();
        assert_holds(writer.index(), Side::Images, &left);
        // What was deleted may come again.
        writer.append(Some(records(3, 4)), None).unwrap();
        left.push(3);
        let old = Index::open(folder.path()).unwrap();
        assert_eq!(old.version(), 5);
        let version = writer.compact().unwrap();
        assert_eq!(writer.compact().unwrap(), version);
        for index in [writer.index(), &old, &Index::open(folder.path()).unwrap()] {
            let rows =
                index
                    .images()
                    .search(&Matrix::new(vec![1.0; 4], 4), 3, &SearchOptions::default());
            let ids: Vec<String> = (rows.unwrap()[0].iter())
                .map(|hit| index.images().item(hit.row).unwrap().id)
                .collect();
            assert_eq!(ids, ["id68", "id67", "id66"]);
        }
        let index = Index::open(folder.path()).unwrap();
        assert_eq!(index.images().n_rows(), left.len());
        assert_holds(&index, Side::Images, &left);
        assert_holds(&index, Side::Captions, &[500, 501, 502, 100]);
        let folders = fs::read_dir(folder.path()).unwrap().flatten();
        assert_eq!(folders.filter(|entry| entry.path().is_dir()).count(), 1);
        drop(writer);
        let mut writer = Writer::open(folder.path()).unwrap();
        let all: Vec<String> = (0..70).map(|n| format!("id{n}")).collect();
        assert_eq!(writer.delete(Side::Images, &all).unwrap().n, left.len());
        writer.compact().unwrap();
        assert_holds(&Index::open(folder.path()).unwrap(), Side::Images, &[]);
        assert_holds(
            &Index::open(folder.path()).unwrap(),
            Side::Captions,
            &[500, 501, 502, 100],
        );
    }
}

#[test]
fn a_reader_keeps_its_version_and_sees_that_there_is_a_newer_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = create(folder.path(), Storage::F16);
    writer.append(Some(records(0, 5)), None).unwrap();
    let reader = Index::open(folder.path()).unwrap();
    writer.delete(Side::Images, &["id1".to_owned()]).unwrap();
    writer.append(Some(records(5, 9)), None).unwrap();
    assert_eq!(writer.set_about(serde_json::json!("new")).unwrap(), 5);
    assert_eq!(Index::current_version(folder.path()).unwrap(), 5);
    assert_eq!(
        (reader.version(), &reader.about()["encoder"]),
        (2, &serde_json::json!("toy"))
    );
    assert_holds(&reader, Side::Images, &[0, 1, 2, 3, 4]);
    let reader = Index::open(folder.path()).unwrap();
    assert_eq!(reader.about(), "new");
    assert_holds(&reader, Side::Images, &[0, 2, 3, 4, 5, 6, 7, 8]);
    assert!(
        reader
            .images()
            .item(1)
            .unwrap_err()
            .to_string()
            .contains("was deleted")
    );
    assert!(
        reader
            .images()
            .vector(9)
            .unwrap_err()
            .to_string()
            .contains("there are 9 images")
    );
    assert_eq!(reader.images().find("id1"), None);
}

#[test]
fn one_writes_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let writer = create(folder.path(), Storage::F32);
    let error = Writer::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("another process is writing this index"),
        "{error}"
    );
    let error = Index::create(folder.path(), &settings(Storage::F32), serde_json::json!(0));
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("`index.json` already")
    );
    Index::open(folder.path()).unwrap();
    drop(writer);
    Writer::open(folder.path()).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    assert!(
        Writer::open(elsewhere.path())
            .unwrap_err()
            .to_string()
            .contains("no index")
    );
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn records_that_do_not_fit_are_named_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = create(folder.path(), Storage::F16);
    writer.append(Some(records(0, 3)), None).unwrap();
    let changed = |change: &dyn Fn(&mut Records)| {
        let mut changed = records(10, 13);
        change(&mut changed);
        changed
    };
    let vectors =
        |values: Vec<f32>, dim| move |r: &mut Records| r.vectors = Matrix::new(values.clone(), dim);
    let cases: [(Records, &str); 9] = [
        (
            changed(&|r| r.items[2].id = "id10".to_owned()),
            "id `id10` stands twice, in images records 0 and 2",
        ),
        (
            changed(&|r| r.items[1].id = "id2".to_owned()),
            "images record 1: id `id2` is in the index already, in row 2",
        ),
        (
            changed(&|r| r.items[1].id.clear()),
            "images record 1 (``): the id is empty",
        ),
        (changed(&vectors(vec![0.0; 8], 4)), "3 images and 2 vectors"),
        (
            changed(&vectors(vec![0.0; 9], 3)),
            "vectors of 3 numbers for an index of vectors of 4",
        ),
        (
            changed(&vectors([vec![0.0; 6], vec![f32::NAN; 6]].concat(), 4)),
            "images record 1 (`id11`): number 2 of the vector is NaN",
        ),
        (
            changed(&vectors(vec![70000.0; 12], 4)),
            "images record 0 (`id10`): 70000 does not fit half precision",
        ),
        (
            changed(&|r| {
                drop(
                    r.items[1]
                        .columns
                        .insert("whole".to_owned(), Value::Bool(true)),
                )
            }),
            "images record 1 (`id11`): column `whole` holds whole numbers",
        ),
        (
            changed(&|r| drop(r.items[0].columns.insert("id".to_owned(), Value::Int(1)))),
            "images record 0 (`id10`): a column cannot be called `id`",
        ),
    ];
    for (records, expected) in cases {
        let error = writer.append(Some(records), None).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(writer.index().version(), 2);
    assert_holds(
        &Index::open(folder.path()).unwrap(),
        Side::Images,
        &[0, 1, 2],
    );
    // Whole numbers and numbers are numbers.
    let mixed = changed(&|r| {
        drop(
            r.items[0]
                .columns
                .insert("whole".to_owned(), Value::Float(0.5)),
        )
    });
    writer.append(Some(mixed), None).unwrap();
    assert_eq!(
        writer.index().images().columns()["whole"],
        truepair_index::ValueKind::Float
    );
}

#[test]
fn items_and_what_is_kept_of_them_change_in_one_commit() {
    let home = tempfile::tempdir().unwrap();
    let mut writer = create(home.path(), Storage::F32);
    let about = serde_json::json!({"sources": 1});
    let version = writer.append_with(Some(records(0, 4)), Some(records(0, 6)), about.clone());
    assert_eq!(version.unwrap(), 2);
    let index = Index::open(home.path()).unwrap();
    assert_eq!((index.version(), index.about()), (2, &about));

    let ids =
        |numbers: &[usize]| -> Vec<String> { numbers.iter().map(|n| format!("id{n}")).collect() };
    let [images, captions] = writer.delete_both(&ids(&[1, 9]), &ids(&[0, 5])).unwrap();
    assert_eq!((images.n, images.unknown, captions.n), (1, ids(&[9]), 2));
    let index = Index::open(home.path()).unwrap();
    assert_eq!(index.version(), 3);
    assert_holds(&index, Side::Images, &[0, 2, 3]);
    assert_holds(&index, Side::Captions, &[1, 2, 3, 4]);

    // An id that is there already changes neither.
    let again = writer.append_with(Some(records(3, 5)), None, serde_json::json!({"sources": 2}));
    assert!(again.is_err());
    let index = Index::open(home.path()).unwrap();
    assert_eq!((index.version(), index.about()), (3, &about));
}
