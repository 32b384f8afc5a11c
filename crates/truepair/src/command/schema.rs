//! `truepair schema`: JSON Schemas of what the program prints and stores.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::contents::{Contents, Item, unknown};
use crate::exit::Exit;
use crate::render::Form;
use crate::schema;

const COMMAND: &str = "schema";

const EXAMPLES: &str = "\
Examples:
  truepair schema                      names, and where such objects are found
  truepair schema audit-1              one JSON Schema
  truepair schema --write schemas/     all of them as files";

/// Arguments of `truepair schema`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SchemaArgs {
    /// The schema to print: `truepair/audit/1`, as objects name it, or `audit-1`.
    name: Option<String>,

    /// Write all schemas into this folder, which is made.
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    write: Option<PathBuf>,
}

pub(crate) fn run(args: &SchemaArgs, form: Form) -> Result<Exit> {
    let rows = schema::all();
    let pretty = |row: &schema::SchemaRow| -> Result<String> {
        Ok(serde_json::to_string_pretty(&row.document())? + "\n")
    };
    let contents = match (&args.name, &args.write) {
        (Some(name), _) => {
            let found = rows
                .iter()
                .find(|row| row.name == name || row.short_name() == *name);
            let Some(row) = found else {
                let names: Vec<String> = rows.iter().map(schema::SchemaRow::short_name).collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                return unknown("schema", name, &names, "truepair schema");
            };
            Contents::text(COMMAND, pretty(row)?)
        }
        (None, Some(folder)) => {
            let files = rows
                .iter()
                .map(|row| Ok((format!("{}.json", row.short_name()), pretty(row)?)));
            Contents::write(COMMAND, folder, files.collect::<Result<_>>()?)?
        }
        (None, None) => {
            let items = rows.iter().map(|row| Item {
                name: row.short_name(),
                about: row.about.to_owned(),
            });
            Contents::list(COMMAND, items.collect())
        }
    };
    contents.print(form)?;
    Ok(Exit::Success)
}
