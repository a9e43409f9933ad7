//! The `webhook` sink: events are posted to an address of HTTP.

mod config;
mod deliver;
mod encode;
mod message;
mod sign;

#[cfg(test)]
mod tests;

pub use crate::http::{
    Connection, DEFAULT_CONNECT_TIMEOUT, DEFAULT_TIMEOUT, MAX_HEADERS, Reloads, Setting,
    SettingError, Target, TargetError, is_credential,
};
pub use config::{Format, MAX_KEYS, WebhookConfig};
pub use deliver::WebhookSink;
pub use sign::{KeyError, check_key};
