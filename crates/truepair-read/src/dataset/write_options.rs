//! How a cleaned list is written where its format knows several ways.

/// Choices for [`write_kept_into`](super::write_kept_into); the defaults are those of
/// [`write_kept`](super::write_kept).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// What is written.
    pub form: WriteForm,
}

/// What a cleaned list consists of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WriteForm {
    /// What its format writes where nothing is asked for.
    #[default]
    Own,
    /// Shards with the kept samples alone, as large as these are.
    Shards,
    /// A list of the kept samples' keys, beside links to what was read.
    Keys,
}

impl std::fmt::Display for WriteForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            WriteForm::Own => "own",
            WriteForm::Shards => "shards",
            WriteForm::Keys => "keys",
        })
    }
}
