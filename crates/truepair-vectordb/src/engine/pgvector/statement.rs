//! The statements. Only names of tables, quoted, and numbers of layouts are written into them.

use truepair_core::digest::Digest;
use truepair_core::error::{Error, Result};

use super::filter_sql::{Parameter, condition};
use crate::filter::Filter;
use crate::layout::{Geometry, Layout};

/// How the comment of a table of ours begins; a number of a version and a layout follow.
const MARK: &str = "truepair ";

/// The version of the columns.
const VERSION: &str = "1";

/// PostgreSQL cuts names after this many bytes.
const NAME_BYTES: usize = 63;

/// Columns of `hnsw` indexes may have so many numbers.
pub(crate) const INDEXED_NUMBERS: usize = 2000;

/// A table's name as statements write it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableName {
    /// `"schema"."name"` or `"name"`.
    pub(crate) quoted: String,
    /// The name of its index, quoted.
    index: String,
}

impl TableName {
    /// # Errors
    /// If PostgreSQL has no such names.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        let parts: Vec<&str> = name.splitn(2, '.').collect();
        let is_name =
            |part: &&&str| !part.is_empty() && part.len() <= NAME_BYTES && !part.contains('\0');
        if parts.iter().filter(is_name).count() != parts.len() {
            return Err(Error::argument(
                format!("{name:?} cannot be the name of a table"),
                format!("name it with 1 to {NAME_BYTES} bytes, its schema before a dot if need be"),
            ));
        }
        let quoted: Vec<String> = parts.iter().map(|part| quoted(part)).collect();
        let table = parts[parts.len() - 1];
        let mut index = format!("{table}_hnsw");
        if index.len() > NAME_BYTES {
            let mut digest = Digest::new();
            digest.add(table.as_bytes());
            index = format!("truepair_{}_hnsw", &digest.hex()[..32]);
        }
        Ok(Self {
            quoted: quoted.join("."),
            index: self::quoted(&index),
        })
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Makes the table; several statements.
pub(crate) fn create(table: &TableName, layout: &Layout) -> String {
    let name = &table.quoted;
    let width = layout.width();
    let comment = comment(layout);
    format!(
        "CREATE TABLE {name} (
            id text PRIMARY KEY,
            caption text,
            picture text,
            metadata jsonb NOT NULL,
            p_mismatched float8,
            vector vector({width}) NOT NULL
        );
        COMMENT ON TABLE {name} IS '{comment}'"
    )
}

/// What says whose table it is; words and numbers without a quote.
fn comment(layout: &Layout) -> String {
    let geometry = match layout.geometry {
        Geometry::Embedding => "embedding",
        Geometry::Gaussian => "gaussian",
    };
    format!("{MARK}{VERSION} {geometry} {}", layout.n_numbers)
}

/// The layout out of a table's comment; an error says what is wrong.
pub(crate) fn layout_of(comment: Option<&str>) -> Result<Layout, &'static str> {
    let not_ours = "the table is there, but truepair did not make it";
    let words = comment
        .and_then(|text| text.strip_prefix(MARK))
        .ok_or(not_ours)?;
    let words: Vec<&str> = words.split(' ').collect();
    if words.first() != Some(&VERSION) {
        return Err("another version of truepair made the table");
    }
    let geometry = match words.get(1) {
        Some(&"embedding") => Geometry::Embedding,
        Some(&"gaussian") => Geometry::Gaussian,
        _ => return Err(not_ours),
    };
    let n_numbers = words.get(2).and_then(|number| number.parse().ok());
    let n_numbers = n_numbers.ok_or(not_ours)?;
    Ok(Layout {
        geometry,
        n_numbers,
    })
}

/// Parameters: ids, captions, pictures, metadata, P(mismatched), vectors; arrays of one length.
pub(crate) fn upsert(table: &TableName) -> String {
    format!(
        "INSERT INTO {} (id, caption, picture, metadata, p_mismatched, vector)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::float8[], $6::vector[])
        ON CONFLICT (id) DO UPDATE SET caption = EXCLUDED.caption, picture = EXCLUDED.picture,
            metadata = EXCLUDED.metadata, p_mismatched = EXCLUDED.p_mismatched, vector = EXCLUDED.vector",
        table.quoted
    )
}

/// Makes the index where there is none.
pub(crate) fn index(table: &TableName, geometry: Geometry) -> String {
    let operators = match geometry {
        Geometry::Embedding => "vector_ip_ops",
        Geometry::Gaussian => "vector_l2_ops",
    };
    let (index, name) = (&table.index, &table.quoted);
    format!("CREATE INDEX IF NOT EXISTS {index} ON {name} USING hnsw (vector {operators})")
}

/// How a walk over the index goes: with so many candidates, and on where a filter leaves too few, which pgvector
/// can since 0.8.
pub(crate) fn walk(n_candidates: usize) -> String {
    format!(
        "SET LOCAL hnsw.ef_search = {n_candidates};
        SELECT set_config('hnsw.iterative_scan', 'strict_order', true) FROM pg_extension
        WHERE extname = 'vector' AND string_to_array(extversion, '.')::int[] >= ARRAY[0, 8]"
    )
}

/// One statement for all queries: `$1` their points, `$2` the hits of each. Rows: the query's number from 1, then
/// the record and its distance.
pub(crate) fn search(
    table: &TableName,
    geometry: Geometry,
    filter: Option<&Filter>,
    parameters: &mut Vec<Parameter>,
) -> String {
    // The negative inner product, or the distance.
    let distance = match geometry {
        Geometry::Embedding => "<#>",
        Geometry::Gaussian => "<->",
    };
    let condition = filter.map(|filter| condition(filter, parameters));
    let condition = condition.map(|sql| format!("WHERE {sql}"));
    format!(
        "SELECT q.number, h.id, h.caption, h.picture, h.metadata, h.p_mismatched, h.distance
        FROM unnest($1::vector[]) WITH ORDINALITY AS q(point, number)
        CROSS JOIN LATERAL (
            SELECT t.id, t.caption, t.picture, t.metadata, t.p_mismatched, t.vector {distance} q.point AS distance
            FROM {} AS t {}
            ORDER BY t.vector {distance} q.point
            LIMIT $2::int8
        ) AS h
        ORDER BY q.number, h.distance",
        table.quoted,
        condition.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_their_quotes() {
        let nasty = "a\"; DROP TABLE b; --";
        let table = TableName::parse(nasty).unwrap();
        assert_eq!(table.quoted, "\"a\"\"; DROP TABLE b; --\"");
        assert_eq!(TableName::parse("s.t").unwrap().quoted, "\"s\".\"t\"");
        for bad in ["", ".t", "s.", "a\0b", &"x".repeat(64)] {
            assert!(TableName::parse(bad).is_err(), "{bad:?}");
        }
        let long = TableName::parse(&"é".repeat(31)).unwrap();
        assert!(long.index.len() <= NAME_BYTES + 2, "{}", long.index);
    }

    #[test]
    fn a_layout_comes_back_from_its_comment() {
        for layout in [Layout::embeddings(512), Layout::gaussians(7)] {
            assert_eq!(layout_of(Some(&comment(&layout))), Ok(layout));
        }
        assert!(layout_of(None).unwrap_err().contains("did not make"));
        assert!(
            layout_of(Some("mine"))
                .unwrap_err()
                .contains("did not make")
        );
        assert!(
            layout_of(Some("truepair 2 gaussian 7"))
                .unwrap_err()
                .contains("version")
        );
    }

    #[test]
    fn a_search_is_one_statement() {
        let table = TableName::parse("t").unwrap();
        let mut parameters: Vec<Parameter> = vec![Box::new(1i64), Box::new(2i64)];
        let filter = Filter::And(vec![]);
        let sql = search(&table, Geometry::Gaussian, Some(&filter), &mut parameters);
        assert!(
            !sql.contains(';') && sql.contains("WHERE true") && sql.contains("<->"),
            "{sql}"
        );
        let sql = search(&table, Geometry::Embedding, None, &mut parameters);
        assert!(!sql.contains("WHERE") && sql.contains("<#>"), "{sql}");
    }
}
