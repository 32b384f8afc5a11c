//! The grammar of filters, their types, and what their errors say.

use std::collections::BTreeMap;

use truepair_core::scores::Matrix;
use truepair_index::{
    Filter, Gallery, Index, Item, Kind, Measure, Records, Settings, Storage, Value, Writer,
};

fn item(id: &str, text: Option<&str>, columns: &[(&str, Value)]) -> Item {
    let columns = columns
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    Item {
        id: id.to_owned(),
        text: text.map(str::to_owned),
        picture: None,
        columns: columns.collect(),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Two segments: `width` is whole in the first and not in the second, `license` is only in the first.
fn writer(folder: &std::path::Path) -> Writer {
    let settings = Settings {
        dim: 1,
        measure: Measure::InnerProduct,
        storage: Storage::F32,
        kind: Kind::Exact,
    };
    let mut writer = Index::create(folder, &settings, serde_json::json!(null)).unwrap();
    let (width, ok) = (|w| ("width", Value::Int(w)), |b| ("ok", Value::Bool(b)));
    let first = vec![
        item(
            "a",
            Some("a cat"),
            &[width(100), ok(true), ("license", text("by"))],
        ),
        item("b", Some("a \"dog\""), &[width(600), ok(false)]),
        item("c", None, &[("source name", text("web"))]),
    ];
    let second = vec![
        item("d", Some(""), &[("width", Value::Float(599.5)), ok(true)]),
        item("é", Some("eine Katze"), &[("width", Value::Float(-1e9))]),
    ];
    for items in [first, second] {
        let vectors = Matrix::new(vec![1.0; items.len()], 1);
        writer
            .append(None, Some(Records { items, vectors }))
            .unwrap();
    }
    writer
}

fn passing(gallery: &Gallery, filter: &str) -> String {
    let rows = gallery.matching(&Filter::parse(filter).unwrap()).unwrap();
    rows.iter()
        .map(|row| gallery.item(row).unwrap().id)
        .collect()
}

#[test]
fn filters_mean_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(folder.path());
    let gallery = writer.index().captions();
    for (filter, expected) in [
        ("width > 512", "bd"),
        ("width >= 600", "b"),
        ("width < 600", "adé"),
        ("width <= 599.5", "adé"),
        ("width = 100.0", "a"),
        ("width == 599.5", "d"),
        ("width != 100", "bdé"),
        ("width in (100, 599.5, 7)", "ad"),
        ("width > -1e10 and width < -5", "é"),
        ("ok = true", "ad"),
        ("ok != true", "b"),
        ("not ok = true", "bcé"),
        ("missing(ok)", "cé"),
        ("missing(license)", "bcdé"),
        ("not missing(license)", "a"),
        ("license = 'by' or width > 512 and ok = true", "ad"),
        ("(license = 'by' or width > 512) and ok = true", "ad"),
        ("(license = 'by' or width > 512) and not ok = true", "b"),
        ("not not ok = true", "ad"),
        ("id in (\"a\", 'é', 'zz')", "aé"),
        ("id >= 'c'", "cdé"),
        ("text contains 'a'", "abé"),
        ("text contains \"\\\"dog\\\"\"", "b"),
        ("text contains ''", "abdé"),
        ("missing(text)", "c"),
        ("text = ''", "d"),
        ("missing(picture)", "abcdé"),
        ("`source name` = 'web'", "c"),
    ] {
        assert_eq!(passing(gallery, filter), expected, "{filter}");
    }
    assert_eq!(
        Filter::parse("width > 512").unwrap().to_string(),
        "width > 512"
    );
}

#[test]
fn errors_point_at_the_place() {
    for (filter, start, remedy) in [
        (
            "",
            "filter, character 1: expected a column, found the end",
            "begin with",
        ),
        ("width", "filter, character 6: expected =, !=", "compared"),
        (
            "width >",
            "filter, character 8: expected a value, found the end",
            "number",
        ),
        (
            "width > and",
            "filter, character 9: expected a value, found `and`",
            "number",
        ),
        (
            "source = web",
            "filter, character 10: expected a value, found `web`",
            "\"web\"",
        ),
        (
            "width > 5 ok = true",
            "filter, character 11: expected `and`, `or` or the end",
            "join",
        ),
        ("(width > 5", "filter, character 11: expected `)`", "close"),
        (
            "width > 5)",
            "filter, character 10: expected `and`, `or` or the end",
            "join",
        ),
        ("width in 5", "filter, character 10: expected `(`", "close"),
        (
            "a = 'b",
            "filter, character 5: this text does not end",
            "quote",
        ),
        ("a = 5x", "filter, character 5: `5x` is no number", "quotes"),
        (
            "a = 1e999",
            "filter, character 5: `1e999` is no number",
            "quotes",
        ),
        (
            "é & b",
            "filter, character 3: `&` means nothing here",
            "made of",
        ),
        (
            "in = 5",
            "filter, character 1: expected a column, found `in`",
            "begin with",
        ),
    ] {
        let error = Filter::parse(filter).unwrap_err().to_string();
        assert!(error.starts_with(start), "{filter}: {error}");
        assert!(error.contains(remedy), "{filter}: {error}");
    }
    let deep = format!("{}a = 1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(
        Filter::parse(&deep)
            .unwrap_err()
            .to_string()
            .contains("64 deep")
    );
    let deep = format!("{}a = 1", "not ".repeat(100_000));
    assert!(
        Filter::parse(&deep)
            .unwrap_err()
            .to_string()
            .contains("64 deep")
    );
    let long = vec!["a = 1"; 5000].join(" or ");
    assert!(Filter::parse(&long).is_ok());
}

#[test]
fn columns_and_types_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(folder.path());
    let gallery = writer.index().captions();
    for (filter, start, remedy) in [
        (
            "ok = true and widht > 5",
            "filter, character 15: there is no column `widht`",
            "`width`",
        ),
        (
            "missing(licence)",
            "filter, character 9: there is no column `licence`",
            "`license`",
        ),
        (
            "qqqqqqqq = 5",
            "filter, character 1: there is no column `qqqqqqqq`",
            "there are license",
        ),
        (
            "width = 'x'",
            "filter, character 9: `width` holds numbers",
            "without quotes",
        ),
        (
            "license > 5",
            "filter, character 11: `license` holds text",
            "in quotes",
        ),
        (
            "license in ('by', 5)",
            "filter, character 19: `license` holds text",
            "in quotes",
        ),
        (
            "ok = 1",
            "filter, character 6: `ok` holds true or false",
            "true or false",
        ),
        (
            "ok < true",
            "filter, character 1: `ok` is true or false and has no order",
            "=",
        ),
        (
            "width contains 'x'",
            "filter, character 1: `width` holds numbers",
            "=",
        ),
    ] {
        let filter = Filter::parse(filter).unwrap();
        let error = gallery.matching(&filter).unwrap_err().to_string();
        assert!(error.starts_with(start), "{filter}: {error}");
        assert!(error.contains(remedy), "{filter}: {error}");
    }
    // The other gallery has no columns at all.
    let filter = Filter::parse("width = 1").unwrap();
    assert!(writer.index().images().matching(&filter).is_err());
    assert_eq!(
        gallery
            .columns()
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" "),
        "license ok source name width"
    );
    let _: BTreeMap<_, _> = gallery.columns();
}
