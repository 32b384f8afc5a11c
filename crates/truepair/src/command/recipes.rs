//! `truepair recipes`: the configurations that come inside the program.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use include_dir::{Dir, include_dir};

use crate::contents::{Contents, Item, unknown};
use crate::exit::Exit;
use crate::render::Form;

const COMMAND: &str = "recipes";

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/configs");

const EXAMPLES: &str = "\
Examples:
  truepair recipes                         names, and what each is for
  truepair recipes embeddings/ncr          one configuration, to read or to redirect into a file
  truepair recipes --write recipes/        all of them as files, for --config and for compare --recipes";

/// Arguments of `truepair recipes`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct RecipesArgs {
    /// The configuration to print.
    name: Option<String>,

    /// Write all configurations into this folder, which is made.
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    write: Option<PathBuf>,
}

/// One configuration: its name, without the ending, and its text.
struct RecipeFile {
    name: String,
    text: &'static str,
}

pub(crate) fn run(args: &RecipesArgs, form: Form) -> Result<Exit> {
    let files = files();
    let contents = match (&args.name, &args.write) {
        (Some(name), _) => Contents::text(COMMAND, find(&files, name)?.text.to_owned()),
        (None, Some(folder)) => {
            let files = files
                .iter()
                .map(|file| (format!("{}.toml", file.name), file.text.to_owned()));
            Contents::write(COMMAND, folder, files.collect())?
        }
        (None, None) => Contents::list(COMMAND, files.iter().map(item).collect()),
    };
    contents.print(form)?;
    Ok(Exit::Success)
}

/// Every configuration, sorted by name.
fn files() -> Vec<RecipeFile> {
    let mut found = Vec::new();
    let mut folders = vec![&FILES];
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        found.extend(folder.files().filter_map(|file| {
            let path = file.path().to_str()?.replace('\\', "/");
            Some(RecipeFile {
                name: path.strip_suffix(".toml")?.to_owned(),
                text: file.contents_utf8()?,
            })
        }));
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// The text of a file of the program's configurations, `embeddings/ncr.toml`; `None` without such a file.
pub(crate) fn text_of(path: &str) -> Option<&'static str> {
    FILES.get_file(path)?.contents_utf8()
}

fn find<'f>(files: &'f [RecipeFile], name: &str) -> Result<&'f RecipeFile> {
    let wanted = name.strip_suffix(".toml").unwrap_or(name);
    match files.iter().find(|file| file.name == wanted) {
        Some(file) => Ok(file),
        None => {
            let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
            unknown("configuration", wanted, &names, "truepair recipes")
        }
    }
}

/// A name with the first sentence of the file's opening remark.
fn item(file: &RecipeFile) -> Item {
    let remark = file.text.lines().map_while(|line| line.strip_prefix('#'));
    let remark: Vec<&str> = remark.map(str::trim).collect();
    let remark = remark.join(" ");
    let sentence = remark.split_inclusive(". ").next().unwrap_or_default();
    Item {
        name: file.name.clone(),
        about: sentence.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_configuration_says_what_it_is_for() {
        let files = files();
        assert!(files.iter().any(|file| file.name == "embeddings/ncr"));
        for file in &files {
            assert!(
                item(file).about.len() > 5,
                "{}: {:?}",
                file.name,
                item(file).about
            );
        }
    }

    #[test]
    fn a_name_is_found_with_and_without_its_ending_and_a_wrong_one_is_refused() {
        let files = files();
        for name in ["embeddings/ncr", "embeddings/ncr.toml"] {
            assert_eq!(find(&files, name).unwrap().name, "embeddings/ncr");
        }
        let error = find(&files, "embeddings/nrc")
            .map(|file| &file.name)
            .unwrap_err();
        assert!(
            error.to_string().contains("did you mean `embeddings/ncr`"),
            "{error}"
        );
    }
}
