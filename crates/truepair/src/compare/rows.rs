//! The methods of a comparison that a row file asks for.

use std::path::Path;

use anyhow::{Context, Result};
use truepair_train::Recipe;
use truepair_train::strategy::StrategyConfig;

use super::method::{COSINE, Method, MethodKind, Settings};
use super::names::chosen;
use crate::config::ConfigArgs;
use crate::oracle::Oracle;
use crate::row_file::{Row, RowFile, folder_of};

/// What a row file asks a comparison for.
#[derive(Debug)]
pub(crate) struct Rows {
    pub(crate) file: RowFile,
    pub(crate) methods: Vec<Method>,
}

impl Rows {
    /// Reads a row file and all that it names; `shared` goes on top of every row.
    ///
    /// # Errors
    /// If a file cannot be read or says something that does not exist; the file and the row are named.
    pub(crate) fn read(named: &Path, shared: &ConfigArgs) -> Result<Self> {
        let file = RowFile::read(named)?;
        let mut methods: Vec<Method> = Vec::new();
        for row in &file.rows {
            let of_row = || format!("{}: row `{}`", file.name, row.label);
            methods.extend(methods_of(&file, row, shared).with_context(of_row)?);
        }
        Ok(Self { file, methods })
    }
}

/// One method, or one a configuration and their mean.
fn methods_of(file: &RowFile, row: &Row, shared: &ConfigArgs) -> Result<Vec<Method>> {
    let oracle = match &row.oracle {
        None => None,
        Some(name) => {
            let known = Oracle::ALL.map(Oracle::name);
            chosen("oracle", std::slice::from_ref(name), &known)?;
            Oracle::by_name(name)
        }
    };
    let noises = row.noises()?;
    let method = |name: String, kind: MethodKind| Method {
        folder: folder_of(&name),
        name,
        oracle,
        kind,
        noises: noises.clone(),
        published: None,
    };
    let mut methods = Vec::new();
    for config in &row.configs {
        let stem = config.file_stem().unwrap_or_default().to_string_lossy();
        let name = match row.configs.len() {
            1 => row.label.clone(),
            _ => format!("{} ({stem})", row.label),
        };
        let recipe: Recipe = shared.load_layers(&file.layers(row, config)?)?;
        let similarity = similarity(&recipe);
        let settings = Settings { recipe, similarity };
        methods.push(method(name, MethodKind::Settings(Box::new(settings))));
    }
    if let [first, _, ..] = methods.as_slice() {
        let similarity = first.similarity();
        let alike = methods.iter().all(|part| part.similarity() == similarity);
        let parts = methods.iter().map(|part| part.folder.clone()).collect();
        let similarity = if alike { similarity } else { "mean" };
        let kind = MethodKind::Mean { parts, similarity };
        methods.push(method(row.label.clone(), kind));
    }
    if let Some(last) = methods.last_mut() {
        last.published.clone_from(&row.published);
    }
    Ok(methods)
}

/// The similarity of a recipe: what it says, or what its strategy reads.
fn similarity(recipe: &Recipe) -> &'static str {
    if let Some(similarity) = &recipe.matcher.similarity {
        return similarity.name();
    }
    let own =
        |strategy: &StrategyConfig| (!strategy.takes(COSINE)).then(|| strategy.similarity().name());
    recipe.strategy.as_ref().and_then(own).unwrap_or(COSINE)
}

#[cfg(test)]
mod tests {
    use truepair_core::noise::NoiseSpec;

    use super::super::grid::{Seeds, asked_noises};
    use super::*;

    fn read(rows: &str) -> Result<Rows> {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(
            home.path().join("scan.toml"),
            "[matcher.similarity]\nkind = \"scan\"\ndirection = \"t2i\"\n[training]\nepochs = 4\n",
        )
        .unwrap();
        std::fs::write(
            home.path().join("sgr.toml"),
            "[matcher.similarity]\nkind = \"sgr\"\nsteps = 2\n",
        )
        .unwrap();
        let file = home.path().join("rows.toml");
        std::fs::write(&file, rows).unwrap();
        Rows::read(&file, &ConfigArgs::default())
    }

    fn recipe(method: &Method) -> &Recipe {
        let MethodKind::Settings(settings) = &method.kind else {
            panic!("{method:?} has no settings")
        };
        &settings.recipe
    }

    #[test]
    fn rows_have_their_own_configurations_and_several_are_averaged() {
        let file = read(
            "title = \"t\"\nnoise = [\"caption:0.2\"]\nseeds = \"4,5\"\n\
             [[row]]\nlabel = \"Both\"\nconfigs = [\"scan.toml\", \"sgr.toml\"]\n\
             [[row]]\nlabel = \"NCR*\"\nconfigs = [\"sgr.toml\"]\nstrategy = \"ncr\"\n\
             [row.set]\nmatcher.similarity.steps = 1\ntraining.epochs = 7\n",
        )
        .unwrap();
        let names: Vec<(&str, &str)> = (file.methods.iter())
            .map(|method| (method.name.as_str(), method.folder.as_str()))
            .collect();
        assert_eq!(
            names,
            [
                ("Both (scan)", "both_scan"),
                ("Both (sgr)", "both_sgr"),
                ("Both", "both"),
                ("NCR*", "ncrstar")
            ]
        );
        let of_mean = &file.methods[2];
        assert_eq!(of_mean.similarity(), "mean");
        let MethodKind::Mean { parts, .. } = &of_mean.kind else {
            panic!("{of_mean:?}")
        };
        assert_eq!(parts, &["both_scan", "both_sgr"]);
        let ncr = recipe(&file.methods[3]);
        assert_eq!(ncr.strategy.as_ref().unwrap().name(), "ncr");
        assert_eq!(ncr.training.epochs, 7);
        assert_eq!(recipe(&file.methods[0]).training.epochs, 4);
        assert_eq!(Seeds::asked(None, Some(&file.file)).unwrap().len(), 2);
        let noises: Vec<NoiseSpec> = asked_noises(&[], Some(&file.file)).unwrap();
        assert_eq!(noises[0].to_string(), "caption:0.2");
    }

    #[test]
    fn what_is_wrong_names_the_file_and_the_row() {
        let row = "title = \"t\"\n[[row]]\nlabel = \"A\"\n";
        let cases = [
            (format!("{row}configs = [\"none.toml\"]"), "none.toml"),
            (format!("{row}configs = []"), "row `A`"),
            (format!("{row}config = []"), "did you mean `configs`"),
            (
                format!("{row}configs = [\"sgr.toml\"]\nstrategy = \"ncx\""),
                "did you mean",
            ),
            (
                format!("{row}configs = [\"sgr.toml\"]\noracle = \"clean\""),
                "clean-only",
            ),
            (
                format!(
                    "{row}configs = [\"sgr.toml\"]\n[[row]]\nlabel = \"a\"\nconfigs = [\"sgr.toml\"]"
                ),
                "share a folder",
            ),
            ("title = \"t\"\nrow = []".to_owned(), "no row"),
        ];
        for (text, expected) in cases {
            let error = format!("{:#}", read(&text).unwrap_err());
            assert!(
                error.contains(expected) && error.contains("rows.toml"),
                "{text}: {error}"
            );
        }
    }
}
