//! The examples, run: each has a test that calls its `main`, whose assertions are part of the lesson.

#[path = "../examples/02_train_ncr.rs"]
mod train_ncr;
#[path = "../examples/04_your_own_strategy.rs"]
mod your_own_strategy;
