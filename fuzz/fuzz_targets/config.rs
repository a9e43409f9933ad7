//! Any configuration: read or refused with errors that can be printed, and what `config show` prints
//! means the same again.
#![no_main]

use std::ffi::OsString;
use std::path::Path;

use hookring::config::Config;
use hookring::paths::Paths;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|content: &[u8]| {
    let Ok(config) = parse(content) else { return };
    let shown = config.to_toml();
    let again = match parse(shown.as_bytes()) {
        Ok(again) => again,
        Err(errors) => panic!("what is shown is refused: {errors}\n{shown}"),
    };
    assert_eq!(again.bus, config.bus);
    assert_eq!(again.journal, config.journal);
    assert_eq!(again.log, config.log);
    assert_eq!(again.sinks, config.sinks);
});

/// The configuration, or all its errors as people see them.
fn parse(content: &[u8]) -> Result<Config, String> {
    let dir = |name: &str| (name == "HOOKRING_DIR").then(|| OsString::from("/state"));
    let paths = Paths::resolve(&dir, Some("/home/ada".into())).expect("a folder is named");
    Config::parse(Path::new("/etc/hookring.toml"), content, &paths, &variable)
        .map_err(|errors| errors.to_string())
}

fn variable(name: &str) -> Option<String> {
    let value = match name {
        "SIZE" => "32MiB",
        "LANES" => "64",
        "ON" => "true",
        "LOGS" => "/var/log",
        "ODD" => "a\"b\\c\n$d",
        "EMPTY" => "",
        _ => return None,
    };
    Some(value.to_owned())
}
