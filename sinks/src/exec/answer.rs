//! What a program says, read: messages, and its answer to a batch. Pure, and fuzzed.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use serde::de::{DeserializeSeed, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::voice::printable;
use crate::sink::{Answer, Outcome, SinkError};

/// So much of a program's words is kept, in bytes.
pub(super) const MAX_WORDS_BYTES: usize = 500;

/// The line is not JSON.
pub(super) const PARSE_ERROR: i64 = -32700;
/// It is JSON, and no message.
pub(super) const INVALID_REQUEST: i64 = -32600;
/// There is no such method.
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
/// The method does not take these parameters.
pub(super) const INVALID_PARAMS: i64 = -32602;

/// A message from a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// The answer to a request: what it came to, as JSON, or why it did not.
    Answer(u64, Result<&'a str, RpcError>),
    /// An error about what the program could not even read.
    Complaint(RpcError),
    /// It asks something; the id as it stands there.
    Request(&'a str, Cow<'a, str>),
    /// It tells something; the parameters as JSON.
    Notification(Cow<'a, str>, Option<&'a str>),
}

/// An error as JSON-RPC has it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error {code}: {message}")]
pub struct RpcError {
    /// Its code.
    pub code: i64,
    /// Its words, cut and without control characters.
    pub message: String,
}

/// A line that is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not even JSON.
    #[error("a line of {bytes} bytes is not JSON ({why}): `{start}`")]
    NotJson {
        /// How long it is.
        bytes: usize,
        /// What is wrong with it.
        why: String,
        /// How it begins.
        start: String,
    },
    /// JSON, and something else.
    #[error("a line is no message of JSON-RPC 2.0 ({why}): `{start}`")]
    NotAMessage {
        /// What is wrong with it.
        why: String,
        /// How it begins.
        start: String,
    },
}

/// An answer that says nothing that there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is not as it should be: {0}")]
pub struct BadAnswer(pub String);

impl Malformed {
    /// The code by which the program is told.
    pub(super) fn code(&self) -> i64 {
        match self {
            Malformed::NotJson { .. } => PARSE_ERROR,
            Malformed::NotAMessage { .. } => INVALID_REQUEST,
        }
    }
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    jsonrpc: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<ErrorMember<'a>>,
}

#[derive(Deserialize)]
struct ErrorMember<'a> {
    code: i64,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
}

/// A member that is there, `null` or not.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(value).map(Some)
}

impl<'a> Incoming<'a> {
    /// Reads one line.
    ///
    /// # Errors
    /// It is no message.
    pub fn read(line: &'a [u8]) -> Result<Incoming<'a>, Malformed> {
        let start = || printable(line, 80);
        let not_json = |why: String| Malformed::NotJson { bytes: line.len(), why, start: start() };
        let not_a_message = |why: &str| Malformed::NotAMessage { why: cut(why), start: start() };
        let text = std::str::from_utf8(line)
            .map_err(|error| not_json(format!("no UTF-8 from byte {} on", error.valid_up_to())))?;
        let members: Members<'_> = match text.trim_ascii_start().chars().next() {
            // An array could stand for the members, too.
            Some('[') => return Err(not_a_message("a batch, which there is not")),
            _ => serde_json::from_str(text).map_err(|error| {
                if error.is_data() {
                    not_a_message(&error.to_string())
                } else {
                    not_json(cut(&error.to_string()))
                }
            })?,
        };
        members.into_message().map_err(not_a_message)
    }
}

impl<'a> Members<'a> {
    fn into_message(self) -> Result<Incoming<'a>, &'static str> {
        if self.jsonrpc != "2.0" {
            return Err("`jsonrpc` is not \"2.0\"");
        }
        let error = self.error.map(|it| RpcError { code: it.code, message: cut(&it.message) });
        match (self.method, self.id, self.result, error) {
            (Some(method), None, None, None) => {
                Ok(Incoming::Notification(method, self.params.map(RawValue::get)))
            }
            (Some(method), Some(id), None, None) => match id.get().as_bytes()[0] {
                b'{' | b'[' | b't' | b'f' => Err("its `id` is neither a number nor a string"),
                _ => Ok(Incoming::Request(id.get(), method)),
            },
            (Some(_), ..) => Err("it has a `method`, and an answer"),
            (None, None, ..) => Err("it has neither a `method` nor an `id`"),
            (None, Some(_), Some(_), Some(_)) => Err("it has a `result` and an `error`"),
            (None, Some(_), None, None) => Err("it has neither a `result` nor an `error`"),
            (None, Some(id), None, Some(error)) if id.get() == "null" => {
                Ok(Incoming::Complaint(error))
            }
            (None, Some(id), result, error) => {
                let id = id.get().parse().map_err(|_| "its `id` is none of a request's")?;
                Ok(Incoming::Answer(id, error.map_or(Ok(result.map_or("", RawValue::get)), Err)))
            }
        }
    }
}

/// What became of a batch of so many events, by the result of `deliver`.
///
/// # Errors
/// The answer does not say so, or not of each event: then nobody knows what became of it.
pub fn outcome(result: &str, events: usize) -> Result<Outcome, BadAnswer> {
    let bad = |error: serde_json::Error| BadAnswer(cut(&error.to_string()));
    if !result.trim_ascii_start().starts_with('{') {
        return Err(BadAnswer("it is no object".to_owned()));
    }
    let said: Said<'_> = serde_json::from_str(result).map_err(bad)?;
    match (&said.outcome, said.outcomes) {
        (Some(word), None) => said.whole(word),
        (None, Some(_)) if said.seconds.is_some() => Err(only_throttled()),
        (None, Some(each)) => {
            let mut source = serde_json::Deserializer::from_str(each.get());
            let each = Each { events }.deserialize(&mut source).map_err(bad)?;
            Ok(each.into_outcome(said.reason.as_deref()))
        }
        (Some(_), Some(_)) => Err(BadAnswer("it has `outcome` and `outcomes`".to_owned())),
        (None, None) => Err(BadAnswer("it has neither `outcome` nor `outcomes`".to_owned())),
    }
}

/// The result of `deliver`.
#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    outcome: Option<Cow<'a, str>>,
    #[serde(borrow)]
    outcomes: Option<&'a RawValue>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    seconds: Option<f64>,
}

/// What may come of a whole request.
const OUTCOMES: &str = "accepted, throttled, failed, too_large, rejected, refused and gone";

impl Said<'_> {
    fn whole(&self, word: &str) -> Result<Outcome, BadAnswer> {
        if self.seconds.is_some() && word != "throttled" {
            return Err(only_throttled());
        }
        let error = words(word, self.reason.as_deref());
        Ok(match word {
            "accepted" => Outcome::Accepted,
            "throttled" => Outcome::Throttled { wait: self.wait()?, error },
            "failed" => Outcome::Failed { error },
            "too_large" => Outcome::TooLarge { status: None, error },
            "rejected" => Outcome::Rejected { status: None, error },
            "refused" => Outcome::Refused { error },
            "gone" => Outcome::Gone { error },
            _ => {
                return Err(BadAnswer(format!(
                    "there is no outcome `{}`, only {OUTCOMES}",
                    cut(word)
                )));
            }
        })
    }

    fn wait(&self) -> Result<Option<Duration>, BadAnswer> {
        let Some(seconds) = self.seconds else { return Ok(None) };
        if seconds < 0.0 {
            return Err(BadAnswer("`seconds` is less than 0".to_owned()));
        }
        // More than fits is more than anybody waits.
        Ok(Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
    }
}

fn only_throttled() -> BadAnswer {
    BadAnswer("`seconds` are for `throttled` alone".to_owned())
}

/// Reads as many outcomes as there are events, and no more.
struct Each {
    events: usize,
}

/// What a program said of each event, and of the first that it did not accept.
struct Judged {
    answers: Vec<Answer>,
    reason: Option<String>,
}

/// What it said of one.
#[derive(Deserialize)]
#[serde(untagged)]
enum One {
    Word(String),
    Full { outcome: String, reason: Option<String> },
}

impl<'de> DeserializeSeed<'de> for Each {
    type Value = Judged;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Judged, D::Error> {
        source.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Each {
    type Value = Judged;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of {} outcomes", self.events)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Judged, A::Error> {
        let mut judged = Judged { answers: Vec::new(), reason: None };
        while let Some(one) = list.next_element::<One>()? {
            let (word, reason) = match one {
                One::Word(word) => (word, None),
                One::Full { outcome, reason } => (outcome, reason),
            };
            let answer = match word.as_str() {
                "accepted" => Answer::Accepted,
                "rejected" => Answer::Rejected,
                "failed" => Answer::Failed,
                _ => {
                    return Err(A::Error::custom(format!(
                        "there is no outcome `{}` for one event, only accepted, failed and rejected",
                        cut(&word)
                    )));
                }
            };
            if judged.answers.len() == self.events {
                let more = format!("there are more than {} outcomes", self.events);
                return Err(A::Error::custom(more));
            }
            judged.answers.push(answer);
            if answer != Answer::Accepted && judged.reason.is_none() {
                judged.reason = reason.map(|reason| cut(&reason));
            }
        }
        match judged.answers.len() {
            found if found == self.events => Ok(judged),
            found => Err(A::Error::custom(format!("{found} outcomes for {}", events(self.events)))),
        }
    }
}

impl Judged {
    fn into_outcome(self, reason: Option<&str>) -> Outcome {
        let count = |answer| self.answers.iter().filter(|it| **it == answer).count();
        let (rejected, failed) = (count(Answer::Rejected), count(Answer::Failed));
        if rejected + failed == 0 {
            return Outcome::Accepted;
        }
        let of = self.answers.len();
        let reason = self.reason.or(reason.map(cut));
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        let (of, were) = (events(of), if rejected == 1 { "was" } else { "were" });
        let error = format!("of {of} {rejected} {were} rejected, {failed} failed{reason}");
        Outcome::Each { answers: self.answers, error: error.into() }
    }
}

fn events(count: usize) -> String {
    format!("{count} event{}", if count == 1 { "" } else { "s" })
}

/// Why a batch was not taken, in the program's words where it has any.
fn words(word: &str, reason: Option<&str>) -> SinkError {
    match reason {
        Some(reason) => format!("it answered `{}`: {}", cut(word), cut(reason)).into(),
        None => format!("it answered `{}`", cut(word)).into(),
    }
}

pub(super) fn cut(text: &str) -> String {
    printable(text.as_bytes(), MAX_WORDS_BYTES)
}
