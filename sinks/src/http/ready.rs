//! What requests are made with, once its secrets are read: kept from one request to the next, and made anew when the
//! configuration is read again or the server no longer takes the secrets.

use ureq::http::StatusCode;
use zeroize::Zeroizing;

use super::settings::Reloads;
use crate::sink::{Outcome, SinkError};

/// What requests are made with, and all secrets that were read for it.
pub(crate) type Made<P, E> = Result<(P, Vec<Zeroizing<String>>), E>;

/// Keeps it.
pub(crate) struct Ready<P> {
    reloads: Reloads,
    /// `None` until it is made, after it could not be made again, and after a panic.
    kept: Option<Kept<P>>,
}

struct Kept<P> {
    parts: P,
    /// So that it is known whether they changed, and can be left out where they come back.
    texts: Vec<Zeroizing<String>>,
    /// How often there were reloads before.
    reloads: u64,
}

impl<P> Ready<P> {
    /// Nothing is made yet. It is made anew whenever `reloads` is raised.
    pub(crate) fn new(reloads: Reloads) -> Ready<P> {
        Ready { reloads, kept: None }
    }

    /// Makes it anew.
    ///
    /// # Errors
    ///
    /// Those of `make`.
    pub(crate) fn renew<E>(&mut self, make: impl FnOnce() -> Made<P, E>) -> Result<(), E> {
        self.kept = Some(self.made(make)?);
        Ok(())
    }

    /// Sends a request: once more where the server no longer takes the secrets and there are others by now. `post` gets
    /// what is ready with its secrets, and tells the answer's status and what it means.
    pub(crate) fn send<E: Into<SinkError>>(
        &mut self,
        make: impl Fn() -> Made<P, E>,
        mut post: impl FnMut(&P, &[Zeroizing<String>]) -> (Option<StatusCode>, Outcome),
    ) -> Outcome {
        let mut kept = match self.kept.take().filter(|it| it.reloads == self.reloads.count()) {
            Some(kept) => kept,
            None => match self.made(&make) {
                Ok(kept) => kept,
                Err(error) => return Outcome::failed(error),
            },
        };
        let (status, mut outcome) = post(&kept.parts, &kept.texts);
        let is_denied = matches!(status, Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN));
        if is_denied && !kept.texts.is_empty() {
            match self.made(make) {
                Ok(new) if new.texts != kept.texts => {
                    kept = new;
                    outcome = post(&kept.parts, &kept.texts).1;
                }
                Ok(_) => {}
                Err(error) => outcome = Outcome::Refused { error: error.into() },
            }
        }
        self.kept = Some(kept);
        outcome
    }

    /// Sends a request with what is there, out of date or not, and only once; `None`: there is nothing.
    pub(crate) fn send_once(
        &mut self,
        post: impl FnOnce(&P, &[Zeroizing<String>]) -> (Option<StatusCode>, Outcome),
    ) -> Option<Outcome> {
        let kept = self.kept.take()?;
        let (_, outcome) = post(&kept.parts, &kept.texts);
        self.kept = Some(kept);
        Some(outcome)
    }

    fn made<E>(&self, make: impl FnOnce() -> Made<P, E>) -> Result<Kept<P>, E> {
        // Before anything is read: what is raised meanwhile has it read once more.
        let reloads = self.reloads.count();
        let (parts, texts) = make()?;
        Ok(Kept { parts, texts, reloads })
    }
}
