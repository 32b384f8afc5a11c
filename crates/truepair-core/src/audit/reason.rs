//! One phrase per verdict that a person can act on.

use super::{Judgment, UncertaintyKind, Verdict};

/// Numbers that a reason is made from, in addition to the verdict's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared {
    /// Captions the pair's caption was compared with.
    pub(super) captions: u32,
    /// Images the pair's image was compared with.
    pub(super) images: u32,
    /// Whether the scores hardly change the probability.
    pub(super) illegible: bool,
}

/// Says why the verdict is what it is; `kind` is that of the uncertainty.
pub(super) fn reason(verdict: &Verdict, compared: Compared, kind: UncertaintyKind) -> String {
    if compared.captions == 0 || compared.images == 0 {
        return "nothing to compare it with: every other item is a duplicate".to_owned();
    }
    if compared.illegible {
        return "cannot tell: the matcher reads this caption or image too poorly".to_owned();
    }
    let caption_rank = place(verdict.rank_i2t, compared.captions);
    let image_rank = place(verdict.rank_t2i, compared.images);
    if verdict.posterior > 0.5 {
        let bad = |p: f64| p > 0.05;
        match (bad(verdict.p_i2t), bad(verdict.p_t2i)) {
            (true, false) => format!("many other captions fit this image better ({caption_rank})"),
            (false, true) => format!("many other images fit this caption better ({image_rank})"),
            (true, true) => format!(
                "other captions fit this image better ({caption_rank}) and other images fit this \
                 caption better ({image_rank})"
            ),
            (false, false) => format!(
                "fits less well than matched pairs do (caption {caption_rank}, image {image_rank})"
            ),
        }
    } else if verdict.judgment == Judgment::Ambiguous {
        format!(
            "{}: caption {caption_rank}, image {image_rank}",
            ambiguity(verdict, kind)
        )
    } else if verdict.posterior > 0.1 {
        format!("doubtful, worth a look: caption {caption_rank}, image {image_rank}")
    } else if verdict.rank_i2t == 1 && verdict.rank_t2i == 1 {
        "looks matched: best caption for this image and best image for this caption".to_owned()
    } else {
        format!("looks matched: caption {caption_rank}, image {image_rank}")
    }
}

fn ambiguity(verdict: &Verdict, kind: UncertaintyKind) -> String {
    match (kind, verdict.uncertainty) {
        (UncertaintyKind::Candidates, Some(candidates)) => {
            format!("ambiguous, about {candidates:.1} items fit alike")
        }
        _ => "ambiguous, image or caption may mean many things".to_owned(),
    }
}

/// "rank 812 of 2,711"; the given item is among those ranked.
fn place(rank: u32, n_compared: u32) -> String {
    format!(
        "rank {} of {}",
        grouped(rank),
        grouped(n_compared.saturating_add(1))
    )
}

fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(posterior: f64, p_i2t: f64, p_t2i: f64, rank: u32) -> Verdict {
        Verdict {
            pair: 0,
            image: 0,
            caption: 0,
            p_i2t,
            p_t2i,
            p: p_i2t,
            posterior,
            near: 0.0,
            rank_i2t: rank,
            rank_t2i: rank,
            better_caption: None,
            better_image: None,
            uncertainty: Some(3.07),
            judgment: Judgment::Unknown,
            reason: String::new(),
        }
    }

    #[test]
    fn reasons_follow_the_direction_that_failed() {
        let compared = Compared {
            captions: 2710,
            images: 541,
            illegible: false,
        };
        let kind = UncertaintyKind::Candidates;
        let of = |posterior, a, b, rank| reason(&verdict(posterior, a, b, rank), compared, kind);
        assert_eq!(
            of(0.9, 0.3, 0.01, 812),
            "many other captions fit this image better (rank 812 of 2,711)"
        );
        assert!(of(0.9, 0.01, 0.3, 5).contains("images fit this caption"));
        assert!(of(0.9, 0.3, 0.3, 5).contains("and other images"));
        assert!(of(0.3, 0.02, 0.02, 5).starts_with("doubtful"));
        assert!(of(0.0, 0.001, 0.001, 1).contains("best caption"));
        let nothing = Compared {
            captions: 0,
            images: 5,
            illegible: false,
        };
        let illegible = Compared {
            illegible: true,
            ..compared
        };
        let unread = reason(&verdict(0.9, 0.5, 0.5, 700), illegible, kind);
        assert!(unread.starts_with("cannot tell"));
        assert!(reason(&verdict(0.5, 1.0, 1.0, 1), nothing, kind).contains("nothing to compare"));
        let several = Verdict {
            judgment: Judgment::Ambiguous,
            ..verdict(0.3, 0.02, 0.02, 4)
        };
        assert_eq!(
            reason(&several, compared, kind),
            "ambiguous, about 3.1 items fit alike: caption rank 4 of 2,711, image rank 4 of 542"
        );
        let spread = reason(&several, compared, UncertaintyKind::Variance);
        assert!(spread.starts_with("ambiguous, image or caption may"));
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(
            [grouped(999), grouped(1000), grouped(1234567)],
            ["999", "1,000", "1,234,567"]
        );
    }
}
