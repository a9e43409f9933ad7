//! What an answer, or its lack, means.
//!
//! | answer | outcome |
//! |---|---|
//! | 2xx | accepted |
//! | 429; 503 with `Retry-After` | throttled |
//! | 408, 421, 425, 5xx; no answer | failed |
//! | 413 | too large |
//! | 401 to 405, 407, 426; 1xx, 3xx; a certificate that does not do | refused |
//! | 410 | gone |
//! | 400, 422 and others of 4xx | rejected |

use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use rustls::AlertDescription;
use ureq::http::{HeaderMap, StatusCode};
use ureq::{Timeout, http};

use super::client::{LocalRefused, MAX_HEAD_BYTES};
use super::target::Target;
use super::tls_words::tls_words;
use crate::retry_after;
use crate::sink::{Outcome, SinkError};

/// An answer that was not the one hoped for. Its texts have no secret.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("{target} answered {status}{words}")]
    Status { target: Target, status: StatusCode, words: Words },
    #[error(
        "{target} answered {status} and redirects{to}, which is not followed; if that is right, give it as the address"
    )]
    Redirect { target: Target, status: StatusCode, to: Words },
    #[error("cannot send to {target}: {reason}")]
    Send { target: Target, reason: String },
}

/// What a server says, behind `: `; nothing if it says nothing.
#[derive(Debug)]
pub(super) struct Words(pub(super) String);

impl std::fmt::Display for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

/// The outcome that an answer is. `words`: the beginning of its body.
pub(crate) fn answered(
    target: &Target,
    status: StatusCode,
    headers: &HeaderMap,
    words: String,
    now: SystemTime,
) -> Outcome {
    let wait = retry_after(headers, now);
    if status.is_success() {
        return Outcome::Accepted;
    }
    let target = target.clone();
    if status.is_redirection() {
        let to = Words(location(headers));
        return Outcome::Refused { error: AnswerError::Redirect { target, status, to }.into() };
    }
    let error: SinkError = AnswerError::Status { target, status, words: Words(words) }.into();
    let code = Some(status.as_u16());
    match status.as_u16() {
        429 => Outcome::Throttled { wait, error },
        503 if wait.is_some() => Outcome::Throttled { wait, error },
        408 | 421 | 425 | 500.. => Outcome::Failed { error },
        413 => Outcome::TooLarge { status: code, error },
        401..=405 | 407 | 426 | ..=399 => Outcome::Refused { error },
        410 => Outcome::Gone { error },
        _ => Outcome::Rejected { status: code, error },
    }
}

fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    retry_after::parse(headers.get(http::header::RETRY_AFTER)?.to_str().ok()?, now)
}

/// Where a redirect leads, without what may be secret in it.
fn location(headers: &HeaderMap) -> String {
    let text = headers.get(http::header::LOCATION).and_then(|it| it.to_str().ok());
    text.and_then(|it| Target::parse(it).ok()).map(|it| it.to_string()).unwrap_or_default()
}

/// The outcome if there was no answer that can be read. `otherwise`: what else than plain HTTP the port may be for, and
/// what to do then; it begins with `; `, or is empty.
pub(crate) fn failed(target: &Target, error: &ureq::Error, otherwise: &str) -> Outcome {
    let target = target.clone();
    let tls = tls_error(error);
    let is_refused = tls.is_some_and(is_about_certificates) || is_local_refused(error);
    let reason = match (tls, error) {
        (Some(tls), _) => tls_words(tls),
        (None, ureq::Error::Timeout(phase)) => timed_out(*phase).to_owned(),
        (None, ureq::Error::Io(error)) => match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                with_hint("the connection was closed", &target, otherwise)
            }
            _ => error.to_string(),
        },
        (None, ureq::Error::HostNotFound) => "the name has no address".to_owned(),
        (None, ureq::Error::Protocol(_) | ureq::Error::BodyStalled) => {
            with_hint("what came back is not HTTP", &target, otherwise)
        }
        (None, ureq::Error::LargeResponseHeader(..)) => {
            format!("the head of the answer is longer than {MAX_HEAD_BYTES} bytes")
        }
        (None, ureq::Error::ConnectProxyFailed(_)) => "the proxy does not connect".to_owned(),
        (None, ureq::Error::Tls(words)) => (*words).to_owned(),
        (None, ureq::Error::Other(error)) => error.to_string(),
        // Others are about addresses, which may be secret.
        _ => "the request cannot be made".to_owned(),
    };
    let error = AnswerError::Send { target, reason }.into();
    if is_refused { Outcome::Refused { error } } else { Outcome::Failed { error } }
}

/// What a port that speaks TLS does with plain HTTP is to close, or to send what is no HTTP.
fn with_hint(reason: &str, target: &Target, otherwise: &str) -> String {
    let hint = "; if this port speaks TLS, its address begins with `https://`";
    format!("{reason}{}{otherwise}", if target.is_encrypted() { "" } else { hint })
}

fn timed_out(phase: Timeout) -> &'static str {
    match phase {
        Timeout::Resolve => "its name was not found in time",
        Timeout::Connect => "there was no connection in time",
        Timeout::SendRequest | Timeout::SendBody => "it did not take the request in time",
        _ => "it did not answer in time",
    }
}

fn is_local_refused(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::Other(error) if error.is::<LocalRefused>())
}

fn tls_error(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// Whether only a person can mend it: the server's certificate is not good, or ours is not for the server.
fn is_about_certificates(error: &rustls::Error) -> bool {
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => true,
        rustls::Error::AlertReceived(alert) => matches!(
            alert,
            AlertDescription::BadCertificate
                | AlertDescription::NoCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateRequired
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied
                // Its signature was not good.
                | AlertDescription::DecryptError
        ),
        _ => false,
    }
}
