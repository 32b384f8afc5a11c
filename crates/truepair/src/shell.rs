//! Commands that can be typed again, in notes and reports.

use std::path::Path;

/// A path as a shell reads it.
pub(crate) fn word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+=:,@".contains(letter);
    if text.chars().all(plain) && !text.is_empty() {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_only_where_a_shell_would_split_them() {
        assert_eq!(word(Path::new("runs/a-1.csv")), "runs/a-1.csv");
        assert_eq!(word(Path::new("my data")), "'my data'");
        assert_eq!(word(Path::new("it's")), r"'it'\''s'");
    }
}
