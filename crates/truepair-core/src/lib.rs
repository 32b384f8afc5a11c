//! Which pairs of a two-modality data set are mismatched, and how well a matcher retrieves.
//!
//! This crate holds everything of `truepair` that needs neither a tensor framework nor other people's
//! files: paired data, planted noise, ranking metrics, loss mixtures and the audit statistics. It
//! does not print, exit, or read the environment or the clock.
//!
//! # A tour
//!
//! Pairs, a scorer that was not trained on them, and what their scores say:
//!
//! ```
//! use truepair_core::audit::{AuditOptions, Evidence, Fold, Links, Rule, conclude, decide, judge_fold};
//! use truepair_core::pair::Pair;
//! use truepair_core::rng::{Seed, normal};
//! use truepair_core::scores::{InnerProduct, Matrix};
//!
//! // Embeddings of 300 images, and of captions near them; the first sixty pairs are rotated.
//! let stream = &mut Seed(1).stream("toy", &[]);
//! let images: Vec<f32> = (0..300 * 32).map(|_| normal(stream) as f32).collect();
//! let captions = images.iter().map(|x| x + normal(stream) as f32).collect();
//! let (mut images, mut captions) = (Matrix::new(images, 32), Matrix::new(captions, 32));
//! images.normalize();
//! captions.normalize();
//! let pair = |n| Pair { image: n, caption: if n < 60 { (n + 1) % 60 } else { n } };
//! let pairs: Vec<Pair> = (0..300).map(pair).collect();
//!
//! let links = Links::without_duplicates(&pairs, 300, 300)?;
//! let scorer = InnerProduct::new(images, captions)?;
//! let judged: Vec<u32> = (0..300).collect();
//! let (links, pairs) = (&links, pairs.as_slice());
//! let fold = Fold { scorer: &scorer, pairs, judged: &judged, links, cells: None, plan: None };
//! let (options, seed) = (AuditOptions::default(), Seed(0));
//! let statistics = judge_fold(&fold, &options, seed, &mut ())?;
//! let findings = conclude(pairs, links, &Evidence::of(&[statistics]), &options, seed)?;
//!
//! let rate = findings.noise_rate;
//! assert!(rate.low < 0.2 && 0.2 < rate.high);
//! let posteriors: Vec<f64> = findings.verdicts.iter().map(|verdict| verdict.posterior).collect();
//! let kept = decide(&posteriors, Rule::KeepBadAtMost(0.05))?.keep;
//! assert!(kept[60..].iter().filter(|kept| **kept).count() > 220);
//! # Ok::<(), truepair_core::Error>(())
//! ```
//!
//! The crate `truepair-read` turns the files that a user has into a [`Dataset`](dataset::Dataset),
//! [`linear`] and [`audit::cross_fit`] make the scorer where images and captions share no space,
//! [`noise::corrupt`] plants known mismatches, [`ranking`] and [`metric`] say how well a scorer
//! retrieves, [`labeled`] does all this for class labels.
#![deny(missing_docs)]

pub mod answer;
pub mod audit;
mod cholesky;
pub mod dataset;
mod dense;
pub mod diagnosis;
pub mod digest;
pub mod durable;
pub mod error;
pub mod labeled;
pub mod ledger;
pub mod linear;
mod lists;
pub mod metric;
pub mod mixture;
pub mod noise;
pub mod npy;
pub mod pair;
pub mod ranking;
pub mod relevance;
pub mod rng;
pub mod scores;
pub mod source_file;
pub mod text;
pub mod watch;

pub use error::{Error, ErrorKind, Result};
