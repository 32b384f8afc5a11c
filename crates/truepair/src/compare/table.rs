//! From finished cells to the numbers of the tables: means and spreads over seeds, and how far each
//! method is from the best.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::Serialize;
use truepair_core::metric::{Figure, Metric, Protocol, rsum_difference};
use truepair_core::noise::NoiseSpec;
use truepair_core::ranking::Ranks;
use truepair_core::rng::Seed;

use super::comparable_noise::ComparableNoise;
use super::figure_column::FigureColumn;
use super::grid::{Grid, GridCell};
use super::method::Method;
use super::published::{self, Published, PublishedBlock, PublishedRow};
use super::record::{CellRecord, FinishedCell};
use super::split::{BeliefRecord, EpochSplit};
use super::task::CellTask;
use crate::output::Output;
use crate::render::{direction_text, percent};

/// Draws of every bootstrap.
const N_RESAMPLES: usize = 5_000;

/// All that `truepair compare` found out; recalls and shares as fractions.
#[derive(Serialize, JsonSchema)]
pub(crate) struct MethodComparison {
    command: &'static str,
    pub(crate) data: String,
    /// What a row file calls its table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    pub(crate) seeds: Vec<Seed>,
    /// Draws behind every interval.
    resamples: usize,
    /// One per planted noise.
    pub(crate) blocks: Vec<NoiseBlock>,
    /// Numbers of publications, for orientation only.
    pub(crate) published: Vec<PublishedBlock>,
    /// Metrics that the printed tables show besides recalls and rSum.
    #[serde(skip)]
    pub(crate) shown: Vec<&'static dyn Metric>,
    pub(crate) out: PathBuf,
}

impl Output for MethodComparison {
    const SCHEMA: &'static str = "truepair/compare/1";
}

/// The methods under one planted noise.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct NoiseBlock {
    pub(crate) noise: NoiseSpec,
    /// How the first seed's runs were measured; `None` when no run of the block is finished.
    pub(crate) protocol: Option<Protocol>,
    pub(crate) rows: Vec<MethodRow>,
}

/// One method under one planted noise, over seeds.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct MethodRow {
    pub(crate) method: String,
    pub(crate) similarity: &'static str,
    /// Whether the method knows the truth about the noise.
    pub(crate) oracle: bool,
    /// Whether this is the row that the others are compared with.
    pub(crate) best: bool,
    pub(crate) failed: Vec<FailedCell>,
    /// The single runs, by seed.
    pub(crate) runs: Vec<SeedRun>,
    /// `None` when no run is finished.
    pub(crate) numbers: Option<RowNumbers>,
    /// The published result that a row file puts beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) published: Option<PublishedRow>,
}

/// One run of a row.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SeedRun {
    pub(crate) seed: Seed,
    #[serde(flatten)]
    pub(crate) record: CellRecord,
    pub(crate) epochs: Vec<EpochSplit>,
}

/// A run that did not come to its end.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(crate) struct FailedCell {
    #[serde(skip)]
    cell: GridCell,
    seed: Seed,
    pub(crate) error: String,
}

impl FailedCell {
    pub(crate) fn new(cell: &GridCell, error: String) -> Self {
        Self {
            seed: cell.seed,
            cell: cell.clone(),
            error,
        }
    }

    pub(super) fn name(&self) -> String {
        self.cell.to_string()
    }
}

/// A metric's number over seeds, in the metric's own unit.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FigureSpread {
    metric: &'static str,
    direction: &'static str,
    #[serde(flatten)]
    pub(crate) spread: Spread,
}

impl RowNumbers {
    /// The number of a metric under the name that a table's column has, in the metric's own unit.
    pub(crate) fn figure(&self, column: &FigureColumn) -> Option<Spread> {
        let mut figures = self.figures.iter();
        let direction = direction_text(column.direction);
        figures
            .find(|figure| figure.metric == column.metric.name() && figure.direction == direction)
            .map(|figure| figure.spread)
    }
}

/// The numbers of a row.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RowNumbers {
    /// Networks of the ensemble.
    pub(crate) networks: u32,
    /// Recall@1, 5, 10 of images asking, then of captions asking; all networks, kept epoch.
    pub(crate) recalls: [Spread; 6],
    /// All networks, kept epoch.
    pub(crate) rsum: Spread,
    /// Every metric; all networks, kept epoch.
    pub(crate) figures: Vec<FigureSpread>,
    /// One network, kept epoch.
    pub(crate) rsum_single: Spread,
    /// All networks, last epoch.
    pub(crate) rsum_last: Spread,
    /// One network, last epoch.
    pub(crate) rsum_last_single: Spread,
    /// rSum minus that of the best row; `None` for that row and without common seeds.
    pub(crate) to_best: Option<Gap>,
    /// Beliefs at the kept epochs against the planted noise.
    pub(crate) split: Option<SplitNumbers>,
    pub(crate) seconds_per_epoch: f64,
    /// Mean over seeds of the time for all epochs.
    pub(crate) train_seconds: f64,
}

/// Mean over seeds, and their sample standard deviation where there are at least two.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Spread {
    pub(crate) mean: f64,
    pub(crate) sd: Option<f64>,
}

/// A difference in rSum, as a sum of fractions, with its 95 % interval.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub(crate) struct Gap {
    pub(crate) mean: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) p: f64,
    /// Seeds that both rows have finished.
    pub(crate) seeds: usize,
}

/// Beliefs against the truth at the kept epochs, added or averaged over seeds.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SplitNumbers {
    pub(crate) precision: Option<f64>,
    pub(crate) recall: f64,
    pub(crate) auc: f64,
    pub(crate) matched: Vec<u64>,
    pub(crate) mismatched: Vec<u64>,
}

impl Spread {
    /// # Panics
    /// If there is no value.
    pub(crate) fn of(values: &[f64]) -> Self {
        assert!(!values.is_empty(), "the mean of nothing");
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self {
            mean,
            sd: (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()),
        }
    }
}

impl Spread {
    /// Of shares in percent.
    pub(super) fn in_percent(self) -> Self {
        Self {
            mean: percent(self.mean),
            sd: self.sd.map(percent),
        }
    }
}

impl MethodComparison {
    /// Reads what the finished cells of the grid measured.
    pub(crate) fn read(
        grid: &Grid,
        tasks: &[CellTask],
        failures: &[FailedCell],
        published: Published,
        out: PathBuf,
    ) -> Result<Self> {
        let blocks = (grid.noises.iter().zip(&published.noises))
            .map(|noises| NoiseBlock::read(noises, grid, tasks, failures))
            .collect::<Result<Vec<_>>>()?;
        let protocols = blocks.iter().filter_map(|block| block.protocol.as_ref());
        let data = protocols.map(|protocol| format!("{}, split {}", protocol.data, protocol.split));
        Ok(Self {
            command: "compare",
            data: data.into_iter().next().unwrap_or_default(),
            title: None,
            seeds: grid.seeds.clone(),
            resamples: N_RESAMPLES,
            blocks,
            published: published.blocks,
            shown: Vec::new(),
            out,
        })
    }
}

/// The published result that a row file puts beside a method under a noise.
fn beside(grid: &Grid, noise: &ComparableNoise, method: &Method) -> Result<Option<PublishedRow>> {
    let (Some(table), Some(name)) = (&grid.published, &method.published) else {
        return Ok(None);
    };
    let found = published::beside(table, noise, name);
    found.with_context(|| format!("row `{}`", method.name))
}

/// A row whose query ranks are still at hand.
struct RowDraft {
    row: MethodRow,
    finished: Vec<(Seed, FinishedCell)>,
}

impl NoiseBlock {
    fn read(
        (noise, planted): (&NoiseSpec, &ComparableNoise),
        grid: &Grid,
        tasks: &[CellTask],
        failures: &[FailedCell],
    ) -> Result<Self> {
        let mut drafts = Vec::new();
        for row in grid.rows() {
            let method = &grid.methods[row.method];
            if !method.stands_under(noise) {
                continue;
            }
            let of_row = |cell: &GridCell| {
                cell.noise == *noise
                    && cell.similarity == row.similarity
                    && cell.method == row.method
            };
            let finished = tasks.iter().filter(|task| of_row(&task.cell));
            let finished = (finished.filter(|task| task.is_finished()))
                .map(|task| Ok((task.cell.seed, FinishedCell::read(&task.plan.out)?)))
                .collect::<Result<Vec<_>>>()?;
            let failed = failures.iter().filter(|failure| of_row(&failure.cell));
            let row = MethodRow {
                method: method.name.clone(),
                similarity: row.similarity,
                oracle: method.oracle.is_some(),
                best: false,
                failed: failed.cloned().collect(),
                runs: Vec::new(),
                numbers: numbers(&finished),
                published: beside(grid, planted, method)?,
            };
            drafts.push(RowDraft { row, finished });
        }
        check_alike(&drafts)?;
        compare_with_best(&mut drafts)?;
        let first = drafts.iter().find_map(|draft| draft.finished.first());
        Ok(Self {
            noise: noise.clone(),
            protocol: first.map(|(_, finished)| finished.record.protocol.clone()),
            rows: drafts.into_iter().map(RowDraft::into_row).collect(),
        })
    }
}

impl RowDraft {
    fn into_row(self) -> MethodRow {
        let runs = self.finished.into_iter().map(|(seed, finished)| SeedRun {
            seed,
            record: finished.record,
            epochs: finished.epochs,
        });
        MethodRow {
            runs: runs.collect(),
            ..self.row
        }
    }

    fn rsum(&self) -> Option<f64> {
        (self.row.numbers.as_ref()).map(|numbers| numbers.rsum.mean)
    }

    fn ranks(&self, seed: Seed) -> Option<&Ranks> {
        let run = self.finished.iter().find(|(own, _)| *own == seed);
        run.map(|(_, finished)| &finished.queries.ensemble)
    }
}

fn numbers(finished: &[(Seed, FinishedCell)]) -> Option<RowNumbers> {
    let (_, first) = finished.first()?;
    let spread = |value: &dyn Fn(&CellRecord) -> f64| {
        let values: Vec<f64> = (finished.iter())
            .map(|(_, run)| value(&run.record))
            .collect();
        Spread::of(&values)
    };
    let n_epochs: usize = finished.iter().map(|(_, run)| run.epochs.len()).sum();
    let seconds: f64 = (finished.iter())
        .map(|(_, run)| run.record.train_seconds)
        .sum();
    Some(RowNumbers {
        networks: first.record.networks,
        recalls: std::array::from_fn(|at| spread(&|run| run.ensemble.recalls()[at])),
        rsum: spread(&|run| run.ensemble.rsum()),
        figures: figures(finished),
        rsum_single: spread(&|run| run.single.rsum()),
        rsum_last: spread(&|run| run.last.rsum()),
        rsum_last_single: spread(&|run| run.last_single.rsum()),
        to_best: None,
        split: split_numbers(finished),
        seconds_per_epoch: seconds / n_epochs.max(1) as f64,
        train_seconds: seconds / finished.len() as f64,
    })
}

/// Every number that all runs have.
fn figures(finished: &[(Seed, FinishedCell)]) -> Vec<FigureSpread> {
    let Some((_, first)) = finished.first() else {
        return Vec::new();
    };
    let of = |figure: &Figure| {
        let values = finished.iter().map(|(_, run)| {
            let mut figures = run.record.ensemble.figures().iter();
            let like = figures.find(|other| other.is_like(figure))?;
            Some(like.value)
        });
        Some(FigureSpread {
            metric: figure.metric.name(),
            direction: direction_text(figure.direction),
            spread: Spread::of(&values.collect::<Option<Vec<f64>>>()?),
        })
    };
    first
        .record
        .ensemble
        .figures()
        .iter()
        .filter_map(of)
        .collect()
}

fn split_numbers(finished: &[(Seed, FinishedCell)]) -> Option<SplitNumbers> {
    let beliefs: Vec<&BeliefRecord> = (finished.iter())
        .filter_map(|(_, run)| run.kept_epoch()?.belief.as_ref())
        .collect();
    let mean = |values: Vec<f64>| (!values.is_empty()).then(|| Spread::of(&values).mean);
    let added = |column: fn(&BeliefRecord) -> &Vec<u64>| {
        let mut sum = vec![0; column(beliefs[0]).len()];
        for belief in &beliefs {
            let bins = sum.iter_mut().zip(column(belief));
            bins.for_each(|(sum, count)| *sum += count);
        }
        sum
    };
    let recall = mean(beliefs.iter().map(|belief| belief.recall).collect())?;
    Some(SplitNumbers {
        precision: mean(
            beliefs
                .iter()
                .filter_map(|belief| belief.precision)
                .collect(),
        ),
        recall,
        auc: mean(beliefs.iter().map(|belief| belief.auc).collect())?,
        matched: added(|belief| &belief.matched),
        mismatched: added(|belief| &belief.mismatched),
    })
}

/// # Errors
/// If runs of one seed were measured on other data or trained on other noise.
fn check_alike(drafts: &[RowDraft]) -> Result<()> {
    let runs = || drafts.iter().flat_map(|draft| &draft.finished);
    for (seed, run) in runs() {
        let Some((_, first)) = runs().find(|(other, _)| other == seed) else {
            continue;
        };
        // The ensemble's size belongs to the method.
        let alike = Protocol {
            ensemble: run.record.protocol.ensemble,
            ..first.record.protocol.clone()
        };
        let differences = alike.differences(&run.record.protocol);
        if !differences.is_empty() {
            bail!(
                "runs of seed {} were measured under unlike protocols: {} (was the data changed \
                 meanwhile? choose another --out)",
                seed.0,
                differences.join("; ")
            )
        }
    }
    Ok(())
}

fn compare_with_best(drafts: &mut [RowDraft]) -> Result<()> {
    let Some(best) = best_of(drafts) else {
        return Ok(());
    };
    drafts[best].row.best = true;
    for at in (0..drafts.len()).filter(|&at| at != best) {
        let gap = gap(&drafts[at], &drafts[best])?;
        if let Some(numbers) = &mut drafts[at].row.numbers {
            numbers.to_best = gap;
        }
    }
    Ok(())
}

/// The row with the highest rSum; one with failed runs only where all have some.
fn best_of(drafts: &[RowDraft]) -> Option<usize> {
    let rows = drafts.iter().enumerate();
    let candidates = rows.filter_map(|(at, draft)| Some((at, draft.rsum()?, draft)));
    let candidates = candidates.filter(|(_, _, draft)| !draft.row.oracle);
    let (whole, failed): (Vec<_>, Vec<_>) =
        candidates.partition(|(_, _, draft)| draft.row.failed.is_empty());
    let rows = if whole.is_empty() { failed } else { whole };
    let best = rows.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    best.map(|(at, _, _)| at)
}

fn gap(draft: &RowDraft, best: &RowDraft) -> Result<Option<Gap>> {
    let pairs: Vec<(&Ranks, &Ranks)> = (draft.finished.iter())
        .filter_map(|(seed, run)| Some((&run.queries.ensemble, best.ranks(*seed)?)))
        .collect();
    let Some((_, first)) = draft.finished.first() else {
        return Ok(None);
    };
    if pairs.is_empty() {
        return Ok(None);
    }
    let found = rsum_difference(&pairs, &first.queries.units, N_RESAMPLES, Seed(0))?;
    Ok(Some(Gap {
        mean: found.mean,
        low: found.low,
        high: found.high,
        p: found.p,
        seeds: pairs.len(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_is_the_sample_standard_deviation() {
        let spread = Spread::of(&[1.0, 2.0, 6.0]);
        assert_eq!(spread.mean, 3.0);
        assert!((spread.sd.unwrap() - 7f64.sqrt()).abs() < 1e-12);
        assert_eq!(Spread::of(&[5.0]).sd, None);
    }

    fn draft(method: &str, rsum: Option<f64>, failed: usize) -> RowDraft {
        let methods = super::super::method::strategies(&[method.to_owned()], None, &[]).unwrap();
        let oracle = methods[0].oracle.is_some();
        let grid = Grid {
            noises: vec![NoiseSpec::None],
            similarities: vec!["cosine"],
            methods,
            seeds: vec![Seed(0)],
            ..Grid::default()
        };
        let cell = grid.cells().remove(0);
        let spread = |mean| Spread { mean, sd: None };
        let numbers = rsum.map(|rsum| RowNumbers {
            networks: 1,
            recalls: [spread(0.0); 6],
            rsum: spread(rsum),
            figures: Vec::new(),
            rsum_single: spread(rsum),
            rsum_last: spread(rsum),
            rsum_last_single: spread(rsum),
            to_best: None,
            split: None,
            seconds_per_epoch: 1.0,
            train_seconds: 1.0,
        });
        RowDraft {
            row: MethodRow {
                method: method.to_owned(),
                similarity: "cosine",
                oracle,
                best: false,
                failed: vec![FailedCell::new(&cell, "diverged".into()); failed],
                runs: Vec::new(),
                numbers,
                published: None,
            },
            finished: Vec::new(),
        }
    }

    #[test]
    fn an_oracle_is_never_the_best_and_a_row_with_failures_only_among_such() {
        let mut drafts = vec![
            draft("clean-only", Some(5.0), 0),
            draft("ncr", Some(4.0), 1),
            draft("plain", Some(3.0), 0),
            draft("rcl", None, 2),
        ];
        assert_eq!(best_of(&drafts), Some(2));
        drafts.remove(2);
        assert_eq!(best_of(&drafts), Some(1));
        drafts.remove(1);
        assert_eq!(best_of(&drafts), None);
    }
}
