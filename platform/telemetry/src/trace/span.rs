//! The end of a span: its status, its error, or that it was cancelled.

use http::StatusCode;
use opentelemetry::{
    Context, KeyValue,
    trace::{Status, TraceContextExt},
};

/// A span that ends with this value, or no span. Dropped without an outcome, it ends as cancelled.
#[derive(Debug, Default)]
#[must_use]
pub struct OpenSpan {
    span: Option<Context>,
    /// Statuses from here on are errors.
    errors_from: u16,
}

impl OpenSpan {
    /// A 4xx is an error of the caller, not of the server.
    pub(super) fn server(span: Context) -> Self {
        Self { span: Some(span), errors_from: 500 }
    }

    pub(super) fn client(span: Context) -> Self {
        Self { span: Some(span), errors_from: 400 }
    }

    /// Ends the span with the status of the response.
    pub fn answered(mut self, status: StatusCode) {
        let Some(span) = self.span.take() else { return };
        let code = KeyValue::new("http.response.status_code", i64::from(status.as_u16()));
        span.span().set_attribute(code);
        if status.as_u16() >= self.errors_from {
            record_error(&span, status.as_str().to_owned());
        }
        span.span().end();
    }

    /// Ends the span without a response. The reason is one word out of few (`timeout`,
    /// `unreachable`).
    pub fn failed(mut self, reason: &'static str) {
        self.fail(reason);
    }

    fn fail(&mut self, reason: &'static str) {
        if let Some(span) = self.span.take() {
            record_error(&span, reason.to_owned());
            span.span().end();
        }
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        self.fail("cancelled");
    }
}

fn record_error(span: &Context, kind: String) {
    let span = span.span();
    span.set_attribute(KeyValue::new("error.type", kind));
    span.set_status(Status::error(""));
}
