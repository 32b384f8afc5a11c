//! Texts of other people in Markdown: they are shown, and none becomes markup.

use super::printable::printable;

/// A text of one line, none of which Markdown takes for a table's line or for HTML.
pub(crate) fn in_markdown(text: &str) -> String {
    let line = text.split(['\n', '\r']).collect::<Vec<_>>().join(" ");
    // Backslashes first: one of the text's own would take back the escape of the mark behind it.
    let line = printable(&line).replace('\\', "\\\\");
    line.replace('|', "\\|").replace('<', "\\<")
}

/// Lines as they are, inside a fence that is longer than anything in them that could close it.
pub(crate) fn fenced(lines: &str) -> String {
    let ticks = lines.split(|char: char| char != '`').map(str::len);
    let fence = "`".repeat(ticks.max().unwrap_or(0).max(2) + 1);
    format!("{fence}text\n{}{fence}\n", printable(lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_no_markup() {
        assert_eq!(
            in_markdown("a|b\n<i> \\<b> \u{1b}[31m \u{202e}"),
            "a\\|b \\<i> \\\\\\<b> \\\\u{1b}[31m \\\\u{202e}"
        );
        assert_eq!(in_markdown("flickr, split test"), "flickr, split test");
    }

    #[test]
    fn nothing_closes_the_fence_but_its_end() {
        assert_eq!(fenced("data  birds\n"), "```text\ndata  birds\n```\n");
        assert_eq!(
            fenced("data  a\n````\n<b>\u{1b}[31m\r\n"),
            "`````text\ndata  a\n````\n<b>\\u{1b}[31m\\u{d}\n`````\n"
        );
    }
}
