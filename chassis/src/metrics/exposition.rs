//! The two text formats that Prometheus reads: `OpenMetrics` 1.0, and its own older one, 0.0.4.

use std::fmt::Write;

use axum::http::{HeaderMap, header};
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    registry::Registry,
};

/// How metrics are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `OpenMetrics` 1.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4, which every collector reads.
    Text,
}

impl Format {
    /// `OpenMetrics` for who asks for it, as Prometheus does; the older one for everybody else.
    pub fn accepted(headers: &HeaderMap) -> Self {
        let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        if ranges.flat_map(|list| list.split(',')).any(takes_open_metrics) {
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

    pub(crate) fn render(self, registries: &[&Registry]) -> String {
        let mut text = String::new();
        // Writing to a String does not fail, and none of our metrics fails by itself.
        for registry in registries {
            encode_registry(&mut text, registry).ok();
        }
        match self {
            Self::OpenMetrics => {
                encode_eof(&mut text).ok();
                text
            }
            Self::Text => older(&text),
        }
    }
}

fn takes_open_metrics(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let named = parts.next().is_some_and(|name| name == "application/openmetrics-text");
    let refused =
        parts.any(|parameter| parameter.parse::<Weight>().is_ok_and(|weight| weight.0 <= 0.0));
    named && !refused
}

/// `q=0.5` of a media range (RFC 9110, section 12.4.2).
struct Weight(f32);

impl std::str::FromStr for Weight {
    type Err = ();

    fn from_str(parameter: &str) -> Result<Self, ()> {
        let weight = parameter.strip_prefix("q=").ok_or(())?;
        weight.parse().map(Self).map_err(|_| ())
    }
}

/// The same in format 0.0.4: there a counter's family has the name of its values, units have no
/// line, and the end has no mark.
fn older(text: &str) -> String {
    let mut older = String::with_capacity(text.len());
    let mut help = None;
    for line in text.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            older.push_str(line);
            older.push('\n');
            continue;
        };
        if let Some(words) = comment.strip_prefix("HELP ") {
            help = words.split_once(' ');
        } else if let Some((name, kind)) =
            comment.strip_prefix("TYPE ").and_then(|words| words.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let help = help.take().map_or("", |(_, help)| help);
            writeln!(older, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}").ok();
        }
    }
    older
}
