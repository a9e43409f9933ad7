//! The signature of Standard Webhooks (specification 1.0.0): HMAC-SHA256 over id, time and body, once per
//! key, so that a receiver may have the old key or the new one.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

const PREFIX: &str = "whsec_";
/// What the specification allows, in bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// A key that cannot be used. The text never has the key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is no base64.
    #[error(
        "the secret is no base64 behind `{PREFIX}`; make one with: printf '{PREFIX}%s' \"$(head -c 32 /dev/urandom | base64)\""
    )]
    NotBase64,
    /// It is too short to be safe, or longer than receivers take.
    #[error("the secret has {bytes} bytes, and should have {} to {}", KEY_BYTES.start(), KEY_BYTES.end())]
    Length {
        /// How many it has.
        bytes: usize,
    },
}

/// Whether a secret has the form that [`WebhookConfig::keys`](super::WebhookConfig::keys) must have.
///
/// # Errors
///
/// If it has not.
pub fn check_key(secret: &str) -> Result<(), KeyError> {
    key(secret).map(|_| ())
}

/// Keys to sign with, the newest first.
#[derive(Clone)]
pub(super) struct Keys(Vec<Zeroizing<Vec<u8>>>);

impl Keys {
    /// From secrets in the form `whsec_` + base64; the prefix may be missing.
    ///
    /// # Errors
    ///
    /// If one cannot be used.
    pub(super) fn parse<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Result<Keys, KeyError> {
        secrets.into_iter().map(key).collect::<Result<_, _>>().map(Keys)
    }

    /// All of these, in their order.
    pub(super) fn joined(keys: impl IntoIterator<Item = Keys>) -> Keys {
        Keys(keys.into_iter().flat_map(|it| it.0).collect())
    }

    /// The value of `webhook-signature`.
    pub(super) fn sign(&self, id: &str, timestamp_s: u64, body: &[u8]) -> String {
        let signatures = self.0.iter().map(|key| {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of every length");
            mac.update(format!("{id}.{timestamp_s}.").as_bytes());
            mac.update(body);
            format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

fn key(secret: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let text = secret.trim_ascii();
    let text = text.strip_prefix(PREFIX).unwrap_or(text);
    let key = Zeroizing::new(BASE64_STANDARD.decode(text).map_err(|_| KeyError::NotBase64)?);
    if KEY_BYTES.contains(&key.len()) {
        Ok(key)
    } else {
        Err(KeyError::Length { bytes: key.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    #[test]
    fn a_known_message_has_the_known_signature() {
        let keys = Keys::parse(["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]).expect("a key");
        let signature =
            keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_keys_sign_both_and_bad_ones_are_told_without_being_shown() {
        let one = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let two = BASE64_STANDARD.encode([7; 32]);
        let keys = Keys::parse([one, &two]).expect("keys");
        let both = keys.sign("id", 1, b"{}");
        let [first, second] =
            [one, &two].map(|key| Keys::parse([key]).expect("a key").sign("id", 1, b"{}"));
        assert_eq!(both, format!("{first} {second}"));
        for bad in ["whsec_not base64!", "whsec_c2hvcnQ="] {
            let error = Keys::parse([bad]).expect_err("it is bad").to_string();
            assert!(!error.contains("c2hvcnQ") && !error.contains("not base64!"), "{error}");
        }
    }
}
