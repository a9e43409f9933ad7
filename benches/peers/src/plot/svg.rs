//! The little of SVG that the plots need.

use std::fmt::Write as _;

/// Colours of the contenders, on light and on dark pages.
const COLOURS: [(&str, &str); 8] = [
    ("#0b5fd0", "#58a6ff"),
    ("#8250df", "#bc8cff"),
    ("#bf3989", "#f778ba"),
    ("#1a7f37", "#3fb950"),
    ("#bc4c00", "#f0883e"),
    ("#8a6100", "#d8a62a"),
    ("#0a7589", "#39c5cf"),
    ("#636c76", "#a0a8b0"),
];

#[derive(Copy, Clone)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A picture being drawn.
pub(super) struct Svg {
    width: f64,
    height: f64,
    body: String,
}

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Svg {
        Svg { width, height, body: String::new() }
    }

    pub(super) fn text(&mut self, at: (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        let (x, y) = at;
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}</text>"
        );
    }

    /// Text that is read from below.
    pub(super) fn text_upwards(&mut self, at: (f64, f64), text: &str) {
        let ((x, y), text) = (at, escaped(text));
        let _ = writeln!(
            self.body,
            "<text transform=\"translate({x:.1} {y:.1}) rotate(-90)\" text-anchor=\"middle\" class=\"soft\">{text}</text>"
        );
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        self.path(&[from, to], class);
    }

    pub(super) fn path(&mut self, points: &[(f64, f64)], class: &str) {
        let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        let _ = writeln!(self.body, "<polyline points=\"{points}\" class=\"line {class}\"/>");
    }

    pub(super) fn dot(&mut self, at: (f64, f64), radius: f64, class: &str) {
        let (x, y) = at;
        let _ = writeln!(
            self.body,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" class=\"dot {class}\"/>"
        );
    }

    /// The whole file; `title` is for those who do not see it.
    pub(super) fn finish(self, title: &str) -> String {
        let Svg { width, height, body } = self;
        let (title, style) = (escaped(title), style());
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">\n\
             <title>{title}</title>\n<style>\n{style}</style>\n\
             <rect width=\"{width}\" height=\"{height}\" class=\"page\"/>\n{body}</svg>\n"
        )
    }
}

fn style() -> String {
    let theme = |page: &str,
                 ink: &str,
                 soft: &str,
                 grid: &str,
                 colour: fn(usize) -> &'static str| {
        let mut css = format!(
            ".page{{fill:{page}}} text{{fill:{ink}}} .soft{{fill:{soft}}} .grid{{stroke:{grid}}}\n"
        );
        for index in 0..COLOURS.len() {
            let colour = colour(index);
            let _ = writeln!(
                css,
                ".line.c{index}{{stroke:{colour}}} .dot.c{index},text.c{index}{{fill:{colour}}}"
            );
        }
        css
    };
    let light = theme("#ffffff", "#1f2328", "#59636e", "#d8dee4", |index| COLOURS[index].0);
    let dark = theme("#0d1117", "#f0f6fc", "#9198a1", "#2f353d", |index| COLOURS[index].1);
    format!(
        "text{{font:13px system-ui,-apple-system,'Segoe UI',sans-serif}} .title{{font-size:16px;font-weight:600}} .head{{font-weight:600}} .small{{font-size:11px}}\n\
         .line{{fill:none;stroke-width:1.6;stroke-linejoin:round}} .grid{{stroke-width:1}} .line.ours{{stroke-width:3.2}} .dashed{{stroke-dasharray:5 4}} .ours{{font-weight:600}}\n\
         {light}@media (prefers-color-scheme:dark){{\n{dark}}}\n"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Moves labels apart that would cover each other: their heights, in the order given.
pub(super) fn spread(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut at = wanted.to_vec();
    let mut free = low;
    for index in &order {
        at[*index] = at[*index].max(free);
        free = at[*index] + gap;
    }
    let mut free = high;
    for index in order.iter().rev() {
        at[*index] = at[*index].min(free);
        free = at[*index] - gap;
    }
    at
}
