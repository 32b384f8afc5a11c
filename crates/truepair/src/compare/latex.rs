//! The tables for a paper: `booktabs`, one table per planted noise, ready to be used.

use std::fmt::Write as _;

use super::table::MethodComparison;
use super::text::{cells, columns, protocol, title};
use crate::render::printable;

/// All tables; needs `\usepackage{booktabs}`.
pub(super) fn document(comparison: &MethodComparison) -> String {
    let mut out = String::from("% Needs \\usepackage{booktabs}.\n");
    let about = protocol(comparison);
    for block in &comparison.blocks {
        let rows = block.rows.iter().map(|row| {
            let print = |cell: String| {
                let cell = escape(&cell);
                if row.best {
                    format!("\\textbf{{{cell}}}")
                } else {
                    cell
                }
            };
            cells(comparison, row)
                .into_iter()
                .map(print)
                .collect::<Vec<String>>()
        });
        let caption = format!("{}. {about}", title(block));
        table(&mut out, &caption, &columns(comparison), rows);
    }
    for published in &comparison.published {
        let lines = published.lines().into_iter();
        let rows = lines.map(|line| line.iter().map(|cell| escape(cell)).collect());
        table(&mut out, &published.title, &published.columns(), rows);
    }
    out
}

fn table(
    out: &mut String,
    caption: &str,
    header: &[impl AsRef<str>],
    rows: impl Iterator<Item = Vec<String>>,
) {
    let header: Vec<String> = header.iter().map(|name| escape(name.as_ref())).collect();
    let _ = write!(
        out,
        "\n\\begin{{table}}\n\\caption{{{}}}\n\\begin{{tabular}}{{l{}}}\n\\toprule\n{} \\\\\n\\midrule\n",
        escape(caption),
        "r".repeat(header.len() - 1),
        header.join(" & ")
    );
    for row in rows {
        let _ = writeln!(out, "{} \\\\", row.join(" & "));
    }
    out.push_str("\\bottomrule\n\\end{tabular}\n\\end{table}\n");
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in printable(text).chars() {
        match letter {
            // A blank line would end the caption that it stands in.
            '\n' => out.push(' '),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(letter);
            }
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '±' => out.push_str("$\\pm$"),
            '–' => out.push_str("--"),
            '<' | '>' => {
                let _ = write!(out, "${letter}$");
            }
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_latex_reads_as_markup_is_escaped() {
        assert_eq!(escape("a_b & 5 %\\"), "a\\_b \\& 5 \\%\\textbackslash{}");
        assert_eq!(escape("3.0 ± 0.1 – x"), "3.0 $\\pm$ 0.1 -- x");
        assert_eq!(
            escape("a\n\nb\u{1b}\u{202e}"),
            "a  b\\textbackslash{}u\\{1b\\}\\textbackslash{}u\\{202e\\}"
        );
    }

    #[test]
    fn a_table_has_as_many_columns_as_names() {
        let mut out = String::new();
        table(
            &mut out,
            "c",
            &["a", "b"],
            std::iter::once(vec!["1".into(), "2".into()]),
        );
        assert!(
            out.contains("{lr}") && out.contains("a & b \\\\\n\\midrule\n1 & 2 \\\\"),
            "{out}"
        );
    }
}
