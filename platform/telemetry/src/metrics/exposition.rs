//! The two text formats that Prometheus reads: `OpenMetrics` 1.0 and its own, 0.0.4.

use std::fmt::Write;

use http::{HeaderMap, header};
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    registry::Registry,
};

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4, which every scraper reads.
    Text,
}

impl Format {
    /// `OpenMetrics` if an `Accept` header names it, as Prometheus' does; else the text format.
    pub fn accepted(headers: &HeaderMap) -> Self {
        let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        if ranges.flat_map(|list| list.split(',')).any(accepts_open_metrics) {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// The media type of the format.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    pub(super) fn render(self, registries: &[&Registry]) -> String {
        let mut text = String::new();
        // Writing to a String does not fail, and none of our metrics returns an error itself.
        for registry in registries {
            encode_registry(&mut text, registry).ok();
        }
        match self {
            Self::OpenMetrics => {
                encode_eof(&mut text).ok();
                text
            }
            Self::Text => text_format(&text),
        }
    }
}

fn accepts_open_metrics(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let named = parts.next().is_some_and(|name| name == "application/openmetrics-text");
    // `q=0` excludes a media range (RFC 9110, section 12.4.2).
    let mut weights = parts.filter_map(|parameter| parameter.strip_prefix("q=")?.parse().ok());
    named && !weights.any(|weight: f32| weight <= 0.0)
}

/// Converts `OpenMetrics` to format 0.0.4: a counter's family has the name of its samples, there is
/// no line for the unit and no end mark.
fn text_format(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut help = None;
    for line in open_metrics.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        if let Some(words) = comment.strip_prefix("HELP ") {
            help = words.split_once(' ');
        } else if let Some((name, kind)) =
            comment.strip_prefix("TYPE ").and_then(|words| words.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let help = help.take().map_or("", |(_, help)| help);
            writeln!(text, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}").ok();
        }
    }
    text
}
