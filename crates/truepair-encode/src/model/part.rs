//! Parts of a graph that are run at once, and what passes between them.

use std::collections::HashSet;

use super::depthwise::Depthwise;
use super::node::Node;

/// What is computed at once.
#[derive(Default)]
pub(super) struct Part<'a> {
    pub(super) nodes: Vec<&'a Node>,
    /// Values that it reads from elsewhere.
    pub(super) given: Vec<&'a str>,
    /// Values that others read from it.
    pub(super) outputs: Vec<&'a str>,
}

/// One step to an output.
pub(super) enum Step {
    Graph {
        /// A model file.
        model: Vec<u8>,
        given: Vec<String>,
        outputs: Vec<String>,
    },
    Depthwise {
        convolution: Depthwise,
        input: String,
        output: String,
    },
}

/// A part of the graph and the convolutions that follow it.
pub(super) type Level<'a> = (Part<'a>, Vec<(&'a Node, Depthwise)>);

/// Notes which values pass between parts and convolutions; `inputs` are the names of those of the model.
pub(super) fn connect<'a>(
    parts: &mut [Level<'a>],
    inputs: impl Iterator<Item = &'a str>,
    output: &'a str,
) {
    let made_by = |nodes: &[&'a Node]| -> HashSet<&'a str> {
        let outputs = nodes.iter().flat_map(|node| &node.outputs);
        outputs.map(String::as_str).collect()
    };
    // Names that only a graph inside an operator knows are none of these.
    let mut known: HashSet<&str> = inputs.collect();
    for (part, convolutions) in parts.iter() {
        known.extend(made_by(&part.nodes));
        known.extend(
            convolutions
                .iter()
                .map(|(node, _)| node.outputs[0].as_str()),
        );
    }
    let mut read_elsewhere: Vec<HashSet<&str>> = Vec::new();
    for (part, _) in parts.iter_mut() {
        let made = made_by(&part.nodes);
        let nodes = part.nodes.iter();
        let read = nodes.flat_map(|node| node.inputs.iter().chain(&node.captured));
        let read: HashSet<&str> = read
            .map(String::as_str)
            .filter(|name| known.contains(name) && !made.contains(name))
            .collect();
        part.given = read.iter().copied().collect();
        part.given.sort_unstable();
        read_elsewhere.push(read);
    }
    let of_convolutions: HashSet<&str> = (parts.iter())
        .flat_map(|(_, convolutions)| convolutions.iter())
        .map(|(node, _)| node.inputs[0].as_str())
        .collect();
    for (at, (part, _)) in parts.iter_mut().enumerate() {
        let is_read = |name: &&str| {
            *name == output
                || of_convolutions.contains(name)
                || read_elsewhere
                    .iter()
                    .enumerate()
                    .any(|(n, read)| n != at && read.contains(name))
        };
        let made = part
            .nodes
            .iter()
            .flat_map(|node| node.outputs.iter().map(String::as_str));
        part.outputs = made
            .filter(|name| !name.is_empty())
            .filter(is_read)
            .collect();
    }
}
