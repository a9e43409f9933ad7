//! What went wrong with TLS, in words: the library's own are for those who know its source.

use std::fmt;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

/// So many of the names in a server's certificate are shown.
const MAX_NAMES: usize = 3;
/// What of each of those is shown, in characters: what it is, is the server's to say.
const MAX_NAME_CHARS: usize = 80;

/// What went wrong, and what to do where that is known.
pub(super) fn tls_words(error: &Error) -> String {
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "what came back is not TLS; if this port speaks plain HTTP, its address begins with `http://`".to_owned()
        }
        Error::InvalidMessage(_) => "what came back is not TLS".to_owned(),
        Error::InvalidCertificate(error) => certificate_words(error),
        Error::NoCertificatesPresented => "it shows no certificate".to_owned(),
        Error::AlertReceived(alert) => alert_words(*alert),
        Error::PeerIncompatible(reason) => {
            format!("there is no way of TLS that both know: {}", spelt(reason))
        }
        Error::PeerMisbehaved(reason) => format!("it breaks the rules of TLS: {}", spelt(reason)),
        Error::General(reason) => reason.clone(),
        other => format!("TLS failed: {}", spelt(other)),
    }
}

fn certificate_words(error: &CertificateError) -> String {
    let words = match error {
        // The other one: of an authority of the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "nobody that is trusted has issued its certificate; if you trust its authority, name that one's \
             certificate in `ca_file`"
        }
        CertificateError::ExpiredContext { not_after, .. } => {
            return format!("its certificate has expired, at {}", moment(*not_after));
        }
        CertificateError::Expired => "its certificate has expired",
        CertificateError::NotValidYetContext { not_before, .. } => {
            return format!(
                "its certificate is not valid yet, only from {} on; is this computer's clock right?",
                moment(*not_before)
            );
        }
        CertificateError::NotValidYet => {
            "its certificate is not valid yet; is this computer's clock right?"
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            return name_words(&expected.to_str(), presented);
        }
        CertificateError::NotValidForName => "its certificate is for another name",
        CertificateError::Revoked => "its certificate has been revoked",
        CertificateError::BadEncoding => "its certificate cannot be read",
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate may not be a server's (extendedKeyUsage lacks serverAuth)"
        }
        // What it has inside is of a library below the one that we know, which shows its variant.
        CertificateError::Other(inner) => match inner.to_string().as_str() {
            "CaUsedAsEndEntity" => {
                "its certificate is an authority's (CA:TRUE), used as a server's: make one with \
                 `-addext basicConstraints=critical,CA:FALSE`, or sign one with it"
            }
            "UnsupportedCertVersion" => {
                "its certificate has an old form (X.509 v1); make one of version 3"
            }
            other => return format!("its certificate cannot be used: {}", spelt_name(other)),
        },
        other => return format!("its certificate cannot be used: {}", spelt(other)),
    };
    words.to_owned()
}

fn name_words(expected: &str, presented: &[String]) -> String {
    let names: Vec<String> = presented.iter().filter_map(|it| shown_name(it)).collect();
    if names.is_empty() {
        return format!(
            "its certificate is for no name, so not for {expected}; names belong into its subjectAltName"
        );
    }
    let more = names.len().saturating_sub(MAX_NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let shown = names[..names.len().min(MAX_NAMES)].join(", ");
    format!("its certificate is not for {expected}, but for {shown}{more}")
}

/// `DnsName("a.example")` and `IpAddress(127.0.0.1)` are names; there are others, which none is compared with.
fn shown_name(debug: &str) -> Option<String> {
    let inner = ["DnsName(", "IpAddress("].iter().find_map(|kind| debug.strip_prefix(kind))?;
    let name = inner.strip_suffix(')')?.trim_matches('"');
    let shown = name.chars().filter(char::is_ascii_graphic).take(MAX_NAME_CHARS);
    Some(shown.collect())
}

fn alert_words(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
            "it wants a certificate of ours: give `client_cert` and `client_key`".to_owned()
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::DecryptError => {
            format!("it does not take our certificate (`client_cert`): {}", spelt(alert))
        }
        AlertDescription::Unknown(code) => format!("it ended TLS: alert {code}"),
        _ => format!("it ended TLS: {}", spelt(alert)),
    }
}

fn moment(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).ok();
    let moment = seconds.and_then(|it| Timestamp::from_second(it).ok());
    moment.map_or_else(|| "a time that is none".to_owned(), |it| it.to_string())
}

/// The name of a variant as words.
fn spelt(variant: impl fmt::Debug) -> String {
    spelt_name(&format!("{variant:?}"))
}

fn spelt_name(name: &str) -> String {
    let mut words = String::new();
    let mut was_lower = false;
    for char in name.chars().take_while(char::is_ascii_alphanumeric) {
        if char.is_ascii_uppercase() && was_lower {
            words.push(' ');
        }
        was_lower = !char.is_ascii_uppercase();
        words.push(char.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::pki_types::ServerName;
    use rustls::{InconsistentKeys, OtherError, PeerIncompatible};

    use super::*;

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_in_words() {
        let time = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let names = |names: &[&str]| {
            let expected = ServerName::try_from("a.test").expect("a name");
            let presented = names.iter().map(|it| (*it).to_owned()).collect();
            CertificateError::NotValidForNameContext { expected, presented }
        };
        let other = |text: &str| CertificateError::Other(OtherError(Arc::from(Box::from(text))));
        let (time, later) = (time(0), time(86_400));
        for (error, said) in [
            (
                CertificateError::ExpiredContext { time: later, not_after: time },
                "its certificate has expired, at 1970-01-01T00:00:00Z",
            ),
            (
                CertificateError::NotValidYetContext { time, not_before: later },
                "its certificate is not valid yet, only from 1970-01-02T00:00:00Z on; is this computer's clock right?",
            ),
            (
                names(&["DnsName(\"b.test\")", "DirectoryName", "IpAddress(127.0.0.1)"]),
                "its certificate is not for a.test, but for b.test, 127.0.0.1",
            ),
            (
                names(&["DnsName(\"b\u{1b}[2J\")"; 5]),
                "its certificate is not for a.test, but for b[2J, b[2J, b[2J and 2 more",
            ),
            (
                names(&[]),
                "its certificate is for no name, so not for a.test; names belong into its subjectAltName",
            ),
            (
                CertificateError::UnhandledCriticalExtension,
                "its certificate cannot be used: unhandled critical extension",
            ),
            (other("EmptyEkuExtension"), "its certificate cannot be used: empty eku extension"),
        ] {
            assert_eq!(tls_words(&Error::InvalidCertificate(error)), said);
        }
    }

    #[test]
    fn no_error_shows_how_the_library_writes_it() {
        for (error, said) in [
            (
                Error::AlertReceived(AlertDescription::HandshakeFailure),
                "it ended TLS: handshake failure",
            ),
            (
                Error::AlertReceived(AlertDescription::UnknownCA),
                "it does not take our certificate (`client_cert`): unknown ca",
            ),
            (Error::AlertReceived(AlertDescription::Unknown(77)), "it ended TLS: alert 77"),
            (
                Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon),
                "there is no way of TLS that both know: no cipher suites in common",
            ),
            (
                Error::InconsistentKeys(InconsistentKeys::KeyMismatch),
                "TLS failed: inconsistent keys",
            ),
        ] {
            assert_eq!(tls_words(&error), said);
        }
    }
}
