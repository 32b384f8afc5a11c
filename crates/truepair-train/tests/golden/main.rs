//! Numbers that reference implementations gave on tiny inputs; see `fixtures/golden/README.md`.
//!
//! Sizes and cases are read from the files, so another draw of them can be tested by naming its
//! folder in the environment variable `TRUEPAIR_GOLDEN`.

mod adamp;
mod basics;
mod cases;
mod correspondence;
mod entry;
mod imram;
mod labeled;
mod negative_learning;
mod pcme;
mod pcme_plus;
mod published;
mod published_attention;
mod pvse;
mod resnet;
mod scan;
mod sgraf;
mod structure;
mod support;
mod vse_infinity;
mod vsepp;
mod vsrn;
