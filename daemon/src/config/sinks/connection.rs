//! How sinks make requests that speak HTTP: the keys that all of them have.

use hookring_sinks::webhook::{Connection, is_credential};

use crate::config::reader::Section;
use crate::config::schema::ms;
use crate::config::units::{HOUR_MS, SECOND_MS};

/// Reads `headers`, `timeout`, `connect_timeout`, `ca_file`, `client_cert`, `client_key`, `proxy`, `refuse_local`.
pub(super) fn connection(section: &mut Section<'_, '_>) -> Connection {
    let usual = Connection::default();
    let range = ms(SECOND_MS)..=ms(HOUR_MS);
    Connection {
        headers: section.secrets("headers", |name| !is_credential(name)),
        timeout: section.duration("timeout", usual.timeout, range.clone()),
        connect_timeout: section.duration("connect_timeout", usual.connect_timeout, range),
        ca_file: section.optional_path("ca_file"),
        client_cert: section.optional_path("client_cert"),
        client_key: section.optional_path("client_key"),
        proxy: section.secret_address("proxy"),
        refuse_local: section.boolean("refuse_local", usual.refuse_local),
    }
}
