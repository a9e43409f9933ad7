//! What a receiver's 2xx means: OTLP answers with a message that may say that something was not taken.
//!
//! Source: the OTLP specification, "OTLP/HTTP Response". Such an answer is a success, however much of it was
//! rejected, and nothing of it may be sent again. An answer of no bytes is the message without a member. What is no
//! such message (the page of a proxy, the answer of another program) says nothing of what became of the request: it
//! is taken for a wrong address, and nothing counts as delivered.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use serde::Deserialize;

use super::encode::Encoding;

/// A longer answer is none, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 << 10;

/// A kind of data that OTLP sends apart from the others.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Signal {
    /// A record for each event.
    Logs,
    /// A span for each prompt, tool's call and subagent.
    Traces,
    /// The daemon's own metrics.
    Metrics,
}

impl Signal {
    /// All of them, in the order in which they are sent.
    pub const ALL: [Signal; 3] = [Signal::Logs, Signal::Traces, Signal::Metrics];
    /// Those that are made of events, which come first.
    pub const OF_EVENTS: [Signal; 2] = [Signal::Logs, Signal::Traces];

    /// As the configuration has it.
    pub const fn name(self) -> &'static str {
        match self {
            Signal::Logs => "logs",
            Signal::Traces => "traces",
            Signal::Metrics => "metrics",
        }
    }
}

/// What a receiver said of a request that it took.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// So many records, spans or data points it will never take.
    pub rejected: u64,
    /// Why, or a warning, as it was said: secrets must be taken out before any of it is shown or cut.
    pub words: String,
}

/// An answer that is none of OTLP.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AnswerError {
    /// It is longer than [`MAX_ANSWER_BYTES`].
    #[error("its answer is longer than {MAX_ANSWER_BYTES} bytes, which none of OTLP is")]
    TooLong,
    /// It is a page for people.
    #[error(
        "it answers with a page of HTML: is something else at this address, or a proxy before it?"
    )]
    Html,
    /// It is no message of OTLP.
    #[error("its answer is none of OTLP: is something else at this address, or a proxy before it?")]
    NotOtlp,
}

/// Reads the body of a 2xx. `content_type`: as the answer says, else as the request was.
///
/// # Errors
///
/// If it is no answer of OTLP.
pub fn read(
    signal: Signal,
    content_type: Option<&str>,
    sent: Encoding,
    body: &[u8],
) -> Result<Taken, AnswerError> {
    if body.len() > MAX_ANSWER_BYTES {
        return Err(AnswerError::TooLong);
    }
    if body.trim_ascii().is_empty() {
        return Ok(Taken::default());
    }
    let kind = content_type.and_then(|it| it.split(';').next()).map(str::trim);
    let is = |name: &str| kind.is_some_and(|it| it.eq_ignore_ascii_case(name));
    if is("text/html") {
        return Err(AnswerError::Html);
    }
    let is_json = is("application/json") || sent == Encoding::Json && !is("application/x-protobuf");
    let read = if is_json { from_json(signal, body) } else { from_protobuf(signal, body) };
    let (rejected, words) = match (read, body.trim_ascii_start().first()) {
        (Ok(said), _) => said,
        (Err(_), Some(b'<')) => return Err(AnswerError::Html),
        // Some answer in JSON whatever they are asked in, and do not say so.
        (Err(_), Some(b'{')) if !is_json => from_json(signal, body)?,
        (Err(error), _) => return Err(error),
    };
    Ok(Taken { rejected: u64::try_from(rejected).unwrap_or(0), words })
}

fn from_protobuf(signal: Signal, body: &[u8]) -> Result<(i64, String), AnswerError> {
    let said = match signal {
        Signal::Logs => ExportLogsServiceResponse::decode(body).map(|answer| {
            answer.partial_success.map(|it| (it.rejected_log_records, it.error_message))
        }),
        Signal::Traces => ExportTraceServiceResponse::decode(body)
            .map(|answer| answer.partial_success.map(|it| (it.rejected_spans, it.error_message))),
        Signal::Metrics => ExportMetricsServiceResponse::decode(body).map(|answer| {
            answer.partial_success.map(|it| (it.rejected_data_points, it.error_message))
        }),
    };
    said.map(Option::unwrap_or_default).map_err(|_| AnswerError::NotOtlp)
}

/// As protobuf's JSON has it: members may be missing or `null`, 64-bit numbers may be texts, and what nobody knows is
/// passed over.
#[derive(Deserialize)]
struct Answer {
    #[serde(default, rename = "partialSuccess", alias = "partial_success")]
    partial_success: Option<Partial>,
}

#[derive(Deserialize, Default)]
struct Partial {
    #[serde(default, rename = "rejectedLogRecords", alias = "rejected_log_records")]
    rejected_log_records: Number,
    #[serde(default, rename = "rejectedSpans", alias = "rejected_spans")]
    rejected_spans: Number,
    #[serde(default, rename = "rejectedDataPoints", alias = "rejected_data_points")]
    rejected_data_points: Number,
    #[serde(default, rename = "errorMessage", alias = "error_message")]
    error_message: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Number {
    Plain(i64),
    Text(String),
    #[default]
    None,
}

fn from_json(signal: Signal, body: &[u8]) -> Result<(i64, String), AnswerError> {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| AnswerError::NotOtlp)?;
    let partial = answer.partial_success.unwrap_or_default();
    let rejected = match signal {
        Signal::Logs => partial.rejected_log_records,
        Signal::Traces => partial.rejected_spans,
        Signal::Metrics => partial.rejected_data_points,
    };
    let rejected = match rejected {
        Number::Plain(number) => number,
        Number::Text(text) => text.parse().map_err(|_| AnswerError::NotOtlp)?,
        Number::None => 0,
    };
    Ok((rejected, partial.error_message.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsPartialSuccess;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsPartialSuccess;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    use super::*;

    fn taken(rejected: u64, words: &str) -> Result<Taken, AnswerError> {
        Ok(Taken { rejected, words: words.to_owned() })
    }

    fn protobuf(signal: Signal, body: &[u8]) -> Result<Taken, AnswerError> {
        read(signal, Some("application/x-protobuf"), Encoding::Protobuf, body)
    }

    #[test]
    fn what_was_rejected_is_told_in_protobuf() {
        let logs = ExportLogsPartialSuccess {
            rejected_log_records: 3,
            error_message: "too\n old".to_owned(),
        };
        let logs = ExportLogsServiceResponse { partial_success: Some(logs) }.encode_to_vec();
        assert_eq!(protobuf(Signal::Logs, &logs), taken(3, "too\n old"));
        let spans =
            ExportTracePartialSuccess { rejected_spans: 0, error_message: "beware".to_owned() };
        let spans = ExportTraceServiceResponse { partial_success: Some(spans) }.encode_to_vec();
        assert_eq!(protobuf(Signal::Traces, &spans), taken(0, "beware"));
        let points = ExportMetricsPartialSuccess {
            rejected_data_points: 5,
            error_message: "cumulative".to_owned(),
        };
        let points = ExportMetricsServiceResponse { partial_success: Some(points) }.encode_to_vec();
        assert_eq!(protobuf(Signal::Metrics, &points), taken(5, "cumulative"));
        assert_eq!(protobuf(Signal::Logs, b""), taken(0, ""));
    }

    /// The second byte of such an answer is a length, which may look like the beginning of JSON or HTML.
    #[test]
    fn no_length_is_taken_for_text() {
        for words_bytes in 0..300 {
            let words = "x".repeat(words_bytes);
            let said = ExportLogsPartialSuccess { rejected_log_records: 3, error_message: words };
            let expected = taken(3, &said.error_message);
            let said = ExportLogsServiceResponse { partial_success: Some(said) }.encode_to_vec();
            assert_eq!(read(Signal::Logs, None, Encoding::Protobuf, &said), expected);
        }
    }

    #[test]
    fn what_was_rejected_is_told_in_json() {
        let json = |signal, body: &str| {
            read(
                signal,
                Some("application/json; charset=utf-8"),
                Encoding::Protobuf,
                body.as_bytes(),
            )
        };
        for (body, rejected, words) in [
            ("{}", 0, ""),
            (r#"{"partialSuccess":{}}"#, 0, ""),
            (r#"{"partialSuccess":null,"more":1}"#, 0, ""),
            (r#"{"partialSuccess":{"rejectedSpans":"7","errorMessage":"x"}}"#, 7, "x"),
            (r#"{"partial_success":{"rejected_spans":7}}"#, 7, ""),
            (r#"{"partialSuccess":{"rejectedSpans":-7}}"#, 0, ""),
        ] {
            assert_eq!(json(Signal::Traces, body), taken(rejected, words), "{body}");
        }
        let body = r#"{"partialSuccess":{"rejectedLogRecords":"2"}}"#;
        assert_eq!(json(Signal::Logs, body), taken(2, ""));
        assert_eq!(json(Signal::Traces, body), taken(0, ""));
        let points = r#"{"partialSuccess":{"rejectedDataPoints":"4"}}"#;
        assert_eq!(json(Signal::Metrics, points), taken(4, ""));
        assert_eq!(json(Signal::Metrics, body), taken(0, ""));
        // Nobody said that it is JSON.
        assert_eq!(read(Signal::Logs, None, Encoding::Protobuf, body.as_bytes()), taken(2, ""));
    }

    #[test]
    fn what_is_no_answer_of_otlp_is_none() {
        let long = vec![b' '; MAX_ANSWER_BYTES + 1];
        for (content_type, body, error) in [
            (None, &b"<!doctype html><html>Log in</html>"[..], AnswerError::Html),
            (Some("text/html"), b"hello", AnswerError::Html),
            (Some("application/json"), b"true", AnswerError::NotOtlp),
            (None, b"OK", AnswerError::NotOtlp),
            (None, b"{\"partialSuccess\":7}", AnswerError::NotOtlp),
            (None, b"{\"partialSuccess\":{\"rejectedSpans\":\"many\"}}", AnswerError::NotOtlp),
            (None, b"\xff\xff", AnswerError::NotOtlp),
            (None, &long, AnswerError::TooLong),
        ] {
            let found = read(Signal::Traces, content_type, Encoding::Protobuf, body);
            assert_eq!(found, Err(error), "{content_type:?} {:?}", String::from_utf8_lossy(body));
        }
    }

    proptest::proptest! {
        /// As the fuzz target has it.
        #[test]
        fn any_bytes_are_read_or_refused(
            is_json: bool,
            body in proptest::collection::vec(proptest::num::u8::ANY, 0..200),
        ) {
            let sent = if is_json { Encoding::Json } else { Encoding::Protobuf };
            for signal in Signal::ALL {
                if let Ok(taken) = read(signal, None, sent, &body) {
                    proptest::prop_assert!(taken.words.len() <= body.len());
                }
            }
        }
    }
}
