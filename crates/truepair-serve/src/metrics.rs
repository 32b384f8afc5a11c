//! What the server counts, in the text format of Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::service::Description;

/// Upper bounds of latencies, in seconds.
const SECONDS: &[f64] = &[
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

/// Upper bounds of batch sizes.
const SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Everything that is counted.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(String, u16), u64>>,
    latencies: Mutex<BTreeMap<String, Histogram>>,
    batches: Mutex<BTreeMap<&'static str, Histogram>>,
    /// Requests being answered.
    pub(crate) in_flight: AtomicI64,
    /// Connections that are open.
    pub(crate) connections: AtomicI64,
    /// Connections that were turned away.
    pub(crate) refused_connections: AtomicU64,
    /// Versions that took the place of another.
    pub(crate) swaps: AtomicU64,
    /// Versions that could not be opened.
    pub(crate) swap_failures: AtomicU64,
}

/// One more in a gauge for as long as this lives.
pub(crate) struct Counted<'a>(&'a AtomicI64);

impl<'a> Counted<'a> {
    pub(crate) fn new(gauge: &'a AtomicI64) -> Self {
        gauge.fetch_add(1, Ordering::Relaxed);
        Self(gauge)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Histogram {
    /// Values at most as large as each bound, not summed up.
    counts: Vec<u64>,
    count: u64,
    sum: f64,
}

impl Histogram {
    fn add(&mut self, bounds: &[f64], value: f64) {
        self.counts.resize(bounds.len(), 0);
        if let Some(bin) = bounds.iter().position(|bound| value <= *bound) {
            self.counts[bin] += 1;
        }
        self.count += 1;
        self.sum += value;
    }

    fn write(&self, out: &mut String, name: &str, label: &str, bounds: &[f64]) {
        let mut below = 0;
        for (bound, count) in bounds.iter().zip(&self.counts) {
            below += count;
            line(
                out,
                format_args!("{name}_bucket{{{label},le=\"{bound}\"}} {below}"),
            );
        }
        let count = self.count;
        line(
            out,
            format_args!("{name}_bucket{{{label},le=\"+Inf\"}} {count}"),
        );
        line(out, format_args!("{name}_sum{{{label}}} {}", self.sum));
        line(out, format_args!("{name}_count{{{label}}} {count}"));
    }
}

impl Metrics {
    /// A request was answered.
    pub(crate) fn request(&self, route: &str, status: u16, took: Duration) {
        *locked(&self.requests)
            .entry((route.to_owned(), status))
            .or_default() += 1;
        locked(&self.latencies)
            .entry(route.to_owned())
            .or_default()
            .add(SECONDS, took.as_secs_f64());
    }

    /// A batch is handed to the service.
    pub(crate) fn batch(&self, task: &'static str, size: usize) {
        locked(&self.batches)
            .entry(task)
            .or_default()
            .add(SIZES, size as f64);
    }

    /// All of it as text; `waiting` queries have no answer yet.
    pub(crate) fn render(&self, description: &Description, waiting: usize) -> String {
        let mut out = String::new();
        head(
            &mut out,
            "truepair_requests_total",
            "counter",
            "Requests answered.",
        );
        for ((route, status), count) in locked(&self.requests).iter() {
            let labels = format!("route=\"{}\",status=\"{status}\"", escaped(route));
            line(
                &mut out,
                format_args!("truepair_requests_total{{{labels}}} {count}"),
            );
        }
        let name = "truepair_request_seconds";
        head(
            &mut out,
            name,
            "histogram",
            "Time to the head of the answer.",
        );
        for (route, histogram) in locked(&self.latencies).iter() {
            let label = format!("route=\"{}\"", escaped(route));
            histogram.write(&mut out, name, &label, SECONDS);
        }
        let name = "truepair_batch_size";
        head(&mut out, name, "histogram", "Inputs answered together.");
        for (task, histogram) in locked(&self.batches).iter() {
            histogram.write(&mut out, name, &format!("task=\"{task}\""), SIZES);
        }
        self.render_state(&mut out, description, waiting);
        out
    }

    fn render_state(&self, out: &mut String, description: &Description, waiting: usize) {
        let gauge = |gauge: &AtomicI64| gauge.load(Ordering::Relaxed).to_string();
        let counter = |counter: &AtomicU64| counter.load(Ordering::Relaxed).to_string();
        let rows = [
            (
                "truepair_requests_in_flight",
                "gauge",
                "Requests being answered.",
                gauge(&self.in_flight),
            ),
            (
                "truepair_connections",
                "gauge",
                "Open connections.",
                gauge(&self.connections),
            ),
            (
                "truepair_queries_waiting",
                "gauge",
                "Queries without an answer yet.",
                waiting.to_string(),
            ),
            (
                "truepair_connections_refused_total",
                "counter",
                "Connections turned away.",
                counter(&self.refused_connections),
            ),
            (
                "truepair_index_swaps_total",
                "counter",
                "Versions that took the place of another.",
                counter(&self.swaps),
            ),
            (
                "truepair_index_swap_failures_total",
                "counter",
                "Versions that could not be opened.",
                counter(&self.swap_failures),
            ),
            (
                "truepair_index_images",
                "gauge",
                "Images that can be found.",
                description.images.to_string(),
            ),
            (
                "truepair_index_captions",
                "gauge",
                "Captions that can be found.",
                description.captions.to_string(),
            ),
        ];
        for (name, kind, help, value) in rows {
            head(out, name, kind, help);
            line(out, format_args!("{name} {value}"));
        }
        head(
            out,
            "truepair_index_info",
            "gauge",
            "The index that answers.",
        );
        let (name, version) = (escaped(&description.name), escaped(&description.version));
        line(
            out,
            format_args!("truepair_index_info{{name=\"{name}\",version=\"{version}\"}} 1"),
        );
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    line(out, format_args!("# HELP {name} {help}"));
    line(out, format_args!("# TYPE {name} {kind}"));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

fn escaped(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
