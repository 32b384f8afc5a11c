//! The examples, run: each has a test that calls its `main`, whose assertions are part of the lesson.

#[path = "../examples/01_audit_your_embeddings.rs"]
mod audit_your_embeddings;
#[path = "../examples/05_index_and_search.rs"]
mod index_and_search;
#[path = "../examples/03_your_own_metric.rs"]
mod your_own_metric;
