//! The HTTP side of a consumer: for publishers and operators.

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    routing::{delete, get, post},
};
use contracts::{
    event::{
        CloudEvent, ConsumerOffset, DISMISSAL_REASON_MAX, DeadLetterDismissal, DeadLetteredEvent,
        DeadLetteredEvents, DismissDeadLetter, EVENTS_BODY_MAX, EVENTS_MAX, SnapshotProgress,
    },
    ids::StoreId,
};
use jiff::Timestamp;
use platform_rest::{
    json::{Id, Json, JsonList, Query},
    problem::Problem,
};
use platform_store::{
    DeadLetter, DeadLetterId, Dismissal, Offset, ReadPool, SnapshotOffset, consumer, dead_letter,
};
use platform_telemetry::clock;
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    consumer::{ConsumeError, Consumer},
    dead_letters::DeadLetterError,
};

/// When to retry after events could not be committed.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(2);

/// Dead letters in one response: with 2 KiB each it is within what a client reads, 1 MiB.
const DEAD_LETTERS_MAX: u32 = 500;

/// `POST /events`, `GET /events/offset` and `/events/dead-letters` of a service.
pub fn router(consumer: Consumer, reads: ReadPool) -> Router {
    let letters = DeadLetters { consumer: consumer.clone(), reads: reads.clone() };
    Router::new()
        .route("/events", post(consume))
        .with_state(consumer)
        .merge(
            Router::new()
                .route("/events/dead-letters/{source}/{sequence}", delete(dismiss))
                .route("/events/dead-letters/{source}/{sequence}/retry", post(retry))
                .with_state(letters),
        )
        .merge(
            Router::new()
                .route("/events/offset", get(offset))
                .route("/events/dead-letters", get(dead_letters))
                .with_state(reads),
        )
}

/// What handles dead letters.
#[derive(Clone)]
struct DeadLetters {
    consumer: Consumer,
    reads: ReadPool,
}

/// Consumes events of one source, in order; returns the offset.
async fn consume(
    State(consumer): State<Consumer>,
    JsonList(batch): JsonList<CloudEvent, EVENTS_BODY_MAX>,
) -> Result<Json<ConsumerOffset>, Problem> {
    if batch.len() > EVENTS_MAX {
        return Err(Problem::invalid("events", format!("at most {EVENTS_MAX} in one request")));
    }
    if batch.is_empty() {
        return Err(Problem::invalid("events", "at least one"));
    }
    if batch.windows(2).any(|two| two[0].source != two[1].source) {
        return Err(Problem::invalid("source", "one source in one request"));
    }
    let offset = consumer.consume(&batch).await.map_err(problem)?;
    Ok(Json(consumer_offset(offset, None)))
}

#[derive(Deserialize)]
struct OffsetQuery {
    source: Uuid,
}

async fn offset(
    State(reads): State<ReadPool>,
    Query(query): Query<OffsetQuery>,
) -> Result<Json<ConsumerOffset>, Problem> {
    let last = reads.read(move |tx| consumer::last_event(tx, query.source)).await?;
    let at = last.and_then(|(_, at_ms)| Timestamp::from_millisecond(at_ms).ok());
    let offset = last.map(|(offset, _)| offset).unwrap_or_default();
    Ok(Json(consumer_offset(offset, at)))
}

fn consumer_offset(
    Offset { sequence, snapshot }: Offset,
    last_event_at: Option<Timestamp>,
) -> ConsumerOffset {
    let snapshot = snapshot.map(|SnapshotOffset { up_to, key }| SnapshotProgress { up_to, key });
    ConsumerOffset { sequence, last_event_at, snapshot }
}

#[derive(Deserialize)]
struct DeadLettersQuery {
    #[serde(default)]
    dismissed: bool,
}

/// The oldest open dead letters, or those that were dismissed last.
async fn dead_letters(
    State(reads): State<ReadPool>,
    Query(DeadLettersQuery { dismissed }): Query<DeadLettersQuery>,
) -> Result<Json<DeadLetteredEvents>, Problem> {
    let read = reads.read(move |tx| {
        Ok(if dismissed {
            (dead_letter::count_dismissed(tx)?, dead_letter::dismissed(tx, DEAD_LETTERS_MAX)?)
        } else {
            (dead_letter::count_open(tx)?, dead_letter::open(tx, DEAD_LETTERS_MAX)?)
        })
    });
    let (total, events) = read.await?;
    let events = events.into_iter().map(dead_lettered_event).collect();
    Ok(Json(DeadLetteredEvents { total, events }))
}

/// Applies the event of a dead letter.
async fn retry(
    State(letters): State<DeadLetters>,
    Id((source, sequence)): Id<(Uuid, u64)>,
) -> Result<StatusCode, Problem> {
    let id = DeadLetterId { source, sequence };
    let found = letters.reads.read(move |tx| dead_letter::find(tx, id)).await?;
    let retried = match found {
        Some(letter) => letters.consumer.retry(letter).await,
        None => Err(DeadLetterError::Absent),
    };
    retried.map(|()| StatusCode::NO_CONTENT).map_err(dead_letter_problem)
}

/// Marks a dead letter as dismissed. Repeated, it changes nothing: the first reason stands.
async fn dismiss(
    State(letters): State<DeadLetters>,
    Id((source, sequence)): Id<(Uuid, u64)>,
    Json(DismissDeadLetter { reason }): Json<DismissDeadLetter>,
) -> Result<StatusCode, Problem> {
    let reason = reason.trim().to_owned();
    if !(1..=DISMISSAL_REASON_MAX).contains(&reason.chars().count())
        || reason.contains(char::is_control)
    {
        let detail = format!("one line of 1 to {DISMISSAL_REASON_MAX} characters");
        return Err(Problem::invalid("reason", detail));
    }
    let dismissal = Dismissal { at_ms: clock::now().as_millisecond(), reason };
    match letters.consumer.dismiss(DeadLetterId { source, sequence }, dismissal).await {
        Ok(()) | Err(DeadLetterError::Dismissed) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(dead_letter_problem(error)),
    }
}

fn dead_lettered_event(letter: DeadLetter) -> DeadLetteredEvent {
    let DeadLetter { id, event, reason, dead_lettered_at_ms, dismissal } = letter;
    DeadLetteredEvent {
        source: StoreId(id.source),
        sequence: id.sequence,
        r#type: event.r#type,
        data: event.data.to_string(),
        reason,
        since: timestamp(dead_lettered_at_ms),
        dismissal: dismissal
            .map(|it| DeadLetterDismissal { at: timestamp(it.at_ms), reason: it.reason }),
    }
}

fn timestamp(at_ms: i64) -> Timestamp {
    Timestamp::from_millisecond(at_ms).unwrap_or_default()
}

fn dead_letter_problem(error: DeadLetterError) -> Problem {
    match error {
        DeadLetterError::Absent => Problem::not_found(error.to_string()),
        DeadLetterError::Dismissed => Problem::new(
            StatusCode::CONFLICT,
            "urn:anticorona:dead-letter-dismissed",
            "The dead letter was dismissed",
        )
        .detail(error.to_string()),
        DeadLetterError::Kept(reason) => Problem::new(
            StatusCode::CONFLICT,
            "urn:anticorona:dead-letter-kept",
            "The event still cannot be applied",
        )
        .detail(reason),
        DeadLetterError::Write(error) => error.into(),
    }
}

fn problem(error: ConsumeError) -> Problem {
    Problem::retry_later(RETRY_AFTER, error.to_string())
}
