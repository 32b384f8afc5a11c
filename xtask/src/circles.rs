//! Circles between source files: files that name each other's items in a loop, so that none can be read alone.
//!
//! A module that names its own children (its `pub use`, the rows of its registry) contains them, which is no
//! dependence; a child that names its parent's trait depends on the parent. Tests do not count.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use crate::source::Crate;

/// Names that one file takes from others, by the other file.
type Arrows = BTreeMap<usize, BTreeSet<String>>;

/// A shortest way around one knot of files.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Circle {
    /// Each step: a file, the file it takes names from, and those names.
    pub(crate) steps: Vec<(PathBuf, PathBuf, Vec<String>)>,
    /// How many files the whole knot ties.
    pub(crate) files: usize,
}

/// The circles of a crate, one for each knot of files that cannot be ordered.
pub(crate) fn circles(one: &Crate) -> Vec<Circle> {
    let graph: Vec<Arrows> = (0..one.files.len()).map(|file| arrows(one, file)).collect();
    knots(&graph)
        .iter()
        .map(|knot| {
            let path = |file: usize| one.files[file].path.clone();
            let around = shortest(&graph, knot);
            Circle {
                steps: around
                    .iter()
                    .zip(around.iter().cycle().skip(1))
                    .map(|(&from, &to)| {
                        let names = graph[from][&to].iter().cloned().collect();
                        (path(from), path(to), names)
                    })
                    .collect(),
                files: knot.len(),
            }
        })
        .collect()
}

fn arrows(one: &Crate, file: usize) -> Arrows {
    let mut arrows = Arrows::new();
    let own = &one.files[file].module;
    for (other, name) in one.uses(file) {
        if !one.files[other].module.starts_with(own) {
            arrows.entry(other).or_default().insert(name);
        }
    }
    arrows
}

/// Groups of two or more files each of which reaches all the others.
fn knots(graph: &[Arrows]) -> Vec<BTreeSet<usize>> {
    let reached: Vec<BTreeSet<usize>> = (0..graph.len()).map(|file| reach(graph, file)).collect();
    let mut seen: BTreeSet<usize> = BTreeSet::new();
    let mut knots = Vec::new();
    for file in 0..graph.len() {
        if !seen.contains(&file) && reached[file].contains(&file) {
            let knot: BTreeSet<usize> = reached[file]
                .iter()
                .copied()
                .filter(|&other| reached[other].contains(&file))
                .collect();
            seen.extend(&knot);
            knots.push(knot);
        }
    }
    knots
}

/// Every file that names lead to from `start`, itself only through a circle.
fn reach(graph: &[Arrows], start: usize) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start];
    while let Some(file) = open.pop() {
        open.extend(graph[file].keys().filter(|&&other| reached.insert(other)));
    }
    reached
}

/// The shortest way from some file of the knot back to itself.
fn shortest(graph: &[Arrows], knot: &BTreeSet<usize>) -> Vec<usize> {
    knot.iter()
        .filter_map(|&start| {
            let mut before = BTreeMap::new();
            let mut open = VecDeque::from([start]);
            while let Some(file) = open.pop_front() {
                for &other in graph[file].keys().filter(|other| knot.contains(other)) {
                    if other == start {
                        let mut way = vec![file];
                        while let Some(&earlier) = before.get(way.last()?) {
                            way.push(earlier);
                        }
                        way.reverse();
                        return Some(way);
                    }
                    if let std::collections::btree_map::Entry::Vacant(entry) = before.entry(other) {
                        entry.insert(file);
                        open.push_back(other);
                    }
                }
            }
            None
        })
        .min_by_key(Vec::len)
        .unwrap_or_default()
}
