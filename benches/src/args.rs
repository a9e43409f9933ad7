//! The arguments that the benches of processes take.

use std::path::PathBuf;

/// What a bench was asked for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Args {
    /// `--rounds N`, at least 1.
    pub rounds: Option<usize>,
    /// `--json FILE`: where the same figures are to be written for the table and the plots.
    pub json: Option<PathBuf>,
}

impl Args {
    /// Reads a program's arguments, without its name.
    ///
    /// # Errors
    ///
    /// Says which one is unknown, or lacks its value.
    pub fn read(mut args: impl Iterator<Item = String>) -> Result<Args, String> {
        let mut read = Args::default();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                // Cargo says this to every bench.
                "--bench" => {}
                "--rounds" => {
                    let value = args.next().ok_or("--rounds needs a number")?;
                    let rounds: usize =
                        value.parse().map_err(|_| format!("--rounds {value}: no number"))?;
                    read.rounds = Some(rounds.max(1));
                }
                "--json" => read.json = Some(args.next().ok_or("--json needs a file")?.into()),
                other => {
                    return Err(format!(
                        "unknown argument `{other}`; there are --rounds N and --json FILE"
                    ));
                }
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Args, String> {
        Args::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn it_takes_what_cargo_and_people_say() {
        let args = read("--rounds 7 --json figures.json --bench").expect("all are known");
        assert_eq!(args, Args { rounds: Some(7), json: Some("figures.json".into()) });
    }

    #[test]
    fn it_names_what_is_wrong() {
        for (line, word) in [("--round 7", "--round"), ("--rounds x", "x"), ("--json", "file")] {
            let error = read(line).expect_err(line);
            assert!(error.contains(word), "{error}");
        }
    }
}
