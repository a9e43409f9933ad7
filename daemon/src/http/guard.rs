//! Who is answered: whoever shows the token, and, on an address of this machine alone, only under a name that is this
//! machine's, so that no page in a browser reads it through a name that it makes lead here.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, WWW_AUTHENTICATE};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hookring_sinks::secret::SecretError;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::config::HttpConfig;

/// What a request must show.
#[derive(Clone)]
pub(super) struct Guard {
    token: Option<Arc<Zeroizing<String>>>,
    /// Its name must be one of this machine alone.
    is_local: bool,
}

impl Guard {
    /// Reads the token.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn new(config: &HttpConfig) -> Result<Guard, SecretError> {
        let token = config.token.as_ref().map(|token| token.read().map(Arc::new)).transpose()?;
        Ok(Guard { token, is_local: config.listen.ip().is_loopback() })
    }

    /// Why a request is not answered, if it is not.
    fn refuses(&self, uri: &Uri, headers: &HeaderMap) -> Option<StatusCode> {
        if self.is_local && !is_local_name(uri, headers) {
            return Some(StatusCode::MISDIRECTED_REQUEST);
        }
        let token = self.token.as_ref()?;
        let shown = headers.get(AUTHORIZATION).and_then(bearer).unwrap_or_default();
        // In the same time for each token of the same length.
        let is_it: bool = shown.ct_eq(token.as_bytes()).into();
        (!is_it).then_some(StatusCode::UNAUTHORIZED)
    }
}

/// Answers only what the guard lets pass.
pub(super) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.refuses(request.uri(), request.headers()) {
        None => next.run(request).await,
        Some(StatusCode::UNAUTHORIZED) => {
            let how = [(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))];
            (StatusCode::UNAUTHORIZED, how, "show the token of [http]\n").into_response()
        }
        Some(status) => (status, "ask for this under the name localhost\n").into_response(),
    }
}

/// What stands behind `Bearer`, whose case does not count.
fn bearer(value: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// Whether the request names this machine alone. One that names nothing comes from no browser.
fn is_local_name(uri: &Uri, headers: &HeaderMap) -> bool {
    let named = headers.get_all(HOST).iter().map(|host| host.to_str().unwrap_or_default());
    named.chain(uri.authority().map(Authority::as_str)).all(is_local_host)
}

/// Such as `localhost:9477`, `127.0.0.1` or `[::1]:9477`.
fn is_local_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let is_address = name.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    is_address || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(guard: &Guard, headers: &[(&'static str, &str)]) -> Option<u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        guard.refuses(&Uri::from_static("/metrics"), &map).map(|status| status.as_u16())
    }

    #[test]
    fn only_this_machines_own_names_lead_to_its_own_address() {
        let mut guard = Guard { token: None, is_local: true };
        for host in
            ["localhost", "LOCALHOST:1", "127.0.0.1:9477", "127.8.8.8", "[::1]:9477", "[::1]"]
        {
            assert_eq!(asked(&guard, &[("host", host)]), None, "{host}");
        }
        for host in ["example.com", "localhost.example.com:9477", "10.0.0.1", "[::2]", "", "[::1"] {
            let expected = if host == "[::1" { None } else { Some(421) };
            assert_eq!(asked(&guard, &[("host", host)]), expected, "{host}");
        }
        assert_eq!(asked(&guard, &[("host", "localhost"), ("host", "example.com")]), Some(421));
        assert_eq!(asked(&guard, &[]), None);
        guard.is_local = false;
        assert_eq!(asked(&guard, &[("host", "example.com")]), None);
    }

    #[test]
    fn without_the_token_nothing_is_answered() {
        let token = Some(Arc::new(Zeroizing::new("hunter2".to_owned())));
        let guard = Guard { token, is_local: false };
        for shown in ["Bearer hunter2", "bearer hunter2", "BEARER hunter2"] {
            assert_eq!(asked(&guard, &[("authorization", shown)]), None, "{shown}");
        }
        for shown in [
            "",
            "hunter2",
            "Bearer",
            "Bearer ",
            "Bearer hunter",
            "Bearer hunter22",
            "Basic hunter2",
        ] {
            assert_eq!(asked(&guard, &[("authorization", shown)]), Some(401), "{shown}");
        }
        assert_eq!(asked(&guard, &[]), Some(401));
    }
}
