//! The pages and their files, carried in the program.

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
pub(crate) const HTML: &str = "text/html; charset=utf-8";

/// The search page.
pub(crate) const SEARCH: &str = include_str!("../assets/search.html");

/// The description of the API for people.
pub(crate) const DOCS: &str = include_str!("../assets/docs.html");

/// Files of the pages: name, type, content.
pub(crate) const FILES: &[(&str, &str, &str)] = &[
    ("base.css", CSS, include_str!("../assets/base.css")),
    ("search.css", CSS, include_str!("../assets/search.css")),
    ("docs.css", CSS, include_str!("../assets/docs.css")),
    ("theme.js", JS, include_str!("../assets/theme.js")),
    ("server.js", JS, include_str!("../assets/server.js")),
    ("query.js", JS, include_str!("../assets/query.js")),
    ("results.js", JS, include_str!("../assets/results.js")),
    ("detail.js", JS, include_str!("../assets/detail.js")),
    ("search.js", JS, include_str!("../assets/search.js")),
    ("docs.js", JS, include_str!("../assets/docs.js")),
    (
        "icon.svg",
        "image/svg+xml",
        include_str!("../assets/icon.svg"),
    ),
];
