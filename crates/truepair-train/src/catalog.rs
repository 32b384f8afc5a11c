//! The tables of `docs/methods.md`, from the registries.

use std::fmt::Write;

use serde::Serialize;

use crate::labeled::LabelMethodConfig;
use crate::strategy::StrategyConfig;
use truepair_model::backbone::BackboneConfig;
use truepair_model::similarity::SimilarityConfig;

/// The whole page: strategies, similarities and backbones with their default settings.
pub fn methods_page() -> String {
    let mut page = String::from(
        "# Methods\n\nGenerated from the registries of `truepair-model` and `truepair-train`; a test \
         compares. Every method's equations, source and numbered deviations stand in its file's doc card.\n",
    );
    let strategies = StrategyConfig::all();
    let rows = strategies
        .iter()
        .map(|(name, summary, config)| (*name, *summary, settings(config)));
    table(&mut page, "Strategies", "`[strategy] kind`", rows);
    let similarities = SimilarityConfig::all();
    let rows = similarities
        .iter()
        .map(|(name, summary, config)| (*name, *summary, settings(config)));
    table(
        &mut page,
        "Similarities",
        "`[matcher.similarity] kind`",
        rows,
    );
    let backbones = BackboneConfig::all();
    let rows = backbones
        .iter()
        .map(|(name, summary, config)| (*name, *summary, settings(config)));
    table(
        &mut page,
        "Backbones",
        "`[matcher.image] kind` or `[matcher.caption] kind`",
        rows,
    );
    let methods = LabelMethodConfig::all();
    let rows = methods
        .iter()
        .map(|(name, summary, config)| (*name, *summary, settings(config)));
    table(
        &mut page,
        "Methods for labeled data",
        "`[method] kind` of `truepair labels`",
        rows,
    );
    page
}

fn table<'a>(
    page: &mut String,
    title: &str,
    key: &str,
    rows: impl Iterator<Item = (&'a str, &'a str, String)>,
) {
    let head = format!("\n## {title}\n\n| {key} | what it does | defaults |\n|---|---|---|\n");
    page.push_str(&head);
    for (name, summary, settings) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| `{name}` | {summary} | {settings} |");
    }
}

/// The settings as TOML, in one line without the kind.
fn settings(config: &impl Serialize) -> String {
    let value = toml::Value::try_from(config).expect("a config is plain numbers and strings");
    let table = value.as_table().expect("a config is a table");
    let settings: Vec<String> = (table.iter())
        .filter(|(key, _)| *key != "kind")
        .map(|(key, value)| format!("`{key} = {value}`"))
        .collect();
    if settings.is_empty() {
        "none".into()
    } else {
        settings.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recipe;

    #[test]
    fn every_default_builds_and_survives_toml() {
        for (name, _, config) in StrategyConfig::all() {
            assert_eq!(config.name(), name);
            config.build(10).unwrap();
            let text = toml::to_string(&config).unwrap();
            assert_eq!(toml::from_str::<StrategyConfig>(&text).unwrap(), config);
        }
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = Recipe::from_toml("[strategy]\nkind = \"rcl\"\nmargin = 0.2\n").unwrap_err();
        assert!(error.to_string().contains("margin"), "{error}");
        let error = Recipe::from_toml("[training]\nepoch = 3\n").unwrap_err();
        assert!(error.to_string().contains("epochs"), "{error}");
    }
}
