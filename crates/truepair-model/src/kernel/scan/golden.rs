//! Attention weights that the released SCAN gives; see `fixtures/golden/README.md`.

use safetensors::SafeTensors;
use truepair_kernel::vector::dot;
use truepair_kernel::{Attention, Block};

use super::tests::ALL;
use crate::golden::Entry;

fn floats(tensors: &SafeTensors<'_>, name: &str) -> Vec<f32> {
    let bytes = tensors.tensor(name).unwrap().data().chunks_exact(4);
    bytes
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

#[test]
fn golden_scan_attention() {
    let entry = Entry::open("u05_scan_attention.safetensors");
    let golden = SafeTensors::deserialize(&entry.bytes).unwrap();
    let [n, queries, d] = golden.tensor("in.query").unwrap().shape()[..] else {
        panic!("three axes")
    };
    let contexts = golden.tensor("in.context").unwrap().shape()[1];
    let (q, c) = (floats(&golden, "in.query"), floats(&golden, "in.context"));
    for norm in ALL {
        let name = serde_json::to_string(&norm).unwrap();
        let case = format!("out.{}", name.trim_matches('"'));
        let expected = floats(&golden, &format!("{case}.attn"));
        let attended = floats(&golden, &format!("{case}.weighted_context"));
        for item in 0..n {
            let q = &q[item * queries * d..][..queries * d];
            let c = &c[item * contexts * d..][..contexts * d];
            let raw: Vec<f32> = (c.chunks(d))
                .flat_map(|c| q.chunks(d).map(move |q| dot(c, q)))
                .collect();
            let block = Block {
                contexts,
                queries,
                stride: queries,
            };
            let mut weights = vec![0.0; raw.len()];
            let smooth = entry.number("smooth") as f32;
            Attention { norm, smooth }.weights(block, &raw, &mut weights);
            let expected = &expected[item * raw.len()..][..raw.len()];
            for (found, expected) in weights.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-5,
                    "{case}: {found} {expected}"
                );
            }
            for at in 0..queries * d {
                let (query, axis) = (at / d, at % d);
                let found: f32 = (0..contexts)
                    .map(|context| weights[context * queries + query] * c[context * d + axis])
                    .sum();
                let expected = attended[item * queries * d + at];
                assert!(
                    (found - expected).abs() < 1e-5,
                    "{case}: {found} {expected}"
                );
            }
        }
    }
}
