//! The arguments that say how a cleaned list is written.

use clap::{Args, ValueEnum};
use truepair_read::dataset::{WriteForm, WriteOptions};

/// How a cleaned list is written.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct WriteArgs {
    /// What the cleaned list consists of, where the data's format knows several forms.
    #[arg(long, value_name = "FORM", default_value = "own", requires = "out")]
    write: Form,
}

/// What a cleaned list consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// What the format writes by itself: a list beside links to the data
    Own,
    /// Shards with the kept samples alone, which take as much room as these
    Shards,
    /// The keys of the kept samples, beside links to the shards
    Keys,
}

impl From<WriteArgs> for WriteOptions {
    fn from(args: WriteArgs) -> Self {
        Self {
            form: match args.write {
                Form::Own => WriteForm::Own,
                Form::Shards => WriteForm::Shards,
                Form::Keys => WriteForm::Keys,
            },
        }
    }
}
