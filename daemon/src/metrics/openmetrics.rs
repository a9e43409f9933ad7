//! The same text as OpenMetrics 1.0.
//! (<https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>)

/// Makes OpenMetrics of what [`Metrics::render`](super::Metrics::render) gives: a family of counters is named there
/// without `_total`, and the text has an end by which one that was cut is known.
pub fn open_metrics(text: &str) -> String {
    let counters: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut out = String::with_capacity(text.len() + 8);
    // The two lines of a family stand together, so the next one of these is the one.
    let mut next = counters.iter().copied().peekable();
    for line in text.lines() {
        let about = line.strip_prefix("# HELP ").or_else(|| line.strip_prefix("# TYPE "));
        match (about, next.peek()) {
            (Some(about), Some(counter)) if is_about(about, counter) => {
                let name = counter.strip_suffix("_total").unwrap_or(counter);
                out.push_str(&line[..line.len() - about.len()]);
                out.push_str(name);
                out.push_str(&about[counter.len()..]);
                if line.starts_with("# TYPE ") {
                    next.next();
                }
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out.push_str("# EOF\n");
    out
}

/// Whether `about` begins with this name and no longer one.
fn is_about(about: &str, name: &str) -> bool {
    about.strip_prefix(name).is_some_and(|rest| rest.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_lose_the_end_of_their_familys_name_and_nothing_else_changes() {
        let text = "# HELP a_total Of a_total.\n# TYPE a_total counter\na_total{x=\"# TYPE b counter\"} 1\n\
                    # HELP a_total_more x\n# TYPE a_total_more gauge\na_total_more 2\n\
                    # HELP b_total y\n# TYPE b_total counter\nb_total 3\n";
        let expected = "# HELP a Of a_total.\n# TYPE a counter\na_total{x=\"# TYPE b counter\"} 1\n\
                        # HELP a_total_more x\n# TYPE a_total_more gauge\na_total_more 2\n\
                        # HELP b y\n# TYPE b counter\nb_total 3\n# EOF\n";
        assert_eq!(open_metrics(text), expected);
        assert_eq!(open_metrics(""), "# EOF\n");
    }
}
