//! A logarithmic axis.

/// Where a value between two others stands on a stretch of the picture.
pub(super) struct Log {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Log {
    /// Covers the values, from the largest 1, 2 or 5 times a power of ten below them to the smallest
    /// one above them. `None` without a positive value.
    pub(super) fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Option<Log> {
        let (mut low, mut high) = (f64::INFINITY, 0.0f64);
        for value in values.filter(|value| *value > 0.0 && value.is_finite()) {
            (low, high) = (low.min(value), high.max(value));
        }
        (high > 0.0).then(|| Log { low: round(low, false), high: round(high, true), from, to })
    }

    /// The place of a value.
    pub(super) fn at(&self, value: f64) -> f64 {
        let part = (value / self.low).ln() / (self.high / self.low).ln();
        self.from + (self.to - self.from) * part.clamp(0.0, 1.0)
    }

    /// The values that are worth a line: powers of ten, with their double and fivefold where there are
    /// few of those.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let decades = (self.high / self.low).log10();
        let steps: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let first = self.low.log10().floor() as i32;
        let powers = first..=self.high.log10().ceil() as i32;
        let all = powers.flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        let is_inside = |tick: &f64| *tick >= self.low * 0.999 && *tick <= self.high * 1.001;
        all.filter(is_inside).collect()
    }
}

/// The next 1, 2 or 5 times a power of ten below or above.
fn round(value: f64, up: bool) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
    let mut fitting: Box<dyn Iterator<Item = f64>> = if up {
        Box::new(steps.into_iter().filter(|step| *step >= value))
    } else {
        Box::new(steps.into_iter().rev().filter(|step| *step <= value))
    };
    fitting.next().unwrap_or(value)
}

/// A time with its unit, from nanoseconds.
pub(super) fn time(ns: f64) -> String {
    let (value, unit) = match ns {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    // Three digits that count, and no noughts behind a point.
    let digits = (2 - value.abs().log10().floor() as i32).clamp(0, 2) as usize;
    let text = format!("{value:.digits$}");
    let text =
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text} {unit}")
}
