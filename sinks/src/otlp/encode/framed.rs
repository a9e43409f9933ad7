//! A request of logs, written record by record into one buffer: a record is in memory only while it is written.
//!
//! The frame is the [protocol's](https://github.com/open-telemetry/opentelemetry-proto): a list (field 1) of resources
//! (1) with a list (2) of scopes (1), each with a list (2) of records.

use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use serde::ser::Error as _;

use super::{Encoding, scope};

/// What the first and the second field of a message begin with, if it has a length.
const FIELD_1: u8 = 1 << 3 | 2;
const FIELD_2: u8 = 2 << 3 | 2;

/// Writes a request into a buffer.
pub(super) struct Request<'o> {
    encoding: Encoding,
    out: &'o mut Vec<u8>,
}

impl Request<'_> {
    /// In place of what the buffer holds.
    pub(super) fn new(encoding: Encoding, out: &mut Vec<u8>) -> Request<'_> {
        out.clear();
        if encoding == Encoding::Json {
            out.extend_from_slice(br#"{"resourceLogs":["#);
        }
        Request { encoding, out }
    }

    /// Adds a resource with its records, each of which is made when the one before is written.
    ///
    /// # Errors
    ///
    /// If something cannot be written, which is not known to happen. The request is then worth nothing.
    pub(super) fn add(
        &mut self,
        resource: Option<Resource>,
        records: impl Iterator<Item = LogRecord>,
    ) -> Result<(), serde_json::Error> {
        match self.encoding {
            Encoding::Protobuf => {
                add_protobuf(resource, records, self.out).map_err(serde_json::Error::custom)
            }
            Encoding::Json => add_json(resource.as_ref(), records, self.out),
        }
    }

    /// The request is complete.
    pub(super) fn end(self) {
        if self.encoding == Encoding::Json {
            self.out.extend_from_slice(b"]}");
        }
    }
}

/// The lengths that come first are known last: what follows moves to make room.
fn add_protobuf(
    resource: Option<Resource>,
    records: impl Iterator<Item = LogRecord>,
    out: &mut Vec<u8>,
) -> Result<(), prost::EncodeError> {
    let begin = out.len();
    for record in records {
        out.push(FIELD_2);
        record.encode_length_delimited(out)?;
    }
    let resource = ResourceLogs { resource, ..ResourceLogs::default() };
    let scope = ScopeLogs { scope: Some(scope()), ..ScopeLogs::default() };
    let scope_bytes = scope.encoded_len() + (out.len() - begin);
    let list_bytes = 1 + prost::length_delimiter_len(scope_bytes) + scope_bytes;
    let mut head = vec![FIELD_1];
    prost::encode_length_delimiter(resource.encoded_len() + list_bytes, &mut head)?;
    resource.encode(&mut head)?;
    head.push(FIELD_2);
    prost::encode_length_delimiter(scope_bytes, &mut head)?;
    scope.encode(&mut head)?;
    out.splice(begin..begin, head);
    Ok(())
}

fn add_json(
    resource: Option<&Resource>,
    records: impl Iterator<Item = LogRecord>,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    if out.last() == Some(&b'}') {
        out.push(b',');
    }
    out.extend_from_slice(br#"{"resource":"#);
    serde_json::to_writer(&mut *out, &resource)?;
    out.extend_from_slice(br#","scopeLogs":[{"scope":"#);
    serde_json::to_writer(&mut *out, &scope())?;
    out.extend_from_slice(br#","logRecords":["#);
    for (at, record) in records.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, &record)?;
    }
    out.extend_from_slice(b"]}]}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;

    use super::*;

    /// As many records as the number says, in a resource of its own for each number.
    fn request(counts: &[usize]) -> ExportLogsServiceRequest {
        let groups = counts.iter().enumerate().map(|(at, count)| {
            let dropped_attributes_count = u32::try_from(at).expect("few");
            let resource = Resource { dropped_attributes_count, ..Resource::default() };
            let record =
                |at| LogRecord { body: None, event_name: "x".repeat(at), ..LogRecord::default() };
            let log_records = (0..*count).map(record).collect();
            let scope = ScopeLogs { scope: Some(scope()), log_records, ..ScopeLogs::default() };
            ResourceLogs {
                resource: Some(resource),
                scope_logs: vec![scope],
                ..ResourceLogs::default()
            }
        });
        ExportLogsServiceRequest { resource_logs: groups.collect() }
    }

    fn written(request: &ExportLogsServiceRequest, encoding: Encoding) -> Vec<u8> {
        let mut out = b"old".to_vec();
        let mut to = Request::new(encoding, &mut out);
        for it in &request.resource_logs {
            let records = it.scope_logs[0].log_records.iter().cloned();
            to.add(it.resource.clone(), records).expect("written");
        }
        to.end();
        out
    }

    #[test]
    fn it_is_the_request_that_the_protocols_library_writes() {
        for counts in [&[][..], &[0], &[1], &[3, 1, 200]] {
            let request = request(counts);
            assert_eq!(
                written(&request, Encoding::Protobuf),
                request.encode_to_vec(),
                "{counts:?}"
            );
            let json = written(&request, Encoding::Json);
            let json: ExportLogsServiceRequest = serde_json::from_slice(&json).expect("JSON");
            assert_eq!(json, request, "{counts:?}");
        }
    }
}
