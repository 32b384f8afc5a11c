//! The page as a whole: what it says in each state, and what it must never contain.

use super::*;
use specimen::HOSTILE_CAPTIONS;

fn context() -> ReportContext<'static> {
    ReportContext {
        matcher: "cosine of <given> embeddings".to_owned(),
        seed: 7,
        manifest: None,
        next_steps: vec![NextStep {
            purpose: "Train on what was kept.".to_owned(),
            command: "truepair train data/clean --set a=\"<b>\"".to_owned(),
        }],
        protocol: vec![Fact {
            name: "Version".to_owned(),
            value: "0.1.0 & up".to_owned(),
        }],
        limits: Limits::default(),
        diagnoses: &[],
    }
}

type Specimen = (Dataset, Findings, Vec<bool>);

fn page((dataset, findings, keep): &Specimen) -> String {
    render(&context(), dataset, findings, keep).unwrap()
}

fn count(html: &str, part: &str) -> usize {
    html.matches(part).count()
}

#[test]
fn every_outcome_renders_its_own_sections() {
    let found = page(&specimen::audited());
    for id in [
        "verdict",
        "next",
        "summary",
        "evidence",
        "worst",
        "borderline",
        "ambiguous",
        "thresholds",
    ] {
        assert_eq!(count(&found, &format!("id=\"{id}\"")), 1, "{id}");
    }
    let clear = page(&specimen::clear());
    assert!(clear.contains("No evidence of mismatched pairs"));
    assert!(clear.contains("id=\"worst\"") && !clear.contains("id=\"thresholds\""));
    assert!(!clear.contains("id=\"borderline\""));
    // Twelve that rank lowest, and an ambiguous one of each of ten images.
    assert_eq!(count(&clear, "class=\"card\""), 22);
    let refused = page(&specimen::refused());
    assert!(refused.contains("No verdict on these 40"));
    assert!(refused.contains("id=\"evidence\"") && refused.contains("id=\"protocol\""));
    for absent in [
        "id=\"worst\"",
        "id=\"thresholds\"",
        "rate-bar\" role",
        "Kept",
    ] {
        assert!(!refused.contains(absent), "{absent}");
    }
}

#[test]
fn no_caption_becomes_markup() {
    let specimen = specimen::audited();
    let html = page(&specimen);
    assert_eq!(count(&html, "<script"), 1);
    assert_eq!(count(&html, "</script"), 1);
    assert_eq!(count(&html, "</style"), 1);
    for hostile in HOSTILE_CAPTIONS
        .iter()
        .filter(|caption| caption.contains(['<', '"']))
    {
        assert!(!html.contains(*hostile), "{hostile:?} stands unescaped");
    }
    assert!(!html.contains("<b>bold</b>") && !html.contains("<low>"));
    assert!(!html.contains("<understated>") && !html.contains("<given>"));
    // They are shown all the same, as text.
    for shown in [
        "script&#62;alert",
        "كلب",
        "👩‍👩‍👧‍👦",
        "Donaudampf",
        "{{ template }}",
        "&#38;amp; already",
    ] {
        assert!(html.contains(shown), "{shown}");
    }
}

#[test]
fn no_text_turns_what_stands_around_it() {
    let (mut dataset, findings, keep) = specimen::audited();
    dataset.name.push_str(" \u{1b}[31m\u{2066}");
    let html = page(&(dataset, findings, keep));
    let steers = |char: char| matches!(char, '\u{1b}' | '\r' | '\u{202e}' | '\u{2066}');
    assert!(!html.contains(steers));
    let title = html.split("<title>").nth(1).unwrap();
    let title = title.split("</title>").next().unwrap();
    assert!(title.contains("\\u{1b}[31m\\u{2066}"), "{title}");
    assert!(html.contains("\\u{202e}reversed"));
}

#[test]
fn every_attribute_value_is_closed_by_its_own_quote() {
    let html = page(&specimen::audited());
    let body = html
        .split("<body>")
        .nth(1)
        .unwrap()
        .split("<script>")
        .next()
        .unwrap();
    for tag in body
        .split('<')
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap())
    {
        assert_eq!(count(tag, "\"") % 2, 0, "{tag}");
        assert!(
            !tag.contains("onerror") && !tag.contains("onmouseover"),
            "{tag}"
        );
    }
}

#[test]
fn nothing_is_loaded_from_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let (_, findings, keep) = specimen::audited();
    let dataset = specimen::with_pictures(dir.path());
    let html = page(&(dataset, findings, keep));
    for attribute in ["src=\"", "href=\"", "srcset=\"", "url(", "@import"] {
        for value in html.split(attribute).skip(1) {
            let local = value.starts_with("data:") || value.starts_with('#');
            assert!(local, "{attribute}{}", &value[..40.min(value.len())]);
        }
    }
    assert!(!html.contains("<link") && !html.contains("<iframe") && !html.contains("fetch("));
    assert!(html.contains("default-src &#39;none&#39;"));
}

#[test]
fn the_policy_admits_exactly_the_script_of_the_page() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let html = page(&specimen::audited());
    let script = html
        .split("<script>")
        .nth(1)
        .unwrap()
        .split("</script>")
        .next()
        .unwrap();
    let hash = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(script));
    let policy = html.split("script-src &#39;sha256-").nth(1).unwrap();
    // A base64 digit `+` or `/` may be escaped; compare what a browser reads.
    let read = policy
        .split("&#39;")
        .next()
        .unwrap()
        .replace("&#43;", "+")
        .replace("&#47;", "/");
    assert_eq!(read, hash);
}

#[test]
fn pictures_respect_the_cap_and_the_page_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (_, findings, keep) = specimen::audited();
    let dataset = specimen::with_pictures(dir.path());
    let limits = Limits {
        picture_bytes: 2_000,
        ..Limits::default()
    };
    let context = ReportContext {
        limits,
        ..context()
    };
    let html = render(&context, &dataset, &findings, &keep).unwrap();
    let uris: usize = html
        .split("src=\"data:")
        .skip(1)
        .map(|rest| "data:".len() + rest.split('"').next().unwrap().len())
        .sum();
    assert!(uris > 0 && uris <= 2_000, "{uris}");
    assert!(html.contains("left out to keep this file small"));
    let all = page(&(dataset, findings, keep));
    assert!(!all.contains("left out to keep"));
    // Without pictures, cards have no field for one.
    assert!(!page(&specimen::audited()).contains("class=\"picture\""));
}

#[test]
fn planted_pairs_are_marked_when_truth_is_known() {
    let (dataset, findings, keep) = specimen::audited();
    let manifest = Manifest {
        protocol: "caption".to_owned(),
        requested: Some(0.3),
        realized: 0.3,
        seed: Some(1),
        sha256: "ab".repeat(32),
        file: None,
        moves_whole_images: false,
        mismatched: (0..40).map(|pair| pair < 12).collect(),
        notes: vec!["read as <image> level".to_owned()],
    };
    let context = ReportContext {
        manifest: Some(&manifest),
        ..context()
    };
    let html = render(&context, &dataset, &findings, &keep).unwrap();
    assert_eq!(count(&html, "chip bad"), 12);
    assert!(html.contains("read as &#60;image&#62; level"));
    assert!(html.contains("chip good") && html.contains(&manifest.sha256));
    assert!(!page(&(dataset, findings, keep)).contains("class=\"chip"));
}

#[test]
fn the_gallery_shows_the_limit_and_the_worst_pair_first() {
    let specimen = specimen::audited();
    let limits = Limits {
        worst: 5,
        borderline: 0,
        ambiguous: 0,
        ..Limits::default()
    };
    let context = ReportContext {
        limits,
        ..context()
    };
    let html = render(&context, &specimen.0, &specimen.1, &specimen.2).unwrap();
    assert_eq!(count(&html, "class=\"card\""), 5);
    let first = html.split("data-pair=\"").nth(1).unwrap();
    assert!(first.starts_with("0\""), "{}", &first[..10]);
}

#[test]
fn no_pair_is_shown_twice() {
    let html = page(&specimen::audited());
    let mut pairs: Vec<&str> = html
        .split("data-pair=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    let shown = pairs.len();
    pairs.sort_unstable();
    pairs.dedup();
    assert_eq!(pairs.len(), shown);
}

#[test]
fn commands_stand_exactly_as_they_must_be_typed() {
    let html = page(&specimen::audited());
    let code = html
        .split("<code>")
        .nth(1)
        .unwrap()
        .split("</code>")
        .next()
        .unwrap();
    let text = code.replace("<span>", "").replace("</span>", "");
    assert_eq!(
        text,
        "truepair train data/clean --set a=&#34;&#60;b&#62;&#34;"
    );
}

#[test]
fn write_leaves_one_file_and_an_error_leaves_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.html");
    let (dataset, mut findings, keep) = specimen::audited();
    write(&path, &context(), &dataset, &findings, &keep).unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(before.starts_with(b"<!DOCTYPE html>"));
    findings.verdicts[0].image = 1_000_000;
    assert!(write(&path, &context(), &dataset, &findings, &keep).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let below = path.join("report.html");
    findings.verdicts[0].image = 0;
    let error = write(&below, &context(), &dataset, &findings, &keep).unwrap_err();
    assert!(
        format!("{error:#}").contains("report.html/report.html"),
        "{error:#}"
    );
}

#[test]
fn the_page_is_the_same_every_time() {
    assert_eq!(page(&specimen::audited()), page(&specimen::audited()));
}
