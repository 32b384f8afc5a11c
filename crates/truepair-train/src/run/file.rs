//! The names of the files of a run directory; no other place knows them.

/// The resolved config.
pub const CONFIG: &str = "config.toml";
/// One epoch record a line.
pub const METRICS: &str = "metrics.jsonl";
/// The kept epoch's weights.
pub const WEIGHTS: &str = "weights.safetensors";
/// Token ids, where the caption backbone reads tokens.
pub const VOCABULARY: &str = "vocabulary.json";
/// Terms and directions, where vectors are made of captions' texts.
pub const ANALYSIS: &str = "latent_semantics.safetensors";
/// Words that the file of word vectors does not hold, one a line.
pub const WORDS_WITHOUT_VECTOR: &str = "words_without_vector.txt";
/// The whole state after the last finished epoch: where it is, there is a run.
pub const CHECKPOINT: &str = "checkpoint.bin";
/// The numbers of the epochs for TensorBoard.
pub const EVENTS: &str = "events.out.tfevents.0.truepair";

/// A peer's beliefs about the pairs.
pub fn ledger(peer: usize) -> String {
    match peer {
        0 => "ledger.bin".to_owned(),
        peer => format!("ledger_{peer}.bin"),
    }
}
