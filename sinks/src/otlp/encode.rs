//! What is sent: requests of OTLP, as protobuf or as JSON.

mod framed;
pub(super) mod logs;
pub(super) mod metrics;
mod resource;
pub(super) mod traces;

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use prost::Message;
use serde::Serialize;

pub(super) use resource::Resources;

/// How a request is written.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Encoding {
    /// Protobuf in binary, which every receiver takes.
    #[default]
    Protobuf,
    /// The JSON of OTLP: ids in hex, 64-bit numbers as texts, enums as numbers.
    Json,
}

impl Encoding {
    /// The type of such a body.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Encoding::Protobuf => "application/x-protobuf",
            Encoding::Json => "application/json",
        }
    }

    /// Writes a request into an empty buffer.
    ///
    /// # Errors
    ///
    /// If it cannot be JSON, which is not known to happen.
    pub(super) fn write<M: Message + Serialize>(
        self,
        request: &M,
        out: &mut Vec<u8>,
    ) -> Result<(), serde_json::Error> {
        out.clear();
        match self {
            Encoding::Protobuf => {
                out.reserve(request.encoded_len());
                request.encode_raw(out);
                Ok(())
            }
            Encoding::Json => serde_json::to_writer(out, request),
        }
    }
}

/// Who made the spans, records and metrics.
fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "hookring".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}
