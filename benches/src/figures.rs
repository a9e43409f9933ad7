//! What a bench found out, as the table and the plots need it: rows with their targets, and curves.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::args::Args;
use crate::machine::Machine;

/// The `main` of a bench with figures: reads its arguments, says on which machine and by `what` of how many rounds
/// (a median, say) it goes, has it `measure`, and writes the figures where that was asked for.
///
/// # Panics
///
/// If the figures cannot be written.
pub fn run(what: &str, default_rounds: usize, measure: impl FnOnce(usize) -> Figures) -> ExitCode {
    let args = match Args::read(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let rounds = args.rounds.unwrap_or(default_rounds);
    println!("{} | {what} of {rounds} rounds", Machine::look());
    let figures = measure(rounds);
    if let Some(path) = &args.json {
        figures.write(path).expect("the figures can be written");
    }
    ExitCode::SUCCESS
}

/// What a row is to be.
#[derive(Copy, Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Target {
    /// The ratio, at most.
    AtMost(f64),
    /// The ratio, at least.
    AtLeast(f64),
    /// The figure itself, at most, whatever the other one is.
    FigureAtMost(f64),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::AtMost(limit) => write!(f, "at most {limit}"),
            Target::AtLeast(limit) => write!(f, "at least {limit}"),
            Target::FigureAtMost(limit) => write!(f, "figure at most {limit}"),
        }
    }
}

/// A line of the table: one figure beside another.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The part of the table, with the unit.
    pub block: String,
    /// What was measured.
    pub what: String,
    /// What it took.
    pub value: f64,
    /// What it is compared with.
    pub beside: String,
    /// What that took.
    pub base: f64,
    /// Of both.
    pub unit: String,
    /// The median of the rounds' quotients where both took turns, which need not be that of medians.
    pub ratio: f64,
    /// What it is to be, if that was said.
    pub target: Option<Target>,
}

impl Row {
    /// Whether it has a target and is not what that says.
    pub fn is_missed(&self) -> bool {
        // As it is printed: what reads as the target is no miss. What was not measured is one.
        let printed = |figure: f64| (figure * 100.0).round() / 100.0;
        let is_met = match self.target {
            None => true,
            Some(Target::AtMost(limit)) => printed(self.ratio) <= limit,
            Some(Target::AtLeast(limit)) => printed(self.ratio) >= limit,
            Some(Target::FigureAtMost(limit)) => printed(self.value) <= limit,
        };
        !is_met
    }
}

/// A curve of a plot.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Series {
    /// Which plot it belongs to.
    pub plot: String,
    /// What it is of.
    pub name: String,
    /// What that was, at which place of the plot's first axis: `[place, figure]`.
    pub points: Vec<[f64; 2]>,
}

/// All that a bench found out.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Figures {
    /// For the table.
    pub rows: Vec<Row>,
    /// For the plots.
    pub series: Vec<Series>,
}

impl Figures {
    /// Writes them to a file.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        fs::write(path, serde_json::to_string_pretty(self)?)
    }

    /// Reads what [`Figures::write`] wrote.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or holds something else.
    pub fn read(path: &Path) -> io::Result<Figures> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    /// Adds a point to a curve, which begins with its first one.
    pub fn add_point(&mut self, plot: &str, name: &str, point: [f64; 2]) {
        let known = self.series.iter_mut().find(|it| (&*it.plot, &*it.name) == (plot, name));
        match known {
            Some(series) => series.points.push(point),
            None => self.series.push(Series {
                plot: plot.to_owned(),
                name: name.to_owned(),
                points: vec![point],
            }),
        }
    }

    /// Adds what another bench found out.
    pub fn add(&mut self, other: Figures) {
        self.rows.extend(other.rows);
        self.series.extend(other.series);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(value: f64, ratio: f64, target: Option<Target>) -> Row {
        Row {
            block: "publish: ns".to_owned(),
            what: "hookring".to_owned(),
            value,
            beside: "memcpy".to_owned(),
            base: 1.0,
            unit: "ns".to_owned(),
            ratio,
            target,
        }
    }

    #[test]
    fn what_reads_as_the_target_is_met() {
        let missed = |value, ratio, target| row(value, ratio, Some(target)).is_missed();
        assert!(!missed(9.0, 1.184, Target::AtMost(1.18)));
        assert!(missed(9.0, 1.186, Target::AtMost(1.18)));
        assert!(!missed(9.0, 0.797, Target::AtLeast(0.8)));
        assert!(missed(9.0, 0.79, Target::AtLeast(0.8)));
        assert!(!missed(8.0, 1.6, Target::FigureAtMost(8.0)));
        assert!(missed(9.0, 1.0, Target::FigureAtMost(8.0)));
        assert!(missed(1.0, f64::NAN, Target::AtMost(2.0)), "it was not measured");
        assert!(!row(1.0, f64::NAN, None).is_missed());
    }

    #[test]
    fn figures_come_back_from_a_file() {
        let figures = Figures {
            rows: vec![row(2.0, 2.0, Some(Target::FigureAtMost(3.0)))],
            series: vec![Series {
                plot: "hook".to_owned(),
                name: "curl".to_owned(),
                points: vec![[0.5, 7.25], [0.99, 9.5]],
            }],
        };
        let path = std::env::temp_dir().join(format!("figures-{}.json", std::process::id()));
        figures.write(&path).expect("it can be written");
        let read = Figures::read(&path);
        fs::remove_file(&path).expect("it is there");
        let mut twice = read.expect("it can be read");
        assert_eq!(twice, figures);
        twice.add(figures);
        assert_eq!((twice.rows.len(), twice.series.len()), (2, 2));
        twice.add_point("hook", "curl", [0.999, 11.0]);
        twice.add_point("hook", "node", [0.5, 23.0]);
        assert_eq!((twice.series[0].points.len(), twice.series.len()), (3, 3));
    }
}
