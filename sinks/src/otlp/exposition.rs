//! The daemon's own metrics as it serves them: the text format of Prometheus, read.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>, as far as our own exporter
//! writes it: no time stamps, no summaries.

use std::collections::BTreeMap;

/// A metric with all its series.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Family {
    pub(super) name: String,
    pub(super) help: String,
    pub(super) series: Series,
}

/// What kind of metric it is, and its series by their labels.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Series {
    /// Only rises, from the daemon's start on.
    Counter(BTreeMap<Labels, f64>),
    Gauge(BTreeMap<Labels, f64>),
    Histogram(BTreeMap<Labels, Buckets>),
}

/// Names with values, in the order of the text.
pub(super) type Labels = Vec<(String, String)>;

/// One series of a histogram.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Buckets {
    /// Upper limits with how many values are at most that, the last without limit.
    pub(super) cumulative: Vec<(f64, u64)>,
    pub(super) sum: f64,
    pub(super) count: u64,
}

/// A line that is not of the format.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line} of the daemon's own metrics cannot be read; this is a bug")]
pub(super) struct BadLine {
    line: usize,
}

/// Reads the text, in its order.
///
/// # Errors
///
/// At the first line that is not of the format.
pub(super) fn read(text: &str) -> Result<Vec<Family>, BadLine> {
    let mut families: Vec<Family> = Vec::new();
    let mut help = (String::new(), String::new());
    for (at, line) in text.lines().enumerate() {
        let bad = || BadLine { line: at + 1 };
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, words) = rest.split_once(' ').unwrap_or((rest, ""));
            help = (name.to_owned(), unescaped(words));
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or_else(bad)?;
            let series = Series::empty(kind).ok_or_else(bad)?;
            let words = if help.0 == name { std::mem::take(&mut help.1) } else { String::new() };
            families.push(Family { name: name.to_owned(), help: words, series });
        } else if !line.is_empty() && !line.starts_with('#') {
            let family = families.last_mut().ok_or_else(bad)?;
            family.enter(line).ok_or_else(bad)?;
        }
    }
    Ok(families)
}

impl Series {
    fn empty(kind: &str) -> Option<Series> {
        match kind {
            "counter" => Some(Series::Counter(BTreeMap::new())),
            "gauge" => Some(Series::Gauge(BTreeMap::new())),
            "histogram" => Some(Series::Histogram(BTreeMap::new())),
            _ => None,
        }
    }
}

impl Family {
    fn enter(&mut self, line: &str) -> Option<()> {
        let (name, mut labels, value) = sample(line)?;
        match &mut self.series {
            Series::Counter(series) | Series::Gauge(series) => {
                (name == self.name).then_some(())?;
                series.insert(labels, value);
            }
            Series::Histogram(series) => {
                let part = name.strip_prefix(self.name.as_str())?;
                let limit = labels.iter().position(|(label, _)| label == "le");
                let limit = limit.map(|at| labels.remove(at).1);
                let buckets = series.entry(labels).or_default();
                match (part, limit) {
                    ("_bucket", Some(limit)) => {
                        buckets.cumulative.push((number(&limit)?, value as u64));
                    }
                    ("_sum", None) => buckets.sum = value,
                    ("_count", None) => buckets.count = value as u64,
                    _ => return None,
                }
            }
        }
        Some(())
    }
}

/// The name, the labels and the value of a line.
fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        None => (Labels::new(), rest),
        Some(rest) => labels(rest)?,
    };
    Some((name, labels, number(rest.trim())?))
}

/// The labels behind a brace, and what follows the closing one.
fn labels(mut rest: &str) -> Option<(Labels, &str)> {
    let mut labels = Labels::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let end = end_of_text(quoted)?;
        labels.push((name.to_owned(), unescaped(&quoted[..end])));
        rest = &quoted[end + 1..];
    }
}

/// Where the quotation mark is that ends a text.
fn end_of_text(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    })
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                Some('n') => plain.push('\n'),
                other => plain.extend(other),
            },
            letter => plain.push(letter),
        }
    }
    plain
}

/// Rust reads `inf` and `NaN` in any case; `+Inf` is theirs.
fn number(text: &str) -> Option<f64> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP a_total What \\ it\nis.
# TYPE a_total counter
a_total{agent="claude \"x\" \\ \n,}",event_type="tool.pre"} 3
a_total{agent="b",event_type="x"} 4

# TYPE up gauge
up 1.5

# TYPE t_seconds histogram
t_seconds_bucket{tool="Bash",le="0.1"} 1
t_seconds_bucket{tool="Bash",le="+Inf"} 3
t_seconds_sum{tool="Bash"} 7.25
t_seconds_count{tool="Bash"} 3
"#;

    fn text(it: &str) -> String {
        it.to_owned()
    }

    #[test]
    fn every_kind_of_metric_is_read_with_its_labels() {
        let families = read(TEXT).expect("metrics");
        let [counter, gauge, histogram] = families.as_slice() else { panic!("{families:?}") };
        assert_eq!((counter.name.as_str(), counter.help.as_str()), ("a_total", "What \\ it\nis."));
        let labels = vec![
            (text("agent"), text("claude \"x\" \\ \n,}")),
            (text("event_type"), text("tool.pre")),
        ];
        let Series::Counter(series) = &counter.series else { panic!("{counter:?}") };
        assert_eq!((series.len(), series.get(&labels)), (2, Some(&3.0)));
        assert_eq!(gauge.series, Series::Gauge([(Labels::new(), 1.5)].into()));
        let buckets =
            Buckets { cumulative: vec![(0.1, 1), (f64::INFINITY, 3)], sum: 7.25, count: 3 };
        let labels = vec![(text("tool"), text("Bash"))];
        assert_eq!(histogram.series, Series::Histogram([(labels, buckets)].into()));
    }

    #[test]
    fn a_line_that_is_not_of_the_format_is_named() {
        for (text, line) in [
            ("a 1", 1),
            ("# TYPE a counter\nb 1", 2),
            ("# TYPE a counter\na one", 2),
            ("# TYPE a counter\na{b=\"c} 1", 2),
            ("# TYPE a summary", 1),
            ("# TYPE a histogram\na_bucket 1", 2),
        ] {
            assert_eq!(read(text), Err(BadLine { line }), "{text}");
        }
    }
}
