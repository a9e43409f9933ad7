//! Tables with aligned columns, and numbers as people read them.

use std::fmt;
use std::time::Duration;

use anstyle::Style;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::style::{HEADING, printable};

/// What stands between two columns.
const GAP: &str = "  ";

/// Where a column's text stands in its column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// At the left: names, states, paths.
    Left,
    /// At the right: numbers.
    Right,
}

/// One field of a table. Its text is made harmless for a terminal ([`printable`]).
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A field in a colour.
    pub fn styled(text: &str, style: Style) -> Self {
        Self { text: printable(text).into_owned(), style }
    }

    /// The field's width in columns of a terminal.
    fn width(&self) -> usize {
        self.text.width()
    }
}

impl<T: fmt::Display> From<T> for Cell {
    /// A field without a colour.
    fn from(value: T) -> Self {
        Self::styled(&value.to_string(), Style::new())
    }
}

/// A table, with or without a title line, that writes itself through `Display`: each line ends with
/// a newline and has no spaces at its end. Colours are included; see [`super::style`].
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Align>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table whose title line names its columns.
    pub fn with_titles<const N: usize>(columns: [(&str, Align); N]) -> Self {
        let mut table = Self::new(columns.map(|(_, align)| align));
        table.rows.push(columns.map(|(title, _)| Cell::styled(title, HEADING)).into());
        table
    }

    /// An empty table without a title line.
    pub fn new<const N: usize>(columns: [Align; N]) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a line, with a field for each column.
    ///
    /// # Panics
    ///
    /// The line has another number of fields than the table has columns.
    pub fn row<const N: usize>(&mut self, cells: [Cell; N]) {
        assert_eq!(N, self.columns.len(), "a line has a field for each column");
        self.rows.push(cells.into());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.rows.iter().map(|row| row[column].width()).max();
        let widths: Vec<usize> = (0..self.columns.len()).filter_map(width).collect();
        for row in &self.rows {
            let last =
                row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
            for (column, Cell { text, style }) in row[..last].iter().enumerate() {
                let gap = if column == 0 { "" } else { GAP };
                let space = widths[column] - row[column].width();
                let (before, after) = match self.columns[column] {
                    Align::Left if column + 1 == last => (0, 0),
                    Align::Left => (0, space),
                    Align::Right => (space, 0),
                };
                write!(f, "{gap}{:before$}{style}{text}{style:#}{:after$}", "", "")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// As much of a text as fits into so many columns of a terminal, and its width; what is cut off leaves a mark.
pub fn fit(text: &str, width: usize) -> (String, usize) {
    let whole: usize = text.chars().filter_map(UnicodeWidthChar::width).sum();
    if whole <= width {
        return (text.to_owned(), whole);
    }
    let (mut cut, mut used) = (String::new(), 0);
    for char in text.chars() {
        let more = char.width().unwrap_or(0);
        if used + more >= width {
            break;
        }
        cut.push(char);
        used += more;
    }
    cut.push('~');
    (cut, used + 1)
}

/// A text in lines of so many columns of a terminal at most, broken between words where that is possible. Lines after the
/// first are set in by two columns more than that, if there is room.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let blank = text.len() - text.trim_start_matches(' ').len();
    let inset = if blank + 2 < columns { blank + 2 } else { 0 };
    let mut lines = vec![" ".repeat(blank.min(columns.saturating_sub(1)))];
    let mut used = lines[0].len();
    let mut is_begun = false;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let width: usize = word.chars().filter_map(UnicodeWidthChar::width).sum();
        let break_line = |lines: &mut Vec<String>| {
            lines.push(" ".repeat(inset));
            inset
        };
        if is_begun && used + 1 + width > columns {
            used = break_line(&mut lines);
        } else if is_begun {
            lines.last_mut().expect("one at least").push(' ');
            used += 1;
        }
        for char in word.chars() {
            let more = char.width().unwrap_or(0);
            // A word that is longer than a line.
            if used + more > columns && used > inset {
                used = break_line(&mut lines);
            }
            lines.last_mut().expect("one at least").push(char);
            used += more;
        }
        is_begun = true;
    }
    lines
}

/// A number of bytes in binary units, with one digit after the point from 1 KiB on: `512 B`,
/// `1.5 KiB`, `16.0 EiB`.
pub fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 and more would be written as 1024.0.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A number of things, whose name gets an `s` unless there is one: `1 event`, `0 events`.
pub fn counted(count: u64, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// A text about so many things: of `[one|many]` in it, what suits the number.
pub fn numbered(count: u64, text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for part in text.split('[') {
        match part.split_once(']').and_then(|(both, rest)| Some((both.split_once('|')?, rest))) {
            Some(((one, many), rest)) => out.extend([if count == 1 { one } else { many }, rest]),
            None => out.push_str(part),
        }
    }
    out
}

/// A span of time in the unit that suits it: `87 ns`, `12.3 µs`, `1.5 ms`, `2.0 s`, `3m 20s`,
/// `5h 12m`, `30d 4h`.
pub fn human_duration(duration: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let (ns, s) = (duration.as_nanos(), duration.as_secs());
    // Each limit is where the unit's last value would be rounded up to the next unit's first.
    match () {
        () if ns < 1_000 => format!("{ns} ns"),
        () if ns < 999_950 => format!("{:.1} µs", ns as f64 / 1e3),
        () if ns < 999_950_000 => format!("{:.1} ms", ns as f64 / 1e6),
        () if ns < 59_950_000_000 => format!("{:.1} s", ns as f64 / 1e9),
        () if s < MINUTE => "1m 0s".to_owned(),
        () if s < HOUR => format!("{}m {}s", s / MINUTE, s % MINUTE),
        () if s < DAY => format!("{}h {}m", s / HOUR, s % HOUR / MINUTE),
        () => format!("{}d {}h", s / DAY, s % DAY / HOUR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::style::GOOD;

    fn plain(table: &Table) -> String {
        anstream::adapter::strip_str(&table.to_string()).to_string()
    }

    #[test]
    fn columns_are_aligned_and_numbers_stand_at_the_right() {
        let mut table = Table::with_titles([
            ("sink", Align::Left),
            ("events", Align::Right),
            ("state", Align::Left),
        ]);
        table.row(["audit".into(), 7.into(), Cell::styled("closed", GOOD)]);
        table.row(["世界".into(), 123_456.into(), "".into()]);
        insta::assert_snapshot!(plain(&table), @r"
        sink   events  state
        audit       7  closed
        世界   123456
        ");
        assert!(
            table.to_string().contains("\u{1b}[32m"),
            "colours are there until they are taken out"
        );
    }

    #[test]
    fn a_field_cannot_steer_the_terminal() {
        let mut table = Table::new([Align::Left, Align::Left]);
        table.row(["a\u{1b}[2J\n".into(), "b".into()]);
        assert_eq!(plain(&table), "a\\u{1b}[2J\\n  b\n");
    }

    #[test]
    fn a_table_may_be_empty() {
        assert_eq!(Table::new([Align::Left]).to_string(), "");
        let mut table = Table::new([Align::Left, Align::Right]);
        table.row(["".into(), "".into()]);
        assert_eq!(table.to_string(), "\n");
    }

    #[test]
    fn long_texts_are_broken_between_words() {
        let text = "sink a: down; `hookring sink resume a` tries at once";
        assert_eq!(wrap(text, 60), [text]);
        assert_eq!(
            wrap(text, 24),
            ["sink a: down; `hookring", "  sink resume a` tries", "  at once"]
        );
        assert_eq!(wrap("  more of it all", 10), ["  more of", "    it all"]);
        assert_eq!(wrap("世界世界", 5), ["世界", "  世", "  界"]);
        assert_eq!(wrap("abc", 1), ["a", "b", "c"]);
        assert_eq!(wrap("", 10), [""]);
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!([0, 1, 2].map(|n| counted(n, "line")), ["0 lines", "1 line", "2 lines"]);
    }

    #[test]
    fn what_is_said_of_things_suits_their_number() {
        for (count, expected) in [(1, "entry that is bad (x|y)"), (2, "entries that are bad (x|y)")]
        {
            assert_eq!(numbered(count, "entr[y|ies] that [is|are] bad (x|y)"), expected);
        }
    }

    #[test]
    fn bytes_at_every_edge() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (64 << 20, "64.0 MiB"),
            (3 << 40, "3.0 TiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(human_bytes(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn spans_of_time_at_every_edge() {
        let cases = [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.0 µs"),
            (12_345, "12.3 µs"),
            (999_949, "999.9 µs"),
            (999_950, "1.0 ms"),
            (999_950_000, "1.0 s"),
            (59_949_999_999, "59.9 s"),
            (59_950_000_000, "1m 0s"),
            (200_000_000_000, "3m 20s"),
            (18_720_000_000_000, "5h 12m"),
            (2_606_400_000_000_000, "30d 4h"),
        ];
        for (ns, text) in cases {
            assert_eq!(human_duration(Duration::from_nanos(ns)), text, "{ns}");
        }
        assert_eq!(human_duration(Duration::MAX), "213503982334601d 7h");
    }
}
