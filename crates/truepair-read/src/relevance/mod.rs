//! Who counts as right according to files: judgments, names of items, and labels.

mod codes;
mod cxc;
mod ids;
mod instances;
mod map_file;
mod qrels;

pub use codes::read_codes;
pub use cxc::read_cxc;
pub use ids::{read_all_ids, read_ids};
pub use instances::read_instances;
pub use map_file::read_map;
pub(crate) use map_file::read_ranked_map;
pub(crate) use qrels::not_empty;
pub use qrels::{read_qrels, write_qrels};
