//! Where requests go: an address that can be shown, and which computers it may lead to.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use rustls::pki_types::ServerName;
use ureq::http::Uri;

/// A longer address is none, in bytes.
const MAX_URL_BYTES: usize = 8 << 10;

/// An absolute URL of `http` or `https` without credentials in it. Shown without its path and query, which
/// may be secret: Slack's are.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    uri: Uri,
    origin: String,
}

/// Why a text is no [`Target`]. It never has the text.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TargetError {
    /// It is no URL.
    #[error("this is not a URL")]
    NotUrl,
    /// It is one of something else.
    #[error("a URL must begin with `https://` or `http://`")]
    Scheme,
    /// Its host is none.
    #[error("the URL's host is not a name or an address")]
    Host,
    /// It has a name or a password before the host.
    #[error("a URL must not have credentials in it")]
    Credentials,
    /// It has a part that is never sent.
    #[error("a URL must not have a fragment (`#…`)")]
    Fragment,
}

impl TargetError {
    /// What to do about it.
    pub fn help(self) -> &'static str {
        match self {
            TargetError::Credentials => {
                "put them in a header: `headers = { Authorization = { env = \"NAME\" } }`"
            }
            TargetError::Fragment => "leave it out: it is for browsers",
            _ => "for instance `url = \"https://example.com/events\"`",
        }
    }
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// If it is none that requests can be sent to.
    pub fn parse(text: &str) -> Result<Target, TargetError> {
        if text.len() > MAX_URL_BYTES {
            return Err(TargetError::NotUrl);
        }
        if text.contains('#') {
            return Err(TargetError::Fragment);
        }
        let uri: Uri = text.parse().map_err(|_| TargetError::NotUrl)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(TargetError::Scheme);
        };
        if !matches!(scheme, "https" | "http") {
            return Err(TargetError::Scheme);
        }
        if authority.as_str().contains('@') {
            return Err(TargetError::Credentials);
        }
        ServerName::try_from(bare(authority.host())).map_err(|_| TargetError::Host)?;
        let has_port = authority.as_str().len() > authority.host().len();
        if has_port && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(TargetError::Host);
        }
        let origin = format!("{scheme}://{authority}");
        Ok(Target { uri, origin })
    }

    /// What requests are made of.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Whether nobody on the way can read along.
    pub fn is_encrypted(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }

    /// The port, if it has one in its text.
    pub fn port(&self) -> Option<u16> {
        self.uri.port_u16()
    }

    /// Whether it is this computer by its very text.
    pub fn is_loopback(&self) -> bool {
        let host = self.host().trim_end_matches('.').to_ascii_lowercase();
        let by_name = host == "localhost" || host.ends_with(".localhost");
        by_name || host.parse().is_ok_and(|ip: IpAddr| ip.to_canonical().is_loopback())
    }

    /// Whether it is local, see `is_local`, by its very text.
    pub fn is_local(&self) -> bool {
        self.is_loopback() || self.host().parse().is_ok_and(is_local)
    }

    fn host(&self) -> &str {
        bare(self.uri.host().unwrap_or_default())
    }
}

/// Scheme, host and port.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

/// Whether an address leads to this computer (loopback, unspecified) or to its next neighbours (link-local, where
/// clouds have their metadata), also in the forms in which IPv6 wraps an address of IPv4.
pub(super) fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => {
            // The prefix of RFC 6052, and the form that RFC 4291 gave up.
            let is_wrapped =
                matches!(ip.segments()[..6], [0x64, 0xff9b, 0, 0, 0, 0] | [0, 0, 0, 0, 0, 0]);
            let [.., a, b, c, d] = ip.octets();
            let wrapped = IpAddr::V4(Ipv4Addr::new(a, b, c, d));
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_unicast_link_local()
                || (is_wrapped && is_local(wrapped))
        }
    }
}

/// An address of IPv6 without its brackets.
pub(super) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_may_be_secret() {
        let target =
            Target::parse("https://example.com:8443/T0/hunter2?key=hunter2").expect("good");
        assert_eq!(target.to_string(), "https://example.com:8443");
        assert_eq!(format!("{target:?}"), "https://example.com:8443");
        for (text, error) in [
            ("", TargetError::NotUrl),
            ("example.com", TargetError::Scheme),
            ("/events", TargetError::Scheme),
            ("ftp://example.com", TargetError::Scheme),
            ("https://ada:hunter2@example.com/", TargetError::Credentials),
            ("https://exa mple.com/", TargetError::NotUrl),
            ("https://exa_mple..com/", TargetError::Host),
            ("https://example.com:0/", TargetError::Host),
            ("https://example.com:99999/", TargetError::Host),
            ("https://example.com:/", TargetError::Host),
            ("https://example.com/#hunter2", TargetError::Fragment),
            (&format!("https://example.com/{}", "a".repeat(MAX_URL_BYTES)), TargetError::NotUrl),
        ] {
            let found = Target::parse(text);
            assert_eq!(found.as_ref().err(), Some(&error), "{text}: {found:?}");
        }
    }

    #[test]
    fn what_leads_to_this_computer_is_known_in_all_its_forms() {
        for local in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "169.254.169.254",
            "::1",
            "::",
            "fe80::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
        ] {
            assert!(is_local(local.parse().expect("an address")), "{local}");
        }
        for other in
            ["10.0.0.1", "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "64:ff9b::c000:201"]
        {
            assert!(!is_local(other.parse().expect("an address")), "{other}");
        }
        for url in
            ["http://localhost", "http://LOCALHOST.:1", "http://a.localhost/", "http://[::1]:9/"]
        {
            assert!(Target::parse(url).expect("good").is_loopback(), "{url}");
        }
        assert!(!Target::parse("http://localhost.example.com").expect("good").is_loopback());
        let metadata = Target::parse("http://169.254.169.254/").expect("good");
        assert!(metadata.is_local() && !metadata.is_loopback());
    }
}
