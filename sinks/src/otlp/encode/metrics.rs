//! The daemon's metrics as OTLP has them: sums, gauges and histograms with explicit bounds.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::scope;
use crate::otlp::attributes::Attributes;
use crate::otlp::exposition::{Buckets, Family, Labels, Series};

/// From when a sum counts.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Temporality {
    /// From the daemon's start: whatever gets lost, the next one makes up for.
    #[default]
    Cumulative,
    /// From what was sent last, for places that take nothing else.
    Delta,
}

/// Between which times something was counted, in Unix nanoseconds.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(in crate::otlp) struct Span {
    pub(in crate::otlp) start_ns: u64,
    pub(in crate::otlp) now_ns: u64,
}

/// The request that tells of all metrics.
pub(in crate::otlp) fn request(
    families: &[Family],
    resource: Resource,
    temporality: Temporality,
    span: Span,
) -> ExportMetricsServiceRequest {
    // Of what never happened there is nothing to tell.
    let metrics = families.iter().map(|family| metric(family, temporality, span));
    let metrics = metrics.filter(|metric| count(metric) > 0).collect();
    let scope_metrics =
        vec![ScopeMetrics { scope: Some(scope()), metrics, ..ScopeMetrics::default() }];
    let resource = Some(resource);
    let of_resource = ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![of_resource] }
}

/// How many points a request has.
pub(in crate::otlp) fn points(request: &ExportMetricsServiceRequest) -> u64 {
    let scopes = request.resource_metrics.iter().flat_map(|it| &it.scope_metrics);
    scopes.flat_map(|it| &it.metrics).map(|metric| count(metric) as u64).sum()
}

/// What came since `before`. What was less than now began anew.
pub(in crate::otlp) fn since(before: &[Family], families: &[Family]) -> Vec<Family> {
    let earlier: BTreeMap<_, _> = before.iter().map(|it| (it.name.as_str(), &it.series)).collect();
    let difference = |family: &Family| {
        let series = match (&family.series, earlier.get(family.name.as_str())) {
            (Series::Counter(now), Some(Series::Counter(before))) => {
                let left = |(labels, now): (&Labels, &f64)| {
                    let before = before.get(labels).filter(|it| *it <= now);
                    (labels.clone(), now - before.unwrap_or(&0.0))
                };
                Series::Counter(now.iter().map(left).collect())
            }
            (Series::Histogram(now), Some(Series::Histogram(before))) => {
                let left = |(labels, now): (&Labels, &Buckets)| {
                    let before = before.get(labels).filter(|it| it.count <= now.count);
                    (labels.clone(), before.map_or_else(|| now.clone(), |it| now.since(it)))
                };
                Series::Histogram(now.iter().map(left).collect())
            }
            (series, _) => series.clone(),
        };
        Family { series, ..family.clone() }
    };
    families.iter().map(difference).collect()
}

impl Buckets {
    fn since(&self, before: &Buckets) -> Buckets {
        let pairs = self.cumulative.iter().enumerate();
        let left = pairs.map(|(at, &(limit, count))| {
            let earlier = before.cumulative.get(at).filter(|(other, _)| *other == limit);
            (limit, count.saturating_sub(earlier.map_or(0, |(_, count)| *count)))
        });
        Buckets {
            cumulative: left.collect(),
            sum: self.sum - before.sum,
            count: self.count - before.count,
        }
    }
}

fn metric(family: &Family, temporality: Temporality, span: Span) -> Metric {
    let aggregation_temporality = match temporality {
        Temporality::Cumulative => AggregationTemporality::Cumulative,
        Temporality::Delta => AggregationTemporality::Delta,
    } as i32;
    let numbers = |series: &BTreeMap<Labels, f64>, start_ns| {
        // JSON has no infinity: what is without a limit is left out.
        let series = series.iter().filter(|(_, value)| value.is_finite());
        series.map(|(labels, value)| number(labels, *value, start_ns, span)).collect()
    };
    let data = match &family.series {
        Series::Counter(series) => Data::Sum(Sum {
            data_points: numbers(series, span.start_ns),
            aggregation_temporality,
            is_monotonic: true,
        }),
        // A gauge is of now, and began at no time.
        Series::Gauge(series) => Data::Gauge(Gauge { data_points: numbers(series, 0) }),
        Series::Histogram(series) => Data::Histogram(Histogram {
            data_points: series.iter().map(|(labels, it)| buckets(labels, it, span)).collect(),
            aggregation_temporality,
        }),
    };
    // Whoever makes Prometheus' metrics of them adds it again.
    let name = family.name.strip_suffix("_total").unwrap_or(&family.name);
    Metric {
        name: name.to_owned(),
        description: family.help.clone(),
        unit: unit(name).to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn count(metric: &Metric) -> usize {
    match &metric.data {
        Some(Data::Sum(sum)) => sum.data_points.len(),
        Some(Data::Gauge(gauge)) => gauge.data_points.len(),
        Some(Data::Histogram(histogram)) => histogram.data_points.len(),
        _ => 0,
    }
}

/// As UCUM has it.
fn unit(name: &str) -> &'static str {
    match name.rsplit_once('_').map(|(_, last)| last) {
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "1",
    }
}

fn number(labels: &Labels, value: f64, start_ns: u64, span: Span) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: start_ns,
        time_unix_nano: span.now_ns,
        value: Some(Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn buckets(labels: &Labels, buckets: &Buckets, span: Span) -> HistogramDataPoint {
    let mut below = 0;
    let counts = buckets.cumulative.iter().map(|&(_, up_to)| {
        let own = up_to.saturating_sub(below);
        below = up_to;
        own
    });
    let bucket_counts: Vec<u64> = counts.collect();
    let limits = buckets.cumulative.iter().map(|(limit, _)| *limit);
    HistogramDataPoint {
        attributes: attributes(labels),
        start_time_unix_nano: span.start_ns,
        time_unix_nano: span.now_ns,
        count: buckets.count,
        sum: Some(buckets.sum),
        bucket_counts,
        explicit_bounds: limits.filter(|limit| limit.is_finite()).collect(),
        ..HistogramDataPoint::default()
    }
}

fn attributes(labels: &Labels) -> Vec<KeyValue> {
    let mut attributes = Attributes::with_capacity(labels.len());
    labels.iter().for_each(|(name, value)| attributes.text(name, value));
    attributes.list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::exposition::read;

    const BEFORE: &str = r#"# TYPE a_total counter
a_total{agent="x"} 3
a_total{agent="y"} 9
# TYPE up gauge
up 1.5
# TYPE t_seconds histogram
t_seconds_bucket{le="0.1"} 1
t_seconds_bucket{le="1"} 3
t_seconds_bucket{le="+Inf"} 4
t_seconds_sum 7.25
t_seconds_count 4
"#;
    const AFTER: &str = r#"# TYPE a_total counter
a_total{agent="x"} 5
a_total{agent="y"} 2
a_total{agent="z"} 1
# TYPE up gauge
up 0.5
# TYPE t_seconds histogram
t_seconds_bucket{le="0.1"} 1
t_seconds_bucket{le="1"} 5
t_seconds_bucket{le="+Inf"} 7
t_seconds_sum 9.25
t_seconds_count 7
"#;

    fn told(text: &str, temporality: Temporality) -> Vec<Metric> {
        let families = read(text).expect("metrics");
        let span = Span { start_ns: 10, now_ns: 20 };
        let mut request = request(&families, Resource::default(), temporality, span);
        request.resource_metrics.remove(0).scope_metrics.remove(0).metrics
    }

    #[test]
    fn counters_gauges_and_histograms_keep_values_units_and_times() {
        let metrics = told(BEFORE, Temporality::Cumulative);
        let names: Vec<_> = metrics.iter().map(|it| (it.name.as_str(), it.unit.as_str())).collect();
        assert_eq!(names, [("a", "1"), ("up", "1"), ("t_seconds", "s")]);
        let Some(Data::Sum(sum)) = &metrics[0].data else { panic!("{:?}", metrics[0]) };
        assert!(sum.is_monotonic);
        assert_eq!(sum.aggregation_temporality, AggregationTemporality::Cumulative as i32);
        let point = &sum.data_points[0];
        assert_eq!((point.start_time_unix_nano, point.time_unix_nano), (10, 20));
        assert_eq!(point.value, Some(Value::AsDouble(3.0)));
        assert_eq!(point.attributes, attributes(&vec![("agent".to_owned(), "x".to_owned())]));
        let Some(Data::Gauge(gauge)) = &metrics[1].data else { panic!("{:?}", metrics[1]) };
        assert_eq!(gauge.data_points[0].value, Some(Value::AsDouble(1.5)));
        let Some(Data::Histogram(histogram)) = &metrics[2].data else { panic!("{:?}", metrics[2]) };
        let point = &histogram.data_points[0];
        assert_eq!((point.count, point.sum), (4, Some(7.25)));
        assert_eq!(
            (&*point.explicit_bounds, &*point.bucket_counts),
            (&[0.1, 1.0][..], &[1, 2, 1][..])
        );
    }

    #[test]
    fn a_difference_has_what_came_since_and_begins_anew_where_a_count_fell() {
        let (before, after) = (read(BEFORE).expect("metrics"), read(AFTER).expect("metrics"));
        let left = since(&before, &after);
        let Series::Counter(counter) = &left[0].series else { panic!("{left:?}") };
        assert_eq!(counter.values().collect::<Vec<_>>(), [&2.0, &2.0, &1.0]);
        let Series::Gauge(gauge) = &left[1].series else { panic!("{left:?}") };
        assert_eq!(gauge.values().collect::<Vec<_>>(), [&0.5]);
        let Series::Histogram(histogram) = &left[2].series else { panic!("{left:?}") };
        let buckets = &histogram[&Labels::new()];
        assert_eq!((buckets.count, buckets.sum), (3, 2.0));
        assert_eq!(buckets.cumulative, [(0.1, 0), (1.0, 2), (f64::INFINITY, 3)]);
        assert_eq!(since(&[], &after), after);
    }
}
