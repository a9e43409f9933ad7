//! The `webhook` sink: events are posted to an address of HTTP.

mod answer;
mod client;
mod config;
mod deliver;
mod encode;
mod message;
mod sign;
mod target;

#[cfg(test)]
mod tests;

pub use config::{
    DEFAULT_CONNECT_TIMEOUT, DEFAULT_TIMEOUT, Format, MAX_HEADERS, MAX_KEYS, Reloads, Setting,
    SettingError, WebhookConfig, is_credential,
};
pub use deliver::WebhookSink;
pub use sign::{KeyError, check_key};
pub use target::{Target, TargetError};
