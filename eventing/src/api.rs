//! The HTTP face of a part's events: what tellers and operators ask.

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use chassis::{
    json::{Json, JsonList, Query},
    problem::Problem,
};
use contracts::{
    event::{CloudEvent, EVENTS_BODY_MAX, EVENTS_MAX, Heard, ParkedEvent, ParkedEvents},
    ids::HolderId,
};
use serde::Deserialize;
use storage::{
    database::{Readers, Unreadable},
    inbox::{self, Parked},
};
use uuid::Uuid;

use crate::hearing::{Hearing, Hears, NotHeard};

/// When to come back after the events could not be kept.
const COME_BACK_AFTER: std::time::Duration = std::time::Duration::from_secs(2);

/// Parked events in one answer.
const PARKED_MAX: u32 = 1_000;

/// `POST /events`, `GET /events/heard` and `GET /events/parked` of a part.
pub fn router<M: Hears>(hearing: Hearing<M>, reads: Readers) -> Router {
    Router::new().route("/events", post(hear::<M>)).with_state(hearing).merge(
        Router::new()
            .route("/events/heard", get(heard))
            .route("/events/parked", get(parked))
            .with_state(reads),
    )
}

/// Events of one source, in its order; answers how far they are kept.
async fn hear<M: Hears>(
    State(hearing): State<Hearing<M>>,
    JsonList(batch): JsonList<CloudEvent, EVENTS_BODY_MAX>,
) -> Result<Json<Heard>, Problem> {
    if batch.len() > EVENTS_MAX {
        return Err(Problem::invalid("events", format!("at most {EVENTS_MAX} in one request")));
    }
    if batch.is_empty() {
        return Err(Problem::invalid("events", "at least one"));
    }
    if batch.windows(2).any(|two| two[0].source != two[1].source) {
        return Err(Problem::invalid("source", "one source in one request"));
    }
    let sequence = hearing.hear(&batch).await.map_err(not_heard)?;
    Ok(Json(Heard { sequence }))
}

#[derive(Deserialize)]
struct HeardQuery {
    source: Uuid,
}

async fn heard(
    State(reads): State<Readers>,
    Query(query): Query<HeardQuery>,
) -> Result<Json<Heard>, Problem> {
    let heard = reads.read(move |tx| inbox::heard(tx, query.source)).await;
    Ok(Json(Heard { sequence: heard.map_err(unreadable)? }))
}

/// What could not be heard, oldest first.
async fn parked(State(reads): State<Readers>) -> Result<Json<ParkedEvents>, Problem> {
    let read = reads.read(|tx| Ok((inbox::count_parked(tx)?, inbox::parked(tx, PARKED_MAX)?)));
    let (total, events) = read.await.map_err(unreadable)?;
    Ok(Json(ParkedEvents { total, events: events.into_iter().map(shown).collect() }))
}

fn shown(parked: Parked) -> ParkedEvent {
    ParkedEvent {
        source: HolderId(parked.source),
        sequence: parked.sequence,
        r#type: parked.r#type,
        data: parked.data,
        why: parked.why,
        since: jiff::Timestamp::from_millisecond(parked.at_ms).unwrap_or_default(),
    }
}

fn not_heard(why: NotHeard) -> Problem {
    Problem::come_back(COME_BACK_AFTER, why.to_string())
}

fn unreadable(why: Unreadable) -> Problem {
    Problem::come_back(COME_BACK_AFTER, why.to_string())
}
