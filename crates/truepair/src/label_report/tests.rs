//! The page of made-up findings: what it says, and that other people's text is escaped.

use truepair_core::audit::NoiseRate;
use truepair_core::dataset::{Account, Features};
use truepair_core::labeled::{LabelOutcome, LabelVerdict, Modality, ModalityFindings, NoiseShape};

use super::*;

/// Three items of two classes, of which the last is likely labeled wrong.
fn audited() -> (LabeledData, LabelFindings) {
    let modality = |name: &str| Modality {
        name: name.into(),
        features: Features::from_rows(vec![0.0, 1.0, 2.0], 1),
        labels: vec![0, 1, 1],
    };
    let set = LabeledSet {
        split: "train".into(),
        n_classes: 2,
        modalities: vec![modality("ims"), modality("txt")],
    };
    let data = LabeledData {
        name: "<b>data".into(),
        format: "precomp",
        first_label: 0,
        class_names: Some(vec!["cat & dog".into(), "tree".into()]),
        splits: vec![set],
        files: Vec::new(),
        account: Account::default(),
    };
    let verdict = |item: u32, given, posterior, suggested| LabelVerdict {
        item,
        given,
        posterior,
        suggested,
        support: 0.9,
    };
    let found = |name: &str| ModalityFindings {
        name: name.into(),
        noise_rate: NoiseRate {
            estimate: 0.31,
            low: 0.29,
            high: 0.33,
        },
        shape: NoiseShape::ByClass,
        confusion: vec![0.7, 0.3, 0.0, 1.0],
        confident_rate: 0.3,
        anchor_rate: 0.35,
        verdicts: vec![
            verdict(0, 0, 0.02, 0),
            verdict(1, 1, 0.1, 1),
            verdict(2, 1, 0.97, 0),
        ],
    };
    let findings = LabelFindings {
        outcome: LabelOutcome::WrongLabels,
        shared: true,
        agreement: 0.8,
        chance: 0.5,
        weights: vec![1.0, 1.0],
        modalities: vec![found("ims"), found("txt")],
        truth: Vec::new(),
        notes: vec!["something is not seen".into()],
    };
    (data, findings)
}

fn page_of(data: &LabeledData, findings: &LabelFindings) -> String {
    let report = LabelReport {
        data,
        set: &data.splits[0],
        findings,
        manifest: None,
        keep: &[true, true, false],
        shown: ShownItems {
            ids: ["a", "b", "c.jpg"].map(str::to_owned).to_vec(),
            pictures: Vec::new(),
            captions: vec![None, None, Some("a <i>cat</i>".into())],
        },
        next_steps: Vec::new(),
        protocol: Vec::new(),
    };
    page::render(&report).unwrap()
}

#[test]
fn the_page_says_the_rate_and_shows_the_label_that_is_likely_wrong() {
    let (data, findings) = audited();
    let html = page_of(&data, &findings);
    for part in [
        "An estimated 31\u{a0}% of the labels of 3\u{a0}items are wrong",
        "29–\u{2060}33\u{a0}%",
        "cat &#38; dog",
        "&#60;b&#62;data",
        "a &#60;i&#62;cat&#60;/i&#62;",
        "c.jpg",
        "2 of 3\u{a0}items stay",
        "Something is not seen.",
        "id=\"theme\"",
    ] {
        assert!(html.contains(part), "{part} in {html}");
    }
    assert!(!html.contains("<b>data") && !html.contains("<i>cat"));
    assert_eq!(html.matches("class=\"card\"").count(), 1);
    assert!(html.contains("<tr><th scope=\"row\">cat &#38; dog</th><td>tree</td><td>all</td>"));
}

#[test]
fn without_evidence_no_label_is_accused() {
    let (data, mut findings) = audited();
    findings.outcome = LabelOutcome::CannotBeTold {
        reason: "classes look alike".into(),
        help: "look at a few".into(),
    };
    let html = page_of(&data, &findings);
    for part in [
        "cannot be told",
        "Classes look alike.",
        "fit worst",
        "unknown",
    ] {
        assert!(html.contains(part), "{part}");
    }
    findings.outcome = LabelOutcome::NoEvidence;
    assert!(page_of(&data, &findings).contains("No evidence of wrong labels"));
    findings.outcome = LabelOutcome::Refused {
        reason: "they agree by chance".into(),
    };
    findings.modalities.clear();
    let html = page_of(&data, &findings);
    assert!(
        html.contains("No verdict") && !html.contains("id=\"worst\""),
        "{html}"
    );
}
