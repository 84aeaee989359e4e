//! A collector of traces that reads what it is sent.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use chassis::{
    listen::Listener,
    process::Process,
    trace::settings::{Endpoint, Settings},
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// The largest batch in these tests.
const BODY_MAX: usize = 1024 * 1024;

/// A span as the collector sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) span: String,
    pub(crate) parent: String,
    pub(crate) state: String,
    pub(crate) kind: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) failed: bool,
    pub(crate) flags: u64,
    pub(crate) links: Vec<String>,
    pub(crate) attributes: BTreeMap<String, String>,
}

pub(crate) struct Sink {
    pub(crate) settings: Settings,
    batches: mpsc::Receiver<(HeaderMap, Bytes)>,
    _serving: JoinSet<std::io::Result<()>>,
}

impl Sink {
    /// One that answers its first requests like this, and later ones with 200.
    pub(crate) fn answering(first: Vec<StatusCode>) -> Self {
        let listener = Listener::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let endpoint: Endpoint = format!("http://{}", listener.address()).parse().unwrap();
        let (come, batches) = mpsc::channel(64);
        let answers = std::sync::Arc::new(std::sync::Mutex::new(first.into_iter()));
        let take = async move |headers: HeaderMap, body: Bytes| {
            let answer = answers.lock().unwrap().next().unwrap_or(StatusCode::OK);
            if answer.is_success() {
                come.send((headers, body)).await.unwrap();
            }
            answer
        };
        let limit = axum::extract::DefaultBodyLimit::max(BODY_MAX);
        let router = Router::new().route("/v1/traces", post(take)).layer(limit);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let process = Process::new(CancellationToken::new());
            listener.serve("sink", router, Duration::from_secs(10), &process).await
        });
        Self { settings: Settings::new(endpoint.for_traces()), batches, _serving: serving }
    }

    /// Everything that was taken so far, in order of its start.
    pub(crate) fn spans(&mut self) -> Vec<Seen> {
        let mut spans = Vec::new();
        while let Ok((headers, body)) = self.batches.try_recv() {
            assert_eq!(headers["content-type"], "application/x-protobuf");
            for resource_spans in messages(&body, 1) {
                let resource = attributes(messages(&resource_spans, 1).first().unwrap(), 1);
                for scope_spans in messages(&resource_spans, 2) {
                    let of_scope = messages(&scope_spans, 2);
                    let service = &resource["service.name"];
                    spans.extend(of_scope.iter().map(|span| seen(service, span)));
                }
            }
        }
        spans.sort_by_key(|span| span.start);
        spans
    }
}

fn seen(service: &str, span: &[u8]) -> Seen {
    let text = |field| String::from_utf8(whole(span, field)).unwrap();
    let links = messages(span, 13);
    let status = messages(span, 15);
    Seen {
        service: service.to_owned(),
        name: text(5),
        trace: hex(&whole(span, 1)),
        span: hex(&whole(span, 2)),
        parent: hex(&whole(span, 4)),
        state: text(3),
        kind: number(span, 6),
        start: number(span, 7),
        end: number(span, 8),
        failed: status.iter().any(|status| number(status, 3) == 2),
        flags: number(span, 16),
        links: links.iter().map(|link| hex(&whole(link, 2))).collect(),
        attributes: attributes(span, 9),
    }
}

fn attributes(message: &[u8], field: u32) -> BTreeMap<String, String> {
    let pair = |pair: &Vec<u8>| {
        let value = whole(pair, 2);
        let text = match &whole(&value, 1)[..] {
            [] => number(&value, 3).to_string(),
            text => String::from_utf8(text.to_vec()).unwrap(),
        };
        (String::from_utf8(whole(pair, 1)).unwrap(), text)
    };
    messages(message, field).iter().map(pair).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// The bytes of a field, none if it is not there.
fn whole(message: &[u8], field: u32) -> Vec<u8> {
    messages(message, field).pop().unwrap_or_default()
}

/// The bytes of a field each time that it is there.
fn messages(message: &[u8], field: u32) -> Vec<Vec<u8>> {
    let of_field = fields(message).into_iter().filter(|(number, ..)| *number == field);
    of_field.map(|(_, _, bytes)| bytes).collect()
}

/// The number in a field, zero if it is not there.
fn number(message: &[u8], field: u32) -> u64 {
    fields(message).iter().find(|(number, ..)| *number == field).map_or(0, |(_, value, _)| *value)
}

/// Every field: its number, its value as a number, its bytes.
fn fields(mut rest: &[u8]) -> Vec<(u32, u64, Vec<u8>)> {
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest);
        let field = u32::try_from(tag >> 3).unwrap();
        let (value, bytes) = match tag & 7 {
            0 => (varint(&mut rest), Vec::new()),
            1 => (u64::from_le_bytes(take(&mut rest, 8).try_into().unwrap()), Vec::new()),
            2 => {
                let length = usize::try_from(varint(&mut rest)).unwrap();
                (0, take(&mut rest, length).to_vec())
            }
            5 => {
                let value = u32::from_le_bytes(take(&mut rest, 4).try_into().unwrap());
                (u64::from(value), Vec::new())
            }
            other => panic!("wire type {other}"),
        };
        fields.push((field, value, bytes));
    }
    fields
}

fn varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(rest, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, after) = rest.split_at(length);
    *rest = after;
    taken
}
