//! `--out` and `--force`: the folder of a command that writes only where it is told to.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::remote;
use crate::staged_folder::{Existing, StagedFolder};

/// Where a command writes.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// Folder for everything that is written; nothing is written without it.
    #[arg(long, value_name = "DIR", value_parser = remote::output())]
    out: Option<PathBuf>,

    /// Replace what the same command wrote into that folder earlier.
    #[arg(long, requires = "out")]
    force: bool,
}

impl OutputArgs {
    /// Whether a folder was named.
    pub(crate) fn is_named(&self) -> bool {
        self.out.is_some()
    }

    /// Claims the folder for `command`, where one was named.
    ///
    /// # Errors
    /// If it cannot be written, or holds something that may not be replaced.
    pub(crate) fn open(&self, command: &str) -> Result<Option<StagedFolder>> {
        let existing = if self.force {
            Existing::Replace
        } else {
            Existing::Refuse
        };
        let out = self.out.as_ref();
        out.map(|out| StagedFolder::open(out, command, existing))
            .transpose()
    }
}
