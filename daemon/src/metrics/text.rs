//! Writes Prometheus's text format, version 0.0.4.
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>)

use std::fmt::Write as _;

use super::family::{Family, Kind};
use super::series::Histogram;

/// Families one after the other.
#[derive(Default)]
pub(super) struct Text {
    out: String,
}

/// Where the samples of one family go.
pub(super) struct Samples<'a> {
    out: &'a mut String,
    family: &'static Family,
}

impl Text {
    /// Begins a family, which must not have been begun before.
    pub(super) fn family(&mut self, family: &'static Family) -> Samples<'_> {
        let Family { name, help, kind, .. } = family;
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
        Samples { out: &mut self.out, family }
    }

    pub(super) fn finish(self) -> String {
        self.out
    }
}

impl Samples<'_> {
    /// A sample whose labels have these values, in the family's order.
    pub(super) fn sample(&mut self, values: &[&str], value: impl Number) -> &mut Self {
        debug_assert_eq!(values.len(), self.family.labels.len(), "{}", self.family.name);
        self.out.push_str(self.family.name);
        if !values.is_empty() {
            self.out.push('{');
            let begin = self.out.len();
            for (name, value) in self.family.labels.iter().zip(values) {
                push_label_behind(self.out, begin, name, value);
            }
            self.out.push('}');
        }
        self.out.push(' ');
        value.push_to(self.out);
        self.out.push('\n');
        self
    }

    /// A sample whose labels are written already, as they stand between braces.
    pub(super) fn prepared(&mut self, labels: &str, value: u64) {
        self.out.push_str(self.family.name);
        self.out.push('{');
        self.out.push_str(labels);
        self.out.push_str("} ");
        value.push_to(self.out);
        self.out.push('\n');
    }

    /// The samples of a histogram.
    pub(super) fn histogram(&mut self, histogram: &Histogram) {
        debug_assert_eq!(self.family.kind, Kind::Histogram, "{}", self.family.name);
        let name = self.family.name;
        let labels = &histogram.labels;
        let ends = histogram.bounds.iter().map(|(_, seconds)| *seconds).chain(["+Inf"]);
        let mut total = 0;
        for (end, count) in ends.zip(histogram.rising()) {
            self.out.push_str(name);
            self.out.push_str("_bucket{");
            self.out.push_str(labels);
            self.out.push_str(if labels.is_empty() { "le=\"" } else { ",le=\"" });
            self.out.push_str(end);
            self.out.push_str("\"} ");
            count.push_to(self.out);
            self.out.push('\n');
            total = count;
        }
        let braces = if labels.is_empty() { ["", ""] } else { ["{", "}"] };
        let [open, close] = braces;
        let seconds = histogram.sum_ns() as f64 / 1e9;
        let _ = writeln!(self.out, "{name}_sum{open}{labels}{close} {seconds}");
        let _ = writeln!(self.out, "{name}_count{open}{labels}{close} {total}");
    }
}

/// What a sample's value can be.
pub(super) trait Number {
    fn push_to(self, out: &mut String);
}

impl Number for u64 {
    fn push_to(self, out: &mut String) {
        // As many digits as there can be.
        let (mut digits, mut at, mut rest) = ([0; 20], 20, self);
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        digits[at..].iter().for_each(|digit| out.push(char::from(*digit)));
    }
}

impl Number for f64 {
    fn push_to(self, out: &mut String) {
        if self == f64::INFINITY {
            out.push_str("+Inf");
        } else {
            let _ = write!(out, "{self}");
        }
    }
}

impl Number for bool {
    fn push_to(self, out: &mut String) {
        out.push(if self { '1' } else { '0' });
    }
}

/// Appends `name="value"`, behind a comma if it is not the first.
pub(super) fn push_label(out: &mut String, name: &str, value: &str) {
    push_label_behind(out, 0, name, value);
}

fn push_label_behind(out: &mut String, begin: usize, name: &str, value: &str) {
    if out.len() > begin {
        out.push(',');
    }
    out.push_str(name);
    out.push_str("=\"");
    for char in value.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            char => out.push(char),
        }
    }
    out.push('"');
}
