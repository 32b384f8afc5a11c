//! Files that other tools open: by ourselves everywhere, by their Python tools where those are installed.

mod servers;

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use parquet::file::reader::{FileReader, SerializedFileReader};
use truepair_core::npy::{Header, Number};
use truepair_vectordb::{ColumnKinds, Layout, Record, Upload, Value, open_file, upload};

/// Half of the records have columns, a third a picture.
fn records(n_records: usize, n_numbers: usize, layout: &Layout) -> Vec<Record> {
    let total_variance = (layout.width() > n_numbers).then_some(2.25);
    let record = |at: usize| {
        let mut record = Record {
            id: format!("id {at}"),
            caption: (at != 1).then(|| format!("caption \"{at}\"")),
            picture: at.is_multiple_of(3).then(|| format!("{at}.jpg")),
            p_mismatched: Some(0.25),
            vector: (0..n_numbers).map(|d| (at * 10 + d) as f32 / 8.0).collect(),
            total_variance,
            ..Record::default()
        };
        if at.is_multiple_of(2) {
            record.columns.insert("width".into(), Value::Int(at as i64));
            record
                .columns
                .insert("is_new".into(), Value::Bool(at.is_multiple_of(4)));
            record.columns.insert("ratio".into(), Value::Float(0.5));
            record
                .columns
                .insert("source".into(), Value::Text("web".into()));
        }
        record
    };
    (0..n_records).map(record).collect()
}

fn write(
    name: &str,
    path: &Path,
    layout: &Layout,
    records: &[Record],
) -> truepair_core::Result<()> {
    let mut kinds = ColumnKinds::default();
    records.iter().for_each(|record| kinds.learn(record));
    let mut writer = open_file(name, path, &kinds).unwrap();
    let mut given = records.iter().cloned().map(Ok);
    let options = Upload {
        n_batch: 4,
        ..Upload::default()
    };
    upload(&mut *writer, layout, &mut given, &options, &mut ()).map(drop)
}

/// What a Python program prints about a file.
fn python(program: &str, path: &Path) -> String {
    let output = Command::new(servers::python())
        .args(["-c", program])
        .arg(path)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_table_is_whole_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.parquet");
    let layout = Layout::gaussians(3);
    write("parquet", &path, &layout, &records(10, 3, &layout)).unwrap();
    let reader = SerializedFileReader::new(File::open(&path).unwrap()).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), 10);
    let row = reader.get_row_iter(None).unwrap().nth(2).unwrap().unwrap();
    assert_eq!(
        row.to_string(),
        "{id: \"id 2\", caption: \"caption \"2\"\", picture: null, p_mismatched: 0.25, is_new: false, \
         ratio: 0.5, source: \"web\", width: 2, vector: [2.5, 2.625, 2.75, 1.5]}"
    );

    // Whatever goes wrong leaves the former file and nothing beside it.
    let former = fs::read(&path).unwrap();
    let mut twice = records(10, 3, &layout);
    twice[9].id = "id 0".into();
    let error = write("parquet", &path, &layout, &twice)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("\"id 0\"") && error.contains("vectors.parquet"),
        "{error}"
    );
    assert!(fs::read(&path).unwrap() == former);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let nowhere = folder.path().join("none/vectors.parquet");
    let error = write("parquet", &nowhere, &layout, &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("none/vectors.parquet"), "{error}");
    let mut unprepared = open_file("parquet", &path, &ColumnKinds::default()).unwrap();
    assert!(
        unprepared
            .finish()
            .unwrap_err()
            .to_string()
            .contains("prepare")
    );
    assert!(
        open_file("csv", &path, &ColumnKinds::default())
            .unwrap_err()
            .to_string()
            .contains("clip-retrieval")
    );
}

#[test]
fn a_folder_is_that_of_clip_retrieval() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("clip");
    let layout = Layout::embeddings(3);
    let mut records = records(5, 3, &layout);
    for record in &mut records {
        record.caption_vector = Some(vec![1.0, 0.5, -0.25]);
    }
    write("clip-retrieval", &path, &layout, &records).unwrap();
    for (side, first) in [("img_emb", 0.0f32), ("text_emb", 1.0)] {
        let file = path.join(format!("{side}/{side}_0.npy"));
        let bytes = fs::read(&file).unwrap();
        let header = Header::parse(&file, &bytes).unwrap();
        assert_eq!(
            (header.number, header.shape.as_slice()),
            (Number::F16, &[5, 3][..])
        );
        let at = bytes.len() - 5 * 3 * 2;
        let number = half::f16::from_le_bytes([bytes[at], bytes[at + 1]]);
        assert_eq!(number.to_f32(), first);
    }
    let table = File::open(path.join("metadata/metadata_0.parquet")).unwrap();
    let reader = SerializedFileReader::new(table).unwrap();
    let rows: Vec<String> = reader
        .get_row_iter(None)
        .unwrap()
        .map(|row| row.unwrap().to_string())
        .collect();
    assert_eq!(rows.len(), 5);
    assert!(
        rows[0].starts_with(
            "{image_path: \"0.jpg\", caption: \"caption \"0\"\", truepair_id: \"id 0\""
        ),
        "{}",
        rows[0]
    );
    assert!(
        rows[1].starts_with("{image_path: \"id 1\", caption: null"),
        "{}",
        rows[1]
    );

    let error = write("clip-retrieval", &path, &layout, &records)
        .unwrap_err()
        .to_string();
    assert!(error.contains("there already"), "{error}");
    let other = home.path().join("other");
    records[3].caption_vector = None;
    let error = write("clip-retrieval", &other, &layout, &records)
        .unwrap_err()
        .to_string();
    assert!(error.contains("\"id 3\""), "{error}");
    records[3].caption_vector = Some(vec![1e6, 0.0, 0.0]);
    let error = write("clip-retrieval", &other, &layout, &records)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("\"id 3\"") && error.contains("half precision"),
        "{error}"
    );
    let gaussians = Layout::gaussians(3);
    let error = write("clip-retrieval", &other, &gaussians, &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("inner products"), "{error}");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn parts_of_a_large_folder_are_named_in_order() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("clip");
    let layout = Layout::embeddings(1 << 22);
    // Eight records fill a part.
    let record = |at: usize| Record {
        id: at.to_string(),
        vector: vec![at as f32; 1 << 22],
        ..Record::default()
    };
    let mut writer = open_file("clip-retrieval", &path, &ColumnKinds::default()).unwrap();
    writer.prepare(&layout).unwrap();
    for at in 0..10 {
        writer.upsert(&[record(at)]).unwrap();
    }
    assert!(!path.exists());
    writer.finish().unwrap();
    let names = |folder: &str| {
        let files = fs::read_dir(path.join(folder)).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("img_emb"), ["img_emb_0.npy", "img_emb_1.npy"]);
    assert_eq!(
        names("metadata"),
        ["metadata_0.parquet", "metadata_1.parquet"]
    );
    assert!(!path.join("text_emb").exists());
    let size = |name: &str| fs::metadata(path.join("img_emb").join(name)).unwrap().len();
    assert_eq!(
        size("img_emb_1.npy") % (1 << 22),
        size("img_emb_0.npy") % (1 << 22)
    );
    assert_eq!(size("img_emb_0.npy") / size("img_emb_1.npy"), 3);
}

#[test]
fn pyarrow_sees_vectors_of_a_fixed_length() {
    if !servers::has_module("pyarrow") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.parquet");
    let layout = Layout::gaussians(3);
    write("parquet", &path, &layout, &records(10, 3, &layout)).unwrap();
    let program = "
import sys
import pyarrow.parquet
table = pyarrow.parquet.read_table(sys.argv[1])
for field in table.schema: print(field.name, field.type)
print(table.to_pylist()[2])
";
    assert_eq!(
        python(program, &path),
        "id string\ncaption string\npicture string\np_mismatched double\nis_new bool\nratio double\n\
         source string\nwidth int64\nvector fixed_size_list<element: float not null>[4]\n\
         {'id': 'id 2', 'caption': 'caption \"2\"', 'picture': None, 'p_mismatched': 0.25, 'is_new': False, \
         'ratio': 0.5, 'source': 'web', 'width': 2, 'vector': [2.5, 2.625, 2.75, 1.5]}\n"
    );
}

#[test]
fn duckdb_and_pandas_open_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.parquet");
    let layout = Layout::embeddings(3);
    write("parquet", &path, &layout, &records(10, 3, &layout)).unwrap();
    if servers::has_module("duckdb") {
        let program = "
import sys
import duckdb
sql = '''SELECT id FROM read_parquet($1) WHERE width > 2
    ORDER BY array_distance(vector::FLOAT[3], [10.0, 10.0, 10.0]::FLOAT[3]) LIMIT 2'''
print(duckdb.execute(sql, [sys.argv[1]]).fetchall())
";
        assert_eq!(python(program, &path), "[('id 8',), ('id 6',)]\n");
    }
    if servers::has_module("pandas") {
        let program = "
import sys
import pandas
table = pandas.read_parquet(sys.argv[1])
print(table.shape, table.id[3], table.vector[3].tolist(), table.width.sum())
";
        assert_eq!(
            python(program, &path),
            "(10, 9) id 3 [3.75, 3.875, 4.0] 20.0\n"
        );
    }
}

#[test]
fn lancedb_searches_the_table() {
    if !servers::has_module("lancedb") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vectors.parquet");
    let layout = Layout::gaussians(3);
    write("parquet", &path, &layout, &records(10, 3, &layout)).unwrap();
    let program = "
import sys
import lancedb, pyarrow.parquet
table = lancedb.connect(sys.argv[1] + '.lance').create_table('v', pyarrow.parquet.read_table(sys.argv[1]))
hits = table.search([5.0, 5.0, 5.0, 0.0]).where('width > 2').limit(2).to_list()
print([(hit['id'], round(hit['_distance'], 4)) for hit in hits])
";
    // |(5, 5.125, 5.25) - (5, 5, 5)|² + 2.25, and of the next 6.
    assert_eq!(
        python(program, &path),
        "[('id 4', 2.3281), ('id 6', 22.9531)]\n"
    );
}

#[test]
fn numpy_reads_the_folder() {
    if !servers::has_module("numpy") || !servers::has_module("pandas") {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("clip");
    let layout = Layout::embeddings(3);
    write("clip-retrieval", &path, &layout, &records(5, 3, &layout)).unwrap();
    let program = "
import sys
import numpy, pandas
numbers = numpy.load(sys.argv[1] + '/img_emb/img_emb_0.npy')
table = pandas.read_parquet(sys.argv[1] + '/metadata/metadata_0.parquet')
print(numbers.dtype, numbers.shape, numbers[4].tolist(), table.image_path[3], table.caption[4], len(table))
";
    assert_eq!(
        python(program, &path),
        "float16 (5, 3) [5.0, 5.125, 5.25] 3.jpg caption \"4\" 5\n"
    );
}
