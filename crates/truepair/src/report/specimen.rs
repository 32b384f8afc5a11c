//! Small findings of every outcome for tests, with captions that try to break the page.

use std::path::Path;

use truepair_core::audit::{
    Ambiguity, Competence, DuplicateCounts, Findings, Fit, Judgment, NoiseRate, Outcome, Reading,
    ReliabilityBin, SelfCheck, Truth, UncertaintyKind, Verdict,
};
use truepair_core::dataset::{Account, Dataset, Features};
use truepair_core::pair::Pair;

/// Captions that a careless page would run, close a tag with, or be torn apart by.
pub(crate) const HOSTILE_CAPTIONS: &[&str] = &[
    "<script>alert('caption')</script>",
    "</script></style></title><img src=x onerror=alert(1)>",
    "\" onmouseover=\"alert(1)\" x='",
    "a, \"quoted\" caption; with; separators\tand a tab",
    "two\nlines\r\nof text",
    "كلب يركض على الشاطئ \u{202e}reversed",
    "family 👩‍👩‍👧‍👦 flag 🏳️‍🌈 &amp; already escaped",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaftsmitgliedsausweis",
    "=HYPERLINK(\"http://example.org\")",
    "{{ template }} {% raw %} ${script}",
    "",
];

const N_PAIRS: u32 = 40;

/// Forty pairs of twenty images, the first twelve mismatched and found so.
pub(crate) fn audited() -> (Dataset, Findings, Vec<bool>) {
    let findings = Findings {
        outcome: Outcome::MismatchedPairs,
        noise_rate: NoiseRate {
            estimate: 0.3,
            low: 0.24,
            high: 0.37,
        },
        reading: Reading::default(),
        kinds: None,
        competence: Competence {
            share_below_5_percent: 0.7,
            chance: 0.06,
        },
        verdicts: (0..N_PAIRS).map(verdict).collect(),
        fit: fit(),
        duplicates: DuplicateCounts {
            captions: 2,
            images: 0,
        },
        illegible: 0,
        ambiguity: Ambiguity {
            uncertainty: UncertaintyKind::Candidates,
            level: Some(1.9),
        },
        truth: Some(truth()),
        self_check: Some(self_check()),
        notes: vec!["near misses are <understated>".to_owned()],
    };
    let keep = findings
        .verdicts
        .iter()
        .map(|verdict| verdict.posterior < 0.5)
        .collect();
    (dataset(), findings, keep)
}

/// The same pairs when nothing was found.
pub(crate) fn clear() -> (Dataset, Findings, Vec<bool>) {
    let (dataset, mut findings, _) = audited();
    findings.outcome = Outcome::NoEvidence;
    findings.noise_rate = NoiseRate {
        estimate: 0.0,
        low: 0.0,
        high: 0.012,
    };
    findings
        .verdicts
        .iter_mut()
        .for_each(|verdict| verdict.posterior /= 50.0);
    (
        dataset,
        Findings {
            truth: None,
            self_check: None,
            ..findings
        },
        vec![true; 40],
    )
}

/// The same pairs under a matcher at chance.
pub(crate) fn refused() -> (Dataset, Findings, Vec<bool>) {
    let (dataset, findings, _) = audited();
    let reason = "the matcher does not rank held-out pairs better than chance".to_owned();
    let findings = Findings {
        outcome: Outcome::Refused { reason },
        noise_rate: NoiseRate {
            estimate: 1.0,
            low: 0.9,
            high: 1.0,
        },
        competence: Competence {
            share_below_5_percent: 0.051,
            chance: 0.06,
        },
        verdicts: Vec::new(),
        truth: None,
        self_check: None,
        ..findings
    };
    (dataset, findings, vec![true; 40])
}

/// The data of [`audited`] with a picture file per image in `dir`, all of the same size.
pub(crate) fn with_pictures(dir: &Path) -> Dataset {
    let mut dataset = dataset();
    let file = |index: usize| {
        let path = dir.join(format!("{index}.png"));
        let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
        bytes.resize(300, index as u8);
        std::fs::write(&path, bytes).unwrap();
        Some(path)
    };
    dataset.image_files = (0..dataset.image_ids.len()).map(file).collect();
    dataset
}

fn dataset() -> Dataset {
    let captions = (0..N_PAIRS as usize).map(|index| match HOSTILE_CAPTIONS.get(index) {
        Some(hostile) => (*hostile).to_owned(),
        None => format!("caption number {index}"),
    });
    Dataset {
        name: "specimen <b>bold</b>".to_owned(),
        format: "precomp",
        split: "train".to_owned(),
        images: features(),
        image_ids: (0..N_PAIRS / 2)
            .map(|index| format!("image-{index}.jpg"))
            .collect(),
        image_files: Vec::new(),
        captions: Some(captions.collect()),
        caption_features: None,
        pairs: (0..N_PAIRS)
            .map(|index| Pair {
                image: index / 2,
                caption: index,
            })
            .collect(),
        labels: None,
        files: Vec::new(),
        account: Account::default(),
    }
}

fn features() -> Features {
    Features::from_rows(vec![1.0; N_PAIRS as usize / 2], 1)
}

/// Posteriors fall from 1 to 0 with a doubtful middle.
fn verdict(pair: u32) -> Verdict {
    let posterior = match pair {
        0..11 => 1.0 - 0.02 * f64::from(pair),
        11..15 => 0.7 - 0.1 * f64::from(pair - 11),
        _ => 0.05 / f64::from(pair),
    };
    Verdict {
        pair,
        image: pair / 2,
        caption: pair,
        p_i2t: (0.01 + posterior) / 1.02,
        p_t2i: (0.02 + posterior) / 1.03,
        p: (0.01 + posterior) / 1.01,
        posterior,
        near: 0.0,
        rank_i2t: 1 + 2 * pair,
        rank_t2i: 1 + pair,
        better_caption: (pair < 20).then_some((pair + 1) % 11),
        better_image: (pair < 10).then(|| 19 - pair),
        uncertainty: (pair != 39).then(|| 1.0 + f64::from(pair % 5) / 2.0),
        judgment: match pair {
            0..13 => Judgment::Mismatched,
            13 | 14 => Judgment::Doubtful,
            39 => Judgment::Unknown,
            _ if pair % 5 >= 2 => Judgment::Ambiguous,
            _ => Judgment::Matched,
        },
        reason: "the caption ranks <low> for this image".to_owned(),
    }
}

fn fit() -> Fit {
    Fit {
        p_histogram: vec![28, 2, 1, 1, 2, 1, 1, 2, 1, 1],
        posterior_histogram: vec![25, 0, 0, 1, 1, 1, 1, 0, 2, 9],
        storey_curve: vec![(0.3, 0.32), (0.5, 0.30), (0.7, 0.29), (0.9, 0.30)],
        lambda: 0.5,
        density: vec![(0.1, 7.0), (0.4, 0.4), (1.0, 0.3)],
        mean_posterior: 0.31,
    }
}

fn reliability() -> Vec<ReliabilityBin> {
    vec![
        ReliabilityBin {
            count: 26,
            mean_posterior: 0.01,
            share_mismatched: 0.0,
        },
        ReliabilityBin {
            count: 0,
            mean_posterior: 0.0,
            share_mismatched: 0.0,
        },
        ReliabilityBin {
            count: 14,
            mean_posterior: 0.9,
            share_mismatched: 0.86,
        },
    ]
}

fn truth() -> Truth {
    Truth {
        realized: 0.3,
        auc: 0.98,
        ece: 0.02,
        brier: 0.04,
        precision: 0.92,
        recall: 0.9,
        reliability: reliability(),
    }
}

fn self_check() -> SelfCheck {
    SelfCheck {
        injected: 0.1,
        expected_rate: 0.37,
        recovered_rate: NoiseRate {
            estimate: 0.36,
            low: 0.30,
            high: 0.42,
        },
        auc: 0.97,
        precision: 0.9,
        recall: 0.88,
        kinds: Vec::new(),
        ece: 0.03,
        reliability: reliability(),
    }
}
