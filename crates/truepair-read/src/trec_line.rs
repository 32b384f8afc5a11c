//! Lines of TREC's files: fields between spaces, or between tabs where there is one tab less than
//! fields.

/// The fields of a line that should have `n` of them.
pub(crate) fn fields(line: &str, n: usize) -> Vec<&str> {
    let between_tabs: Vec<&str> = line.split('\t').map(str::trim).collect();
    if between_tabs.len() == n && !between_tabs.contains(&"") {
        return between_tabs;
    }
    line.split_whitespace().collect()
}

/// What to do about a line that has other fields than expected.
pub(crate) fn remedy(found: usize, expected: usize, example: &str) -> String {
    let words = ["", "one", "two", "three", "four", "five", "six"];
    let n = words.get(expected).copied().unwrap_or("its");
    let spaces = match found > expected {
        true => "; a space inside an id is written %20, or fields are separated by tabs",
        false => "",
    };
    format!("write {n} fields separated by spaces, for instance `{example}`{spaces}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tabs_keep_spaces_inside_fields() {
        assert_eq!(fields("q 0\td 1 ", 2), ["q 0", "d 1"]);
        assert_eq!(fields("q \t 0  d\t1", 4), ["q", "0", "d", "1"]);
        assert_eq!(fields("q\t\t1", 3), ["q", "1"]);
        assert!(remedy(8, 6, "x").contains("six fields") && remedy(8, 6, "x").contains("%20"));
        assert!(!remedy(5, 6, "x").contains("%20"));
    }
}
