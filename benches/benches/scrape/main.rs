//! What a scrape of 10,000 series takes, beside what formatting the same text takes; and what it does to the drain that
//! goes on meanwhile is in `drain_to_journal`.
//!
//! Interleaved: each round scrapes, and formats the same samples from their parts.
//! Run with `cargo xtask bench --bench scrape [-- --rounds N] [--json FILE]`.

use std::fmt::Write as _;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use hookring::metrics::{EventMetrics, Metrics, open_metrics};
use hookring_benches::figures::{self, Figures, Row, Target};
use hookring_pipeline::Summary;

const DEFAULT_ROUNDS: usize = 200;
/// Events of so many types from so many agents.
const TYPES: usize = 200;
const AGENTS: usize = 50;

/// A line of the text in its parts.
enum Line {
    Comment(String),
    Sample { name: String, labels: Vec<(String, String)>, value: Value },
}

enum Value {
    Whole(u64),
    Real(f64),
}

type Scrape = fn(&Metrics) -> String;

fn main() -> ExitCode {
    figures::run("median", DEFAULT_ROUNDS, measure)
}

fn measure(rounds: usize) -> Figures {
    let metrics = filled();
    let text = metrics.render();
    let lines: Vec<_> = text.lines().map(parsed).collect();
    assert_eq!(formatted(&lines), text, "the same text");
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(series >= TYPES * AGENTS, "only {series} series");
    let mut figures = Figures::default();
    let kinds: [(&str, Scrape); 2] = [
        ("Prometheus's text", Metrics::render),
        ("OpenMetrics", |metrics| open_metrics(&metrics.render())),
    ];
    for (kind, scrape) in kinds {
        let row = row(kind, series, rounds, || scrape(&metrics), || formatted(&lines));
        let Row { block, what, value, beside, base, unit, ratio, .. } = &row;
        println!("\n{block}\n{what} {value:.1} {unit}, {beside} {base:.1} {unit}: {ratio:.2} ×");
        figures.rows.push(row);
    }
    figures
}

fn filled() -> Arc<Metrics> {
    let metrics = Arc::new(Metrics::default());
    let mut events = EventMetrics::new(Arc::clone(&metrics));
    for number in 0..TYPES * AGENTS {
        let event_type = format!("some.event.{}", number % TYPES);
        let agent = format!("agent-{}", number / TYPES);
        events.note(&Summary { event_type: &event_type, agent: &agent, ..Summary::default() });
    }
    metrics
}

fn parsed(line: &str) -> Line {
    if line.starts_with('#') {
        return Line::Comment(line.to_owned());
    }
    let (name, value) = line.rsplit_once(' ').expect("a value");
    let (name, labels) = name.split_once('{').unwrap_or((name, ""));
    let labels = labels.trim_end_matches('}').split("\",").filter(|it| !it.is_empty());
    let labels = labels.map(|label| {
        let (name, value) = label.trim_end_matches('"').split_once("=\"").expect("a value");
        (name.to_owned(), value.to_owned())
    });
    let value = match value.parse() {
        Ok(whole) => Value::Whole(whole),
        Err(_) => Value::Real(value.parse().expect("a number")),
    };
    Line::Sample { name: name.to_owned(), labels: labels.collect(), value }
}

/// The text that these lines make, written as one writes it who knows nothing but the parts.
fn formatted(lines: &[Line]) -> String {
    let mut out = String::new();
    for line in lines {
        let (name, labels, value) = match line {
            Line::Comment(text) => {
                let _ = writeln!(out, "{text}");
                continue;
            }
            Line::Sample { name, labels, value } => (name, labels, value),
        };
        let _ = write!(out, "{name}");
        for (at, (name, value)) in labels.iter().enumerate() {
            let _ = write!(out, "{}{name}=\"{value}\"", if at == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = match value {
            Value::Whole(value) => writeln!(out, "{end} {value}"),
            Value::Real(value) => writeln!(out, "{end} {value}"),
        };
    }
    out
}

fn row(
    kind: &str,
    series: usize,
    rounds: usize,
    scrape: impl Fn() -> String,
    format: impl Fn() -> String,
) -> Row {
    let time = |work: &dyn Fn() -> String| {
        let begin = Instant::now();
        black_box(work());
        begin.elapsed().as_nanos() as f64 / 1e3
    };
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (scraped, formatted) = (time(&scrape), time(&format));
        ours.push(scraped);
        theirs.push(formatted);
        ratios.push(scraped / formatted);
    }
    Row {
        block: format!("a scrape of {series} series as {kind}: µs"),
        what: "scrape".to_owned(),
        value: median(&mut ours),
        beside: "formatting the same text".to_owned(),
        base: median(&mut theirs),
        unit: "µs".to_owned(),
        ratio: median(&mut ratios),
        target: Some(Target::AtMost(3.0)),
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
