//! Line, bar and dot plots as inline SVG whose text keeps its size at every width.
//!
//! A drawing with a `viewBox` shrinks its labels together with its lines, which makes them
//! unreadable on a phone. Here the `<svg>` is the plotting area alone, without a `viewBox`: marks
//! stand at percentages of it, labels have pixel sizes and hang outside in margins that the style
//! sheet reserves, and curves live in an inner `<svg>` that stretches without thickening.

use std::fmt::Write as _;

/// One axis: its range in data units, its ticks and its name.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    pub(crate) from: f64,
    pub(crate) to: f64,
    /// Distance of ticks, from the first multiple inside the range.
    pub(crate) step: f64,
    pub(crate) name: &'static str,
    pub(crate) format: fn(f64) -> String,
}

impl Axis {
    /// An axis over [from, to] with about `n_ticks` ticks at round values.
    ///
    /// A range that is empty or not finite becomes [0, 1], so that degenerate findings still draw.
    pub(crate) fn new(
        from: f64,
        to: f64,
        n_ticks: u32,
        name: &'static str,
        format: fn(f64) -> String,
    ) -> Self {
        let usable = from.is_finite() && to.is_finite() && to > from;
        let (from, to) = if usable { (from, to) } else { (0.0, 1.0) };
        let raw = (to - from) / f64::from(n_ticks.max(1));
        let magnitude = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .map(|factor| factor * magnitude)
            .into_iter()
            .find(|step| *step >= raw * 0.999)
            .unwrap_or(10.0 * magnitude);
        Self {
            from,
            to,
            step,
            name,
            format,
        }
    }

    /// Position of `value` along the axis, [0, 1]; values outside the range stick to its ends.
    fn position(&self, value: f64) -> f64 {
        let position = (value - self.from) / (self.to - self.from);
        if position.is_nan() {
            0.0
        } else {
            position.clamp(0.0, 1.0)
        }
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let tolerance = 1e-9;
        let first = (self.from / self.step - tolerance).ceil() as i64;
        let last = (self.to / self.step + tolerance).floor() as i64;
        (first..=last).map(|n| n as f64 * self.step)
    }
}

/// A plot under construction; `class` arguments name colors of the style sheet.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    x: Axis,
    y: Axis,
    marks: String,
}

impl Plot {
    pub(crate) fn new(x: Axis, y: Axis) -> Self {
        Self {
            x,
            y,
            marks: String::new(),
        }
    }

    /// A bar from the x axis up to `height`, over [from, to] on the x axis.
    pub(crate) fn bar(&mut self, from: f64, to: f64, height: f64, class: &str) {
        let (left, right) = (self.x_percent(from), self.x_percent(to));
        let top = self.y_percent(height);
        self.mark(format_args!(
            r#"<rect class="{class}" x="{left:.3}%" y="{top:.3}%" width="{:.3}%" height="{:.3}%"/>"#,
            right - left,
            100.0 - top
        ));
    }

    /// A horizontal band over [low, high] on the y axis.
    pub(crate) fn band(&mut self, low: f64, high: f64, class: &str) {
        let (top, bottom) = (self.y_percent(high), self.y_percent(low));
        self.mark(format_args!(
            r#"<rect class="{class}" x="0" y="{top:.3}%" width="100%" height="{:.3}%"/>"#,
            bottom - top
        ));
    }

    /// A straight line between two points in data units.
    pub(crate) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        let (x1, y1) = (self.x_percent(x1), self.y_percent(y1));
        let (x2, y2) = (self.x_percent(x2), self.y_percent(y2));
        self.mark(format_args!(
            r#"<line class="{class}" x1="{x1:.3}%" y1="{y1:.3}%" x2="{x2:.3}%" y2="{y2:.3}%"/>"#
        ));
    }

    /// A line across the whole plot at height `y`.
    pub(crate) fn level(&mut self, y: f64, class: &str) {
        self.line((self.x.from, y), (self.x.to, y), class);
    }

    /// A line from bottom to top at `x`.
    pub(crate) fn upright(&mut self, x: f64, class: &str) {
        self.line((x, self.y.from), (x, self.y.to), class);
    }

    /// A curve through points in data units; nothing for fewer than two.
    pub(crate) fn curve(&mut self, points: &[(f64, f64)], class: &str) {
        if points.len() < 2 {
            return;
        }
        let mut path = String::new();
        for (index, &(x, y)) in points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            let (x, y) = (10.0 * self.x_percent(x), 10.0 * self.y_percent(y));
            let _ = write!(path, "{command}{x:.1} {y:.1}");
        }
        self.mark(format_args!(
            r#"<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%"><path class="{class}" d="{path}" vector-effect="non-scaling-stroke"/></svg>"#
        ));
    }

    /// A dot of `radius` pixels.
    pub(crate) fn dot(&mut self, (x, y): (f64, f64), radius: f64, class: &str) {
        let (x, y) = (self.x_percent(x), self.y_percent(y));
        self.mark(format_args!(
            r#"<circle class="{class}" cx="{x:.3}%" cy="{y:.3}%" r="{radius:.1}"/>"#
        ));
    }

    /// Text beside a point, shifted by pixels; `anchor` is `start`, `middle` or `end`.
    pub(crate) fn label(
        &mut self,
        (x, y): (f64, f64),
        (dx, dy): (i32, i32),
        anchor: &str,
        text: &str,
    ) {
        let (x, y) = (self.x_percent(x), self.y_percent(y));
        let text = escape(text);
        self.mark(format_args!(
            r#"<text class="note" x="{x:.3}%" y="{y:.3}%" dx="{dx}" dy="{dy}" text-anchor="{anchor}">{text}</text>"#
        ));
    }

    /// The `<svg>` element; `description` is what a screen reader says in its place.
    pub(crate) fn finish(self, description: &str) -> String {
        let mut svg = format!(
            r#"<svg class="plot" role="img" aria-label="{}">"#,
            escape(description)
        );
        self.draw_grid(&mut svg);
        svg.push_str(&self.marks);
        svg.push_str(r#"<line class="axis" x1="0" y1="100%" x2="100%" y2="100%"/></svg>"#);
        svg
    }

    fn draw_grid(&self, svg: &mut String) {
        for tick in self.y.ticks() {
            let (y, text) = (self.y_percent(tick), escape(&(self.y.format)(tick)));
            let _ = write!(
                svg,
                r#"<line class="grid" x1="0" y1="{y:.3}%" x2="100%" y2="{y:.3}%"/><text class="tick" x="-8" y="{y:.3}%" dy="4" text-anchor="end">{text}</text>"#
            );
        }
        for tick in self.x.ticks() {
            let (x, text) = (self.x_percent(tick), escape(&(self.x.format)(tick)));
            let _ = write!(
                svg,
                r#"<text class="tick" x="{x:.3}%" y="100%" dy="18" text-anchor="middle">{text}</text>"#
            );
        }
        let _ = write!(
            svg,
            r#"<text class="name" x="100%" y="100%" dy="38" text-anchor="end">{}</text><text class="name" x="-8" y="0" dy="-14" text-anchor="start">{}</text>"#,
            escape(self.x.name),
            escape(self.y.name)
        );
    }

    fn mark(&mut self, mark: std::fmt::Arguments<'_>) {
        // Writing into a String cannot fail.
        let _ = self.marks.write_fmt(mark);
    }

    fn x_percent(&self, value: f64) -> f64 {
        100.0 * self.x.position(value)
    }

    /// Downwards, as SVG counts.
    fn y_percent(&self, value: f64) -> f64 {
        100.0 * (1.0 - self.y.position(value))
    }
}

/// A number with at most this many decimals and no needless zeros, for ticks.
pub(crate) fn trimmed(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text for element content and double-quoted attributes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &'static str) -> Axis {
        Axis::new(0.0, 1.0, 5, name, |value| format!("{value:.1}"))
    }

    #[test]
    fn ticks_are_round_and_inside_the_range() {
        let ticks = |from, to, n| -> Vec<f64> {
            Axis::new(from, to, n, "", |value| value.to_string())
                .ticks()
                .collect()
        };
        assert_eq!(ticks(0.0, 1.0, 4), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(ticks(0.0, 3_700.0, 4), [0.0, 1_000.0, 2_000.0, 3_000.0]);
        assert_eq!(ticks(0.29, 0.41, 3).len(), 3);
        assert_eq!(ticks(0.0, 0.0, 4), ticks(0.0, 1.0, 4));
        assert_eq!(ticks(f64::NAN, 2.0, 4), ticks(0.0, 1.0, 4));
    }

    #[test]
    fn marks_stand_at_percentages_counted_downwards() {
        let mut plot = Plot::new(unit("x"), unit("y"));
        plot.bar(0.25, 0.5, 0.4, "good");
        plot.dot((0.1, 0.9), 3.0, "point");
        let svg = plot.finish("d");
        let bar =
            r#"<rect class="good" x="25.000%" y="60.000%" width="25.000%" height="40.000%"/>"#;
        assert!(svg.contains(bar), "{svg}");
        assert!(svg.contains(r#"cx="10.000%" cy="10.000%""#), "{svg}");
    }

    #[test]
    fn values_outside_the_range_stay_inside_the_plot() {
        let mut plot = Plot::new(unit("x"), unit("y"));
        plot.bar(-1.0, 2.0, 99.0, "good");
        plot.curve(&[(f64::NAN, 0.5), (7.0, f64::INFINITY)], "curve");
        let svg = plot.finish("d");
        assert!(
            svg.contains(r#"x="0.000%" y="0.000%" width="100.000%" height="100.000%""#),
            "{svg}"
        );
        assert!(
            svg.contains(r#"d="M0.0 500.0L1000.0 0.0""#) && !svg.contains("NaN"),
            "{svg}"
        );
    }

    #[test]
    fn text_sizes_do_not_depend_on_a_view_box() {
        let mut plot = Plot::new(unit("x"), unit("y"));
        plot.curve(&[(0.0, 0.0), (1.0, 1.0)], "curve");
        plot.label((0.5, 0.5), (4, -4), "start", "here");
        let svg = plot.finish("d");
        let scaled = svg
            .split("<svg viewBox")
            .nth(1)
            .and_then(|rest| rest.split("</svg>").next());
        assert!(
            scaled.is_some_and(|inner| !inner.contains("<text")),
            "{svg}"
        );
        assert!(svg.starts_with(r#"<svg class="plot" role="img""#), "{svg}");
    }

    #[test]
    fn descriptions_and_labels_are_escaped() {
        let mut plot = Plot::new(unit("x"), unit("y"));
        plot.label((0.0, 0.0), (0, 0), "start", "a < b & \"c\"");
        let svg = plot.finish("\"><script>");
        assert!(
            svg.contains("a &lt; b &amp; &quot;c&quot;") && !svg.contains("<script"),
            "{svg}"
        );
    }
}
