//! Places that are known: where they take OTLP, and how they want to be shown a key.
//!
//! Each has a page in `docs/backends`, which names the vendor's own document that this follows.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ureq::http::HeaderName;
use ureq::http::header::AUTHORIZATION;
use zeroize::Zeroizing;

use super::answer::Signal;
use super::metrics::Temporality;

/// A place with a name.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Preset {
    /// Datadog's own intake.
    Datadog,
    /// New Relic.
    NewRelic,
    /// Elastic Cloud's managed intake.
    Elastic,
    /// Honeycomb.
    Honeycomb,
    /// Grafana Cloud.
    Grafana,
    /// Langfuse, in its cloud or elsewhere.
    Langfuse,
    /// A collector on this computer.
    Local,
}

/// How a key goes into a request.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Scheme {
    /// As it is, in a header of this name.
    Header(&'static str),
    /// `Authorization: ApiKey KEY`.
    ApiKey,
    /// `Authorization: Basic …`, of a user and a password with a colon between them.
    Basic,
}

impl Preset {
    /// All of them, with their names in the configuration.
    pub const ALL: [(&'static str, Preset); 7] = [
        ("datadog", Preset::Datadog),
        ("newrelic", Preset::NewRelic),
        ("elastic", Preset::Elastic),
        ("honeycomb", Preset::Honeycomb),
        ("grafana", Preset::Grafana),
        ("langfuse", Preset::Langfuse),
        ("local", Preset::Local),
    ];

    /// Its name in the configuration.
    pub(super) fn name(self) -> &'static str {
        Preset::ALL.iter().find(|it| it.1 == self).map_or("", |it| it.0)
    }

    /// Whether it is known where it is once its region is.
    pub(super) fn has_regions(self) -> bool {
        !matches!(self, Preset::Elastic | Preset::Local)
    }

    /// How its key goes into a request; `None`: it wants none.
    pub fn scheme(self) -> Option<Scheme> {
        match self {
            Preset::Datadog => Some(Scheme::Header("dd-api-key")),
            Preset::NewRelic => Some(Scheme::Header("api-key")),
            Preset::Elastic => Some(Scheme::ApiKey),
            Preset::Honeycomb => Some(Scheme::Header("x-honeycomb-team")),
            Preset::Grafana | Preset::Langfuse => Some(Scheme::Basic),
            Preset::Local => None,
        }
    }

    /// What it takes by default.
    pub fn signals(self) -> &'static [Signal] {
        match self {
            Preset::Langfuse => &[Signal::Traces],
            _ => &Signal::ALL,
        }
    }

    /// How it wants metrics.
    pub(super) fn temporality(self) -> Temporality {
        match self {
            // Datadog takes nothing else, Elastic drops other histograms, New Relic recommends them.
            Preset::Datadog | Preset::Elastic | Preset::NewRelic => Temporality::Delta,
            _ => Temporality::Cumulative,
        }
    }

    /// Headers that it wants besides.
    pub(super) fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Preset::Langfuse => &[("x-langfuse-ingestion-version", "4")],
            _ => &[],
        }
    }

    /// Whether its own address, as a person gives it, can be right.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what to do about it.
    pub(super) fn check_endpoint(self, base: &str) -> Result<(), (&'static str, &'static str)> {
        if self == Preset::Langfuse && !base.trim_end_matches('/').ends_with(LANGFUSE_PATH) {
            return Err((
                "Langfuse takes nothing there: its OTLP is below `/api/public/otel`",
                "for instance `endpoint = \"https://langfuse.example.com/api/public/otel\"`, or say the whole address \
                 as `traces_endpoint`",
            ));
        }
        Ok(())
    }

    /// The regions that it has, with their endpoints. Empty: any text is one, see [`Preset::endpoint`].
    fn regions(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Preset::NewRelic => &[
                ("us", "https://otlp.nr-data.net"),
                ("eu", "https://otlp.eu01.nr-data.net"),
                ("fedramp", "https://gov-otlp.nr-data.net"),
            ],
            Preset::Honeycomb => {
                &[("us", "https://api.honeycomb.io"), ("eu", "https://api.eu1.honeycomb.io")]
            }
            Preset::Langfuse => &[
                ("eu", "https://cloud.langfuse.com/api/public/otel"),
                ("us", "https://us.cloud.langfuse.com/api/public/otel"),
                ("jp", "https://jp.cloud.langfuse.com/api/public/otel"),
                ("hipaa", "https://hipaa.cloud.langfuse.com/api/public/otel"),
            ],
            _ => &[],
        }
    }

    /// The endpoint of a region, or of the usual one.
    ///
    /// # Errors
    ///
    /// What the region must be.
    pub(super) fn endpoint(self, region: Option<&str>) -> Result<String, String> {
        let is_host = |it: &&str| {
            !it.is_empty() && it.bytes().all(|it| it.is_ascii_alphanumeric() || b".-".contains(&it))
        };
        if region.is_some_and(|it| !is_host(&it)) {
            return Err("a region is made of letters, digits, `-` and `.`".to_owned());
        }
        let known = self.regions();
        if !known.is_empty() {
            let region = region.unwrap_or(known[0].0);
            let found = known.iter().find(|(name, _)| *name == region);
            let names: Vec<_> = known.iter().map(|(name, _)| format!("`{name}`")).collect();
            return found
                .map(|it| it.1.to_owned())
                .ok_or_else(|| format!("it is one of {}", names.join(", ")));
        }
        match (self, region) {
            (Preset::Datadog, site) => {
                let site = site.unwrap_or("datadoghq.com");
                if is_datadog(site) {
                    Ok(format!("https://otlp.{site}"))
                } else {
                    Err(SITES.to_owned())
                }
            }
            (Preset::Grafana, Some(zone)) => {
                Ok(format!("https://otlp-gateway-{zone}.grafana.net/otlp"))
            }
            (Preset::Grafana, None) => Err("give the stack's zone, for instance `region = \
                 \"prod-eu-west-2\"`, or the `endpoint` that Grafana shows"
                .to_owned()),
            (Preset::Elastic, None) => {
                Err("give the `endpoint` that Elastic Cloud shows for OTLP".to_owned())
            }
            (Preset::Local, None) => Ok(super::given::DEFAULT_ENDPOINT.to_owned()),
            _ => Err("this place has no regions: leave it out".to_owned()),
        }
    }
}

/// Where Langfuse has OTLP.
const LANGFUSE_PATH: &str = "/api/public/otel";

/// What Datadog's sites end with.
const DATADOG: [&str; 3] = ["datadoghq.com", "datadoghq.eu", "ddog-gov.com"];
const SITES: &str = "give your site, as Datadog's documents have it: `datadoghq.com`, `datadoghq.eu`, \
                     `us3.datadoghq.com`, `us5.datadoghq.com`, `ap1.datadoghq.com`, `ddog-gov.com` …";

/// Whether it can be one of Datadog's sites, of which there are new ones now and then. `app.` is no part of one, though
/// it stands in browsers.
fn is_datadog(site: &str) -> bool {
    let is_in = |domain: &&str| {
        let before = site.strip_suffix(*domain);
        before.is_some_and(|it| it.is_empty() || it.ends_with('.') && it.len() > 1)
    };
    DATADOG.iter().any(is_in) && !site.starts_with("app.")
}

impl Scheme {
    /// Whether a key can be right.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without it.
    pub fn check(self, key: &str) -> Result<(), &'static str> {
        let is_pair = key.split_once(':').is_some_and(|it| !it.0.is_empty() && !it.1.is_empty());
        if self == Scheme::Basic && !is_pair {
            return Err(
                "it must have two parts with a colon between them: for Grafana Cloud the instance's number and \
                        the token, for Langfuse the public and the secret key",
            );
        }
        Ok(())
    }

    /// The header that a key makes.
    pub(super) fn header(self, key: &str) -> (HeaderName, Zeroizing<String>) {
        match self {
            Scheme::Header(name) => (HeaderName::from_static(name), Zeroizing::new(key.to_owned())),
            Scheme::ApiKey => (AUTHORIZATION, Zeroizing::new(format!("ApiKey {key}"))),
            Scheme::Basic => {
                let encoded = Zeroizing::new(STANDARD.encode(key));
                (AUTHORIZATION, Zeroizing::new(format!("Basic {}", &*encoded)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_have_their_endpoints() {
        for (preset, region, endpoint) in [
            (Preset::Datadog, None, "https://otlp.datadoghq.com"),
            (Preset::Datadog, Some("datadoghq.eu"), "https://otlp.datadoghq.eu"),
            (Preset::Datadog, Some("ap2.datadoghq.com"), "https://otlp.ap2.datadoghq.com"),
            (Preset::Datadog, Some("ddog-gov.com"), "https://otlp.ddog-gov.com"),
            (Preset::NewRelic, Some("eu"), "https://otlp.eu01.nr-data.net"),
            (Preset::Honeycomb, None, "https://api.honeycomb.io"),
            (
                Preset::Grafana,
                Some("prod-eu-west-2"),
                "https://otlp-gateway-prod-eu-west-2.grafana.net/otlp",
            ),
            (Preset::Langfuse, None, "https://cloud.langfuse.com/api/public/otel"),
            (Preset::Local, None, "http://127.0.0.1:4318"),
        ] {
            assert_eq!(preset.endpoint(region).as_deref(), Ok(endpoint));
        }
        for (preset, region) in [
            (Preset::NewRelic, Some("mars")),
            (Preset::Grafana, None),
            (Preset::Elastic, None),
            (Preset::Elastic, Some("eu")),
            (Preset::Local, Some("eu")),
            (Preset::Datadog, Some("evil.example/x?")),
            (Preset::Datadog, Some("eu")),
            (Preset::Datadog, Some("app.datadoghq.com")),
            (Preset::Datadog, Some("evildatadoghq.com")),
            (Preset::Datadog, Some(".datadoghq.com")),
        ] {
            assert!(preset.endpoint(region).is_err(), "{preset:?} {region:?}");
        }
    }

    #[test]
    fn metrics_go_as_places_want_them() {
        let delta = Preset::ALL.iter().filter(|it| it.1.temporality() == Temporality::Delta);
        let delta: Vec<_> = delta.map(|it| it.0).collect();
        assert_eq!(delta, ["datadog", "newrelic", "elastic"]);
    }

    #[test]
    fn a_pair_has_two_parts() {
        for (key, is_good) in
            [("pk:sk", true), ("1:a:b", true), ("sk", false), (":sk", false), ("pk:", false)]
        {
            assert_eq!(Scheme::Basic.check(key).is_ok(), is_good, "{key}");
            assert_eq!(Scheme::ApiKey.check(key), Ok(()));
        }
    }

    #[test]
    fn keys_go_where_places_look_for_them() {
        let (name, value) = Scheme::Basic.header("pk-lf-1:sk-lf-2");
        assert_eq!((name.as_str(), &**value), ("authorization", "Basic cGstbGYtMTpzay1sZi0y"));
        let (name, value) = Scheme::ApiKey.header("k");
        assert_eq!((name.as_str(), &**value), ("authorization", "ApiKey k"));
        let (name, value) = Scheme::Header("dd-api-key").header("k");
        assert_eq!((name.as_str(), &**value), ("dd-api-key", "k"));
    }
}
