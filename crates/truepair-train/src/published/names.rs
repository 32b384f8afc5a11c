//! Lists of our parameter names beside those of the source's `state_dict`.

/// Our names with the source's, in that order.
pub type Names = Vec<(String, String)>;

/// The parts of a dense layer or a convolution.
pub const DENSE: [&str; 2] = ["weight", "bias"];

/// The parts of a batch normalization.
pub const NORM: [&str; 4] = ["weight", "bias", "running_mean", "running_var"];

/// Names that differ in what stands before their last part, for instance a layer's weight and bias.
pub fn renamed(ours: &str, theirs: &str, parts: &[&str]) -> Names {
    (parts.iter())
        .map(|part| (format!("{ours}.{part}"), format!("{theirs}.{part}")))
        .collect()
}

/// One direction of a GRU layer; `suffix` is empty or `_reverse`.
pub fn recurrent(ours: &str, theirs: &str, suffix: &str) -> Names {
    (["weight_ih", "weight_hh", "bias_ih", "bias_hh"].iter())
        .map(|part| {
            let theirs = format!("{theirs}.{part}_l0{suffix}");
            (format!("{ours}.{part}"), theirs)
        })
        .collect()
}

/// The names of a part of a model, as they read from the model's root.
pub fn within(ours: &str, theirs: &str, names: Names) -> Names {
    (names.into_iter())
        .map(|(our, their)| (format!("{ours}.{our}"), format!("{theirs}.{their}")))
        .collect()
}
