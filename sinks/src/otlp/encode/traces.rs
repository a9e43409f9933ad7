//! Spans, as a request.

use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use super::{Encoding, Resources, scope};
use crate::otlp::origin::Origin;
use crate::otlp::spans::Finished;

/// Writes the request with these spans into `out`. They are lent to it meanwhile.
///
/// # Errors
///
/// As [`Encoding::write`].
pub(in crate::otlp) fn write(
    finished: &mut [Finished],
    resources: &Resources,
    encoding: Encoding,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let mut origins: Vec<Arc<Origin>> = Vec::new();
    let mut groups: Vec<Vec<Span>> = Vec::new();
    let mut group_of = Vec::with_capacity(finished.len());
    for it in finished.iter_mut() {
        let known = origins.iter().position(|origin| *origin == it.origin);
        let group = known.unwrap_or_else(|| {
            origins.push(Arc::clone(&it.origin));
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(std::mem::take(&mut it.span));
        group_of.push(group);
    }
    let resource_spans = origins.iter().zip(groups).map(|(origin, spans)| ResourceSpans {
        resource: resources.of(origin),
        scope_spans: vec![ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    });
    let request = ExportTraceServiceRequest { resource_spans: resource_spans.collect() };
    let written = encoding.write(&request, out);
    let lent = request.resource_spans.into_iter().flat_map(|it| it.scope_spans);
    let mut lent: Vec<_> = lent.map(|it| it.spans.into_iter()).collect();
    for (it, group) in finished.iter_mut().zip(group_of) {
        it.span = lent[group].next().unwrap_or_default();
    }
    written
}
