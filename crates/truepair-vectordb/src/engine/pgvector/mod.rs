//! PostgreSQL with the extension pgvector: a table with an HNSW index, searched in one statement.

mod connection;
mod filter_sql;
mod statement;

use pgvector::Vector;
use serde_json::{Map, Value as Json};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use truepair_core::error::{Error, Result};

use self::connection::Connection;
use self::filter_sql::Parameter;
use self::statement::{INDEXED_NUMBERS, TableName, layout_of};
use crate::address::Address;
use crate::json_row::{columns_of, json_of};
use crate::layout::{Geometry, Layout, other_layout};
use crate::record::{Query, Record, check_batch};
use crate::store::{Hit, Prepared, Search, StoreStats, VectorStore, VectorWriter, sort_hits};

/// Candidates that a walk over the index keeps, at least and at most.
const CANDIDATES: (usize, usize) = (100, 1000);

/// A table; connects at the first work.
///
/// # Errors
/// If the address names no table or cannot be understood.
pub(super) fn open(
    address: &Address,
    variables: &[(String, String)],
) -> Result<Box<dyn VectorStore>> {
    let table = TableName::parse(address.needed("table")?)?;
    let connection = Connection::new(address, variables)?;
    Ok(Box::new(PgVector {
        connection,
        table,
        layout: None,
    }))
}

#[derive(Debug)]
struct PgVector {
    connection: Connection,
    table: TableName,
    /// Once it is known.
    layout: Option<Layout>,
}

impl PgVector {
    /// The layout of the table, or `None` where there is no table.
    fn found(&mut self) -> Result<Option<Layout>> {
        let name = self.table.quoted.clone();
        let comment = self.connection.run(async |client| {
            let sql = "SELECT obj_description(c.oid, 'pg_class') FROM pg_class AS c
                       WHERE c.oid = to_regclass($1::text)";
            client.query_opt(sql, &[&name]).await
        })?;
        let Some(row) = comment else { return Ok(None) };
        let comment: Option<String> = row.get(0);
        let layout = layout_of(comment.as_deref()).map_err(|problem| {
            Error::argument(
                format!("{}: {problem}", self.connection.place()),
                "name another table",
            )
        })?;
        Ok(Some(layout))
    }

    /// Makes the table, and the extension where the database has it not.
    fn make(&mut self, layout: &Layout) -> Result<()> {
        let sql = statement::create(&self.table, layout);
        self.connection.run(async |client| {
            let around = client.transaction().await?;
            // Two that make the same extension at once are an error to PostgreSQL.
            around
                .batch_execute("SELECT pg_advisory_xact_lock(hashtext('truepair'))")
                .await?;
            around
                .batch_execute("CREATE EXTENSION IF NOT EXISTS vector")
                .await?;
            around.batch_execute(&sql).await?;
            around.commit().await
        })
    }

    fn layout(&mut self) -> Result<Layout> {
        if self.layout.is_none() {
            self.layout = self.found()?;
        }
        self.layout.ok_or_else(|| {
            Error::argument(
                format!("{}: there is no such table", self.connection.place()),
                "put records there first, or check the address",
            )
        })
    }

    /// One statement for all queries and their points.
    fn hits(
        &mut self,
        queries: &[Query],
        points: &[Vector],
        search: &Search,
    ) -> Result<Vec<Vec<Hit>>> {
        let layout = self.layout()?;
        let n_hits = i64::try_from(search.k).unwrap_or(i64::MAX);
        let mut parameters: Vec<Parameter> = vec![Box::new(points.to_vec()), Box::new(n_hits)];
        let filter = search.filter.as_ref();
        let sql = statement::search(&self.table, layout.geometry, filter, &mut parameters);
        let settings = if search.is_exact {
            "SET LOCAL enable_indexscan = off".to_owned()
        } else {
            statement::walk(search.k.clamp(CANDIDATES.0, CANDIDATES.1))
        };
        self.connection.run(async |client| {
            let given: Vec<&(dyn ToSql + Sync)> = (parameters.iter())
                .map(|parameter| &**parameter as &(dyn ToSql + Sync))
                .collect();
            let around = client.transaction().await?;
            around.batch_execute(&settings).await?;
            let rows = around.query(&sql, &given).await?;
            around.commit().await?;
            hits_of(&layout, queries, &rows)
        })
    }
}

impl VectorWriter for PgVector {
    fn place(&self) -> &str {
        self.connection.place()
    }

    fn prepare(&mut self, layout: &Layout) -> Result<Prepared> {
        let mut prepared = Prepared::Found;
        let mut found = self.found()?;
        if found.is_none() {
            match self.make(layout) {
                Ok(()) => prepared = Prepared::Made,
                // Somebody else was faster, or it failed for a reason to tell.
                Err(error) => found = Some(self.found()?.ok_or(error)?),
            }
        }
        match found {
            Some(found) if found != *layout => Err(other_layout(self.place(), &found, layout)),
            _ => {
                self.layout = Some(*layout);
                Ok(prepared)
            }
        }
    }

    fn upsert(&mut self, batch: &[Record]) -> Result<()> {
        let layout = self.layout()?;
        check_batch(batch)?;
        let points = batch
            .iter()
            .map(|record| layout.point(record).map(Vector::from));
        let points: Vec<Vector> = points.collect::<Result<_>>()?;
        let ids: Vec<&str> = batch.iter().map(|record| record.id.as_str()).collect();
        let captions: Vec<Option<&str>> = (batch.iter()).map(|r| r.caption.as_deref()).collect();
        let pictures: Vec<Option<&str>> = (batch.iter()).map(|r| r.picture.as_deref()).collect();
        let metadata: Vec<Json> = batch.iter().map(metadata_of).collect();
        let p_mismatched: Vec<Option<f64>> = batch.iter().map(|r| r.p_mismatched).collect();
        let sql = statement::upsert(&self.table);
        self.connection.run(async |client| {
            let given: [&(dyn ToSql + Sync); 6] = [
                &ids,
                &captions,
                &pictures,
                &metadata,
                &p_mismatched,
                &points,
            ];
            client.execute(&sql, &given).await
        })?;
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let layout = self.layout()?;
        let name = self.table.quoted.clone();
        let index = statement::index(&self.table, layout.geometry);
        self.connection.run(async |client| {
            if layout.width() <= INDEXED_NUMBERS {
                client.batch_execute(&index).await?;
            }
            client.batch_execute(&format!("ANALYZE {name}")).await
        })
    }
}

impl VectorStore for PgVector {
    fn search(&mut self, queries: &[Query], search: &Search) -> Result<Vec<Vec<Hit>>> {
        let layout = self.layout()?;
        search
            .filter
            .as_ref()
            .map_or(Ok(()), |filter| filter.check())?;
        let points = queries
            .iter()
            .map(|query| layout.asked(query).map(Vector::from));
        let points: Vec<Vector> = points.collect::<Result<_>>()?;
        let mut hits = self.hits(queries, &points, search)?;
        // A walk over the index may end before it met enough records that the filter lets through.
        let short: Vec<usize> = (0..hits.len())
            .filter(|&at| hits[at].len() < search.k)
            .collect();
        if !search.is_exact && !short.is_empty() {
            let again: Vec<Vector> = short.iter().map(|&at| points[at].clone()).collect();
            let asked: Vec<Query> = short.iter().map(|&at| queries[at].clone()).collect();
            let exact = Search {
                is_exact: true,
                ..search.clone()
            };
            let found = self.hits(&asked, &again, &exact)?;
            for (at, found) in short.into_iter().zip(found) {
                hits[at] = found;
            }
        }
        Ok(hits)
    }

    fn delete(&mut self, ids: &[String]) -> Result<()> {
        self.layout()?;
        let sql = format!(
            "DELETE FROM {} WHERE id = ANY($1::text[])",
            self.table.quoted
        );
        self.connection
            .run(async |client| client.execute(&sql, &[&ids]).await)?;
        Ok(())
    }

    fn stats(&mut self) -> Result<StoreStats> {
        let layout = self.layout()?;
        let name = self.table.quoted.clone();
        let sql = format!(
            "SELECT (SELECT count(*) FROM {name}),
                current_setting('server_version'),
                (SELECT extversion FROM pg_extension WHERE extname = 'vector'),
                EXISTS (SELECT FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                    JOIN pg_am AS m ON m.oid = c.relam
                    WHERE i.indrelid = to_regclass($1::text) AND m.amname = 'hnsw')"
        );
        let ask = async |client: &mut Client| client.query_one(&sql, &[&name]).await;
        let row = self.connection.run(ask)?;
        let (n_records, server): (i64, String) = (row.get(0), row.get(1));
        let (extension, has_index): (Option<String>, bool) = (row.get(2), row.get(3));
        Ok(StoreStats {
            n_records: n_records.cast_unsigned(),
            layout,
            engine: format!(
                "PostgreSQL {server}, pgvector {}",
                extension.unwrap_or_default()
            ),
            index: if has_index { "hnsw" } else { "none" }.to_owned(),
        })
    }
}

fn metadata_of(record: &Record) -> Json {
    let columns = record.columns.iter();
    let columns = columns.map(|(name, value)| (name.clone(), json_of(value)));
    Json::Object(columns.collect::<Map<_, _>>())
}

/// Rows of a search as hits, by query.
fn hits_of(
    layout: &Layout,
    queries: &[Query],
    rows: &[Row],
) -> Result<Vec<Vec<Hit>>, tokio_postgres::Error> {
    let mut hits: Vec<Vec<Hit>> = vec![Vec::new(); queries.len()];
    for row in rows {
        let number: i64 = row.try_get(0)?;
        let at = usize::try_from(number).unwrap_or(0).wrapping_sub(1);
        let (Some(query), Some(list)) = (queries.get(at), hits.get_mut(at)) else {
            continue;
        };
        let distance: f64 = row.try_get(6)?;
        let score = match layout.geometry {
            Geometry::Embedding => -distance,
            Geometry::Gaussian => layout.score_of_square(distance * distance, query),
        };
        let metadata: Json = row.try_get(4)?;
        list.push(Hit {
            id: row.try_get(1)?,
            caption: row.try_get(2)?,
            picture: row.try_get(3)?,
            columns: columns_of(metadata.as_object().into_iter().flatten()),
            p_mismatched: row.try_get(5)?,
            score,
        });
    }
    hits.iter_mut().for_each(|list| sort_hits(list));
    Ok(hits)
}
