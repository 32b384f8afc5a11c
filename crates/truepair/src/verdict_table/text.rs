//! The verdict table as CSV and as JSON lines.

use std::io::Write;

use anyhow::Result;

use super::{COLUMNS, VerdictRow};

/// Comma-separated values with a header line; absent suggestions are empty cells.
///
/// # Errors
/// If `out` cannot take the bytes.
pub(super) fn write_csv(out: &mut impl Write, rows: &[VerdictRow<'_>]) -> Result<()> {
    // The header is written here, since serialization writes one only with the first row.
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(out);
    writer.write_record(COLUMNS)?;
    for row in rows {
        writer.serialize(row)?;
    }
    writer.flush()?;
    Ok(())
}

/// One JSON object per line; absent suggestions are `null`.
///
/// # Errors
/// If `out` cannot take the bytes.
pub(super) fn write_jsonl(out: &mut impl Write, rows: &[VerdictRow<'_>]) -> Result<()> {
    for row in rows {
        serde_json::to_writer(&mut *out, row)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::specimen::{self, HOSTILE_CAPTIONS};

    #[test]
    fn hostile_captions_come_back_from_csv_unchanged() {
        let (dataset, findings, keep) = specimen::audited();
        let rows = VerdictRow::all(&dataset, &findings, &keep).unwrap();
        let mut out = Vec::new();
        write_csv(&mut out, &rows).unwrap();
        let mut reader = csv::Reader::from_reader(out.as_slice());
        let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(records.len(), rows.len());
        for (record, row) in records.iter().zip(&rows) {
            assert_eq!(&record[2], row.caption);
            assert_eq!(record[6].parse::<f64>().unwrap(), row.posterior);
            assert_eq!(record[7].parse::<bool>().unwrap(), row.keep);
        }
        for hostile in HOSTILE_CAPTIONS {
            assert!(
                records.iter().any(|record| &record[2] == *hostile),
                "{hostile:?}"
            );
        }
    }

    #[test]
    fn every_json_line_is_one_object_with_every_column() {
        let (dataset, findings, keep) = specimen::audited();
        let rows = VerdictRow::all(&dataset, &findings, &keep).unwrap();
        let mut out = Vec::new();
        write_jsonl(&mut out, &rows).unwrap();
        let lines: Vec<serde_json::Value> = String::from_utf8(out)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), rows.len());
        for (line, row) in lines.iter().zip(&rows) {
            assert!(
                COLUMNS.iter().all(|column| line.get(column).is_some()),
                "{line}"
            );
            assert_eq!(line["caption"].as_str().unwrap(), row.caption);
            assert_eq!(line["better_image"].as_str(), row.better_image);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error() {
        let (dataset, findings, keep) = specimen::audited();
        let rows = VerdictRow::all(&dataset, &findings, &keep).unwrap();
        let full = || {
            std::fs::OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .unwrap()
        };
        assert!(write_csv(&mut full(), &rows).is_err());
        assert!(write_jsonl(&mut std::io::BufWriter::new(full()), &rows).is_err());
    }
}
