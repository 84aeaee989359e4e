//! The HTTP side of a consumer: for publishers and operators.

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use contracts::{
    event::{
        CloudEvent, ConsumerOffset, DeadLetteredEvent, DeadLetteredEvents, EVENTS_BODY_MAX,
        EVENTS_MAX,
    },
    ids::StoreId,
};
use jiff::Timestamp;
use platform_rest::{
    json::{Json, JsonList, Query},
    problem::Problem,
};
use platform_store::{DeadLetter, ReadPool, consumer};
use serde::Deserialize;
use uuid::Uuid;

use crate::consumer::{ConsumeError, Consumer};

/// When to retry after events could not be committed.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(2);

/// Dead letters in one response.
const DEAD_LETTERS_MAX: u32 = 1_000;

/// `POST /events`, `GET /events/offset` and `GET /events/dead-letters` of a service.
pub fn router(consumer: Consumer, reads: ReadPool) -> Router {
    Router::new().route("/events", post(consume)).with_state(consumer).merge(
        Router::new()
            .route("/events/offset", get(offset))
            .route("/events/dead-letters", get(dead_letters))
            .with_state(reads),
    )
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
    let sequence = consumer.consume(&batch).await.map_err(problem)?;
    Ok(Json(ConsumerOffset { sequence, last_event_at: None }))
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
    let sequence = last.map_or(0, |(sequence, _)| sequence);
    Ok(Json(ConsumerOffset { sequence, last_event_at: at }))
}

/// The oldest dead letters.
async fn dead_letters(State(reads): State<ReadPool>) -> Result<Json<DeadLetteredEvents>, Problem> {
    let read = reads.read(|tx| {
        Ok((consumer::count_dead_letters(tx)?, consumer::dead_letters(tx, DEAD_LETTERS_MAX)?))
    });
    let (total, events) = read.await?;
    let events = events.into_iter().map(dead_lettered_event).collect();
    Ok(Json(DeadLetteredEvents { total, events }))
}

fn dead_lettered_event(event: DeadLetter) -> DeadLetteredEvent {
    DeadLetteredEvent {
        source: StoreId(event.source),
        sequence: event.sequence,
        r#type: event.r#type,
        data: event.data,
        reason: event.reason,
        since: Timestamp::from_millisecond(event.at_ms).unwrap_or_default(),
    }
}

fn problem(error: ConsumeError) -> Problem {
    Problem::retry_later(RETRY_AFTER, error.to_string())
}
