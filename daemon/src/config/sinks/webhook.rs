//! `type = "webhook"`: events are posted to an address of HTTP.

use hookring_sinks::Secret;
use hookring_sinks::webhook::{Format, Setting, Target, TargetError, WebhookConfig, check_key};

use super::connection::connection;
use super::{Context, Kind, SinkKind, SinkStart};
use crate::config::reader::Section;

/// A receiver is to have what happens from when it is set up.
pub(super) const KIND: Kind = Kind {
    name: "webhook",
    start: SinkStart::Now,
    keys: &[
        "url",
        "format",
        "batches",
        "secret",
        "old_secret",
        "headers",
        "gzip",
        "timeout",
        "connect_timeout",
        "ca_file",
        "client_cert",
        "client_key",
        "proxy",
        "refuse_local",
    ],
    read: |section, _: Context<'_>| SinkKind::Webhook(Box::new(read(section))),
};

fn read(section: &mut Section<'_, '_>) -> WebhookConfig {
    let url = url(section);
    let is_url = url.is_some();
    // An address that is wrong was told; the rest is looked at as if it was this one.
    let stand_in = || Target::parse("https://example.invalid/").expect("a good address");
    let mut config = WebhookConfig::new(url.unwrap_or_else(stand_in));
    let formats = [
        ("json", Format::Json),
        ("standard-webhooks", Format::StandardWebhooks),
        ("cloudevents", Format::CloudEvents),
        ("cloudevents-binary", Format::CloudEventsBinary),
        ("slack", Format::Slack),
    ];
    config.format = section.choice("format", Some(Format::Json), &formats).unwrap_or(Format::Json);
    config.batches = section.boolean("batches", false);
    let secrets = ["secret", "old_secret"].map(|key| {
        let secret = section.secret(key);
        check_form(section, key, secret.as_ref());
        secret
    });
    let is_secret_known = secrets[0].is_some() || !section.has("secret");
    config.keys = secrets.into_iter().flatten().collect();
    config.gzip = section.boolean("gzip", false);
    config.connection = connection(section);
    for fault in config.faults() {
        let is_new = match fault.setting {
            Setting::Url => is_url,
            Setting::Keys => is_secret_known && section.is_known("format"),
            _ => true,
        };
        if is_new {
            section.fail(key_of(fault.setting), fault.message, Some(fault.help));
        }
    }
    if is_url && !config.url.is_encrypted() && !config.url.is_loopback() {
        section.doubt(
            "url",
            "events go over the network for everybody to read; `https://` hides them",
        );
    }
    config
}

/// Says at once what the sink would say when it starts: of what a program has to say, only that can be known.
fn check_form(section: &mut Section<'_, '_>, key: &str, secret: Option<&Secret>) {
    let checked = secret.and_then(|secret| section.try_secret(secret, check_key));
    if let Some(Err(error)) = checked {
        section.fail(key, error.to_string(), None);
    }
}

fn url(section: &mut Section<'_, '_>) -> Option<Target> {
    let text = section.required_text("url", "\"https://example.com/events\"");
    if !section.is_known("url") {
        return None;
    }
    match Target::parse(&text) {
        Ok(url) => Some(url),
        Err(error) => {
            if error == TargetError::Credentials {
                section.hide_value("url");
            }
            section.fail("url", error.to_string(), Some(error.help().to_owned()));
            None
        }
    }
}

fn key_of(setting: Setting) -> &'static str {
    match setting {
        // The others are of other sinks.
        Setting::Url
        | Setting::ApiKey
        | Setting::Region
        | Setting::LogsEndpoint
        | Setting::TracesEndpoint
        | Setting::MetricsEndpoint
        | Setting::Signals
        | Setting::Resource
        | Setting::Environment => "url",
        Setting::Keys => "secret",
        Setting::Headers => "headers",
        Setting::Batches => "batches",
        Setting::CaFile => "ca_file",
        Setting::ClientCert => "client_cert",
        Setting::ClientKey => "client_key",
        Setting::Proxy => "proxy",
    }
}
