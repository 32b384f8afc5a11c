//! Cleaned lists are what Python's tools read, where these are installed.
#![allow(clippy::print_stderr, reason = "a skipped test must be seen")]

mod python;

use std::path::{Path, PathBuf};

use truepair_read::dataset::{
    KeptFolder, Pictures, ReadOptions, WriteOptions, open, write_kept_into,
};

/// Writes an input with `make`, whose argument is a folder; cleans what lies at `path` in it of the captions with
/// `drop` in them; and lets `check` look at both folders. `None` where Python has no such packages.
fn cleaned(make: &str, path: &str, check: &str) -> Option<()> {
    let home = tempfile::tempdir().unwrap();
    let [data, out] = ["data", "out"].map(|name| home.path().join(name));
    std::fs::create_dir(&data).unwrap();
    python::run(make, &[&data])?;
    let input: PathBuf = data.join(path);
    let options = ReadOptions::default();
    let with_pictures = ReadOptions {
        pictures: Pictures::Beside,
        ..ReadOptions::default()
    };
    let set = open(&input, &options)
        .or_else(|_| open(&input, &with_pictures))
        .unwrap();
    let texts = set.require_captions().unwrap();
    let stays = |pair: &truepair_core::pair::Pair| !texts[pair.caption as usize].contains("drop");
    let keep: Vec<bool> = set.pairs.iter().map(stays).collect();
    assert!(keep.contains(&false));
    write_kept_into(&set, &keep, &KeptFolder::of(&out), &WriteOptions::default()).unwrap();
    let said = python::run(check, &[&data, &out])?;
    assert_eq!(said.trim(), "ok", "{}", Path::new(path).display());
    Some(())
}

/// `dropped(table)` is a table of records with a list of captions without those that are removed.
const DROPPED: &str = r#"
def dropped(rows, key):
    kept = []
    for row in rows:
        texts = [text for text in row[key] if "drop" not in text]
        if texts:
            kept.append({**row, key: texts})
    return kept
"#;

#[test]
fn hugging_face_opens_the_folder_with_its_features() {
    let make = r#"
import os, sys, datasets
from datasets import ClassLabel, Dataset, Features, Image, Sequence, Value
os.makedirs(sys.argv[1] + "/data")
features = Features({"image": Image(decode=False), "captions": Sequence(Value("string")),
                     "label": ClassLabel(names=["cat", "dog"]), "box": {"x": Value("float64"), "y": Sequence(Value("int32"))}})
def write(name, rows):
    Dataset.from_list([{"image": {"bytes": key.encode() * 9, "path": key + ".jpg"}, "captions": texts, "label": n % 2,
                        "box": {"x": n / 3, "y": list(range(n))}}
                       for n, (key, texts) in enumerate(rows)], features=features).to_parquet(sys.argv[1] + "/data/" + name)
write("train-00000-of-00002.parquet", [("a", ["one", "drop two"]), ("b", ["drop three"])])
write("train-00001-of-00002.parquet", [("c", ["four", "five"])])
write("test-00000-of-00001.parquet", [("d", ["six"])])
open(sys.argv[1] + "/README.md", "w").write("mine\n")
"#;
    let check = r#"
import sys, datasets
before, after = (datasets.load_dataset(path) for path in sys.argv[1:])
assert sorted(after) == ["test", "train"], after
assert before["train"].features == after["train"].features, (before["train"].features, after["train"].features)
assert dropped(before["train"].to_list(), "captions") == after["train"].to_list(), after["train"].to_list()
assert before["test"].to_list() == after["test"].to_list()
print("ok")
"#;
    cleaned(make, "", &format!("{DROPPED}{check}"));
}

#[test]
fn hugging_face_opens_a_folder_of_pictures_with_their_list() {
    let make = r#"
import json, os, sys
from PIL import Image
os.makedirs(sys.argv[1] + "/images")
with open(sys.argv[1] + "/metadata.jsonl", "w") as out:
    for n, (key, text) in enumerate([("a", "one"), ("b", "drop two"), ("c", "three")]):
        Image.new("RGB", (4, 4), (n, 0, 0)).save(f"{sys.argv[1]}/images/{key}.png")
        out.write(json.dumps({"file_name": f"images/{key}.png", "text": text, "odd": n}) + "\n")
"#;
    let check = r#"
import sys, datasets
before, after = (datasets.load_dataset(path, split="train") for path in sys.argv[1:])
assert before.features == after.features, after.features
row = lambda one: (one["text"], one["odd"], one["image"].tobytes())
assert [row(one) for one in before if "drop" not in one["text"]] == [row(one) for one in after], len(after)
print("ok")
"#;
    cleaned(make, "", check);
}

#[test]
fn parquet_keeps_schema_and_metadata() {
    let make = r#"
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
schema = pa.schema([pa.field("image", pa.string(), nullable=False, metadata={"of": "names"}), ("captions", pa.large_list(pa.string())),
    ("kind", pa.dictionary(pa.int8(), pa.string())), ("when", pa.timestamp("us", "UTC")), ("price", pa.decimal128(9, 2)),
    ("nested", pa.struct([("a", pa.list_(pa.int16())), ("b", pa.float32())])), ("nothing", pa.null())], metadata={"made by": "me"})
import datetime, decimal
rows = [{"image": f"{n}.jpg", "captions": texts, "kind": "xy"[n % 2], "when": datetime.datetime(2024, 1, 1 + n, tzinfo=datetime.timezone.utc),
         "price": decimal.Decimal(n) / 4, "nested": {"a": list(range(n)), "b": n / 2} if n else None, "nothing": None}
        for n, texts in enumerate([["one", "drop two"], ["drop three"], ["four"], ["drop five", "six"]])]
pq.write_table(pa.Table.from_pylist(rows, schema=schema), sys.argv[1] + "/t.parquet", row_group_size=3)
np.save(sys.argv[1] + "/t.npy", np.arange(8, dtype="f4").reshape(4, 2))
"#;
    let check = r#"
import sys, numpy as np, pyarrow.parquet as pq
before, after = (pq.read_table(path + "/t.parquet") for path in sys.argv[1:])
assert before.schema.equals(after.schema, check_metadata=True), (before.schema, after.schema)
assert dropped(before.to_pylist(), "captions") == after.to_pylist(), after.to_pylist()
assert np.load(sys.argv[2] + "/t.npy").tolist() == [[0, 1], [4, 5], [6, 7]]
print("ok")
"#;
    cleaned(make, "t.parquet", &format!("{DROPPED}{check}"));
}

#[test]
fn pandas_reads_tables() {
    let make = r#"
import sys, numpy as np, pandas
table = pandas.DataFrame({"image": ["a.jpg", "a.jpg", "b.jpg", "c.jpg"], "caption": ["one, \"quoted\"", "drop two", "drop three", "two\nlines"],
                          "odd": [0.1, None, 3, 1e300], "text more": ["x", "", "-", "=1+1"]})
table.to_csv(sys.argv[1] + "/t.csv", index=False)
np.savez(sys.argv[1] + "/t.npz", images=np.arange(8, dtype="f2").reshape(4, 2), captions=np.arange(8, dtype="f2").reshape(4, 2) + 1)
"#;
    let check = r#"
import sys, numpy as np, pandas
before, after = (pandas.read_csv(path + "/t.csv") for path in sys.argv[1:])
kept = before[~before["caption"].str.contains("drop")].reset_index(drop=True)
pandas.testing.assert_frame_equal(kept, after)
arrays = np.load(sys.argv[2] + "/t.npz")
assert arrays["images"].dtype == "f2" and arrays["images"].tolist() == [[0, 1], [6, 7]], arrays["images"]
assert arrays["captions"].tolist() == [[1, 2], [7, 8]], arrays["captions"]
print("ok")
"#;
    cleaned(make, "t.csv", check);
}

#[test]
fn json_reads_annotations_and_conversations() {
    let names = "import json, sys, numpy as np\nnp.save(sys.argv[1] + '/d.npy', np.arange(6, dtype='f4').reshape(3, 2))\nwrite = lambda value: json.dump(value, open(sys.argv[1] + '/d.json', 'w'))\n";
    let both = "import json, sys\nbefore, after = (json.load(open(path + '/d.json')) for path in sys.argv[1:])\n";
    let coco = r#"
texts = ["four ", "one", "drop two", "drop three", "five\nlines"]
write({"info": {"year": 2014, "url": None}, "licenses": [1.5], "images": [{"id": n, "file_name": f"{n}.jpg", "height": 3} for n in range(3)],
       "annotations": [{"id": 10 + n, "image_id": [2, 0, 0, 1, 2][n], "caption": text, "odd": [n]} for n, text in enumerate(texts)]})
"#;
    let coco_check = r#"
before["annotations"] = [one for one in before["annotations"] if "drop" not in one["caption"]]
assert before == after, after
print("ok")
"#;
    let karpathy = r#"
write({"dataset": "mine", "images": [{"filename": f"{n}.jpg", "split": "train", "imgid": n, "sentids": [n],
       "sentences": [{"raw": text, "tokens": text.split(), "sentid": n} for text in texts]}
      for n, texts in enumerate([["one", "drop two"], ["drop three"], [" four", "five"]])]})
"#;
    let karpathy_check = r#"
for image in before["images"]:
    image["sentences"] = [one for one in image["sentences"] if "drop" not in one["raw"]]
assert before == after, after
print("ok")
"#;
    let talk = r#"
talk = lambda *texts: [turn for n, text in enumerate(texts) for turn in
                       ({"from": "human", "value": "What?" if n else "<image>\nWhat?"}, {"from": "gpt", "value": text})]
write([{"id": n, "image": f"{n}.jpg", "odd": {"x": [n]}, "conversations": talk(*texts)}
       for n, texts in enumerate([["one", "drop two"], ["drop three"], ["four"]])])
"#;
    let talk_check = r#"
del before[1]
before[0]["conversations"] = before[0]["conversations"][:2]
assert before == after, after
print("ok")
"#;
    for (make, check) in [
        (coco, coco_check),
        (karpathy, karpathy_check),
        (talk, talk_check),
    ] {
        cleaned(
            &format!("{names}{make}"),
            "d.json",
            &format!("{both}{check}"),
        );
    }
}

#[test]
fn numpy_reads_uids_and_rows() {
    let make = r#"
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
texts = ["one", "drop two", "three", "four"]
uids = [f"{7919 * (9 - n) ** 9 % 2 ** 64:016x}{n:016x}" for n in range(4)]
pq.write_table(pa.table({"uid": uids, "url": texts, "text": texts}), sys.argv[1] + "/0a.parquet")
np.savez(sys.argv[1] + "/0a.npz", b32_img=np.arange(8, dtype="f2").reshape(4, 2), b32_txt=np.arange(8, dtype="f2").reshape(4, 2))
"#;
    let check = r#"
import sys, numpy as np, pyarrow.parquet as pq
kept = np.load(sys.argv[2] + "/kept.npy")
assert kept.dtype == np.dtype("u8,u8"), kept.dtype
uids = pq.read_table(sys.argv[1] + "/0a.parquet").column("uid").to_pylist()
want = np.array([(int(uid[:16], 16), int(uid[16:], 16)) for n, uid in enumerate(uids) if n != 1], dtype="u8,u8")
want.sort()
assert (kept == want).all(), (kept, want)
print("ok")
"#;
    cleaned(make, "", check);
    let make = r#"
import sys, numpy as np
np.save(sys.argv[1] + "/images.npy", np.arange(6, dtype="f2").reshape(3, 2))
np.save(sys.argv[1] + "/captions.npy", np.arange(12, dtype="f2").reshape(6, 2))
open(sys.argv[1] + "/captions.txt", "w").write("one\ndrop two\ndrop three\ndrop four\nfive\nsix\n")
"#;
    let check = r#"
import sys, numpy as np
assert np.load(sys.argv[2] + "/pairs.npy").tolist() == [[0, 0], [2, 4], [2, 5]]
for name in ["images", "captions"]:
    before, after = (np.load(f"{path}/{name}.npy") for path in sys.argv[1:])
    assert before.dtype == after.dtype and (before == after).all()
print("ok")
"#;
    cleaned(make, "", check);
    let make = r#"
import sys, numpy as np
np.savez_compressed(sys.argv[1] + "/e.npz", images=np.arange(6, dtype="f4").reshape(3, 2), captions=np.arange(12, dtype="f4").reshape(6, 2),
    texts=np.array("one|drop two|drop three|drop four|five|six".split("|")), pairs=np.array([[n // 2, n] for n in range(6)]), odd=np.array([1j]))
"#;
    let check = r#"
import sys, numpy as np
before, after = (np.load(path + "/e.npz") for path in sys.argv[1:])
assert sorted(before.files) == sorted(after.files + ["pairs"]), after.files
assert all((before[name] == after[name]).all() for name in after.files)
assert np.load(sys.argv[2] + "/pairs.npy").tolist() == [[0, 0], [2, 4], [2, 5]]
print("ok")
"#;
    cleaned(make, "e.npz", check);
    let make = r#"
import sys, numpy as np
np.save(sys.argv[1] + "/train_ims.npy", np.arange(6, dtype="f4").reshape(3, 2))
for name in ["bert", "clip"]:
    np.save(f"{sys.argv[1]}/train_caps_{name}.npy", np.arange(12, dtype="f2").reshape(6, 2) + len(name[:1]))
open(sys.argv[1] + "/train_caps.txt", "w").write("one\ndrop two\ndrop three\ndrop four\nfive\nsix\n")
"#;
    let check = r#"
import sys, numpy as np
for name in ["bert", "clip"]:
    before, after = (np.load(f"{path}/train_caps_{name}.npy") for path in sys.argv[1:])
    assert before.dtype == after.dtype and (before[[0, 4, 5]] == after).all(), after
assert open(sys.argv[2] + "/train_caps.tsv").read() == "0\tone\n2\tfive\n2\tsix\n"
print("ok")
"#;
    cleaned(make, "", check);
}
