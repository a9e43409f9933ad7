//! What the sinks share that speak HTTP: addresses, the client, what its answers mean, and how they are set.

pub(crate) mod answer;
pub(crate) mod client;
mod gzip;
mod settings;
pub(crate) mod target;
mod tls_words;
mod words;

pub(crate) use gzip::compress;
pub(crate) use settings::{Connection, SetupError, header_value};
pub use settings::{
    DEFAULT_CONNECT_TIMEOUT, DEFAULT_TIMEOUT, MAX_HEADERS, Reloads, Setting, SettingError,
    is_credential,
};
pub use target::{Target, TargetError};
pub(crate) use words::words;
