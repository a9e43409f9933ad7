//! What the sinks share that speak HTTP: addresses, the client, what its answers mean, and how they are set.

pub(crate) mod answer;
pub(crate) mod client;
mod gzip;
mod ready;
mod settings;
pub(crate) mod target;
mod tls_words;
mod words;

pub(crate) use gzip::compress;
pub(crate) use ready::{Made, Ready};
pub use settings::{
    Connection, DEFAULT_CONNECT_TIMEOUT, DEFAULT_TIMEOUT, MAX_HEADERS, Reloads, Setting,
    SettingError, is_credential,
};
pub(crate) use settings::{SetupError, header_value, read_headers};
pub use target::{Target, TargetError};
pub(crate) use words::words;
