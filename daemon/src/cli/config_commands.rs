//! `hookring config check` and `hookring config show`.

use std::io::{self, Write};
use std::path::Path;

use serde_json::json;

use super::Exit;
use super::args::{ConfigCheckArgs, ConfigShowArgs};
use super::style::{GOOD, WARNING, printable};
use super::table::counted;
use crate::config::{Config, ConfigErrors, ConfigReport, Env, Warning};
use crate::paths::Paths;
use crate::run::status::Status;

/// Checks a configuration and lists everything that is wrong with it: for people on `err`, as one
/// JSON object on `out`. Both should be `anstream`s where a person may see them.
///
/// # Errors
///
/// The result could not be written.
pub fn check(
    args: &ConfigCheckArgs,
    paths: &Paths,
    env: Env<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    let file = args.file.as_deref().or(args.config.as_deref());
    let path = file.unwrap_or(&paths.config_file);
    let result = load_and_look(file, paths, env);
    let exit = if result.is_ok() { Exit::Fine } else { Exit::BadConfig };
    if args.json {
        let text = serde_json::to_string_pretty(&ConfigReport::new(path, &result))?;
        writeln!(out, "{text}")?;
        return Ok(exit);
    }
    match result {
        Ok((config, warnings)) => {
            write_warnings(err, &warnings)?;
            let path = path.to_string_lossy();
            let path = printable(&path);
            match config.file {
                Some(_) if !warnings.is_empty() => {
                    let warnings = counted(warnings.len() as u64, "warning");
                    writeln!(out, "{WARNING}valid, with {warnings}{WARNING:#}: {path}")?;
                }
                Some(_) => writeln!(out, "{GOOD}fine{GOOD:#}: {path}")?,
                None => {
                    writeln!(out, "{GOOD}fine{GOOD:#}: there is no {path}, the defaults apply")?;
                }
            }
        }
        Err(errors) => {
            write_warnings(err, &errors.warnings)?;
            write!(err, "{}", errors.styled())?;
        }
    }
    Ok(exit)
}

/// Shows a configuration on `out`, as a configuration or as JSON, with its defaults filled in; what is
/// wrong with it on `err`.
///
/// # Errors
///
/// The result could not be written.
pub fn show(
    args: &ConfigShowArgs,
    paths: &Paths,
    env: Env<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<Exit> {
    match Config::load(args.file.as_deref(), paths, env) {
        Ok((config, warnings)) => {
            write_warnings(err, &warnings)?;
            if args.json {
                let file = config.file.as_ref().map(|file| file.to_string_lossy());
                let shown = json!({ "file": file, "settings": config.to_json() });
                writeln!(out, "{}", serde_json::to_string_pretty(&shown)?)?;
                return Ok(Exit::Fine);
            }
            let path = paths.config_file.to_string_lossy();
            match &config.file {
                Some(file) => writeln!(out, "# {}\n", printable(&file.to_string_lossy()))?,
                None => writeln!(out, "# there is no {}, the defaults apply\n", printable(&path))?,
            }
            write!(out, "{}", config.to_toml())?;
            Ok(Exit::Fine)
        }
        Err(errors) => {
            write_warnings(err, &errors.warnings)?;
            write!(err, "{}", errors.styled())?;
            Ok(Exit::BadConfig)
        }
    }
}

/// Loads a configuration, with warnings of what is in its sinks' way.
pub(super) fn load_and_look(
    named: Option<&Path>,
    paths: &Paths,
    env: Env<'_>,
) -> Result<(Config, Vec<Warning>), ConfigErrors> {
    let (config, mut warnings) = Config::load(named, paths, env)?;
    warnings.extend(config.sink_warnings());
    // Who follows whom is the daemon's to know.
    let status = Status::read(&paths.status_file).ok().flatten().unwrap_or_default();
    warnings.extend(config.orphan_warning(paths, &status.orphaned_cursors));
    Ok((config, warnings))
}

pub(super) fn write_warnings(err: &mut dyn Write, warnings: &[Warning]) -> io::Result<()> {
    for warning in warnings {
        let text = warning.to_string();
        writeln!(err, "{WARNING}warning{WARNING:#}: {}", printable(&text))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
