//! What booking stores request: holds in blocks, and which of them are not resolved.

use std::time::{Duration, Instant};

use axum::{extract::State, http::Method};
use contracts::{
    ids::{SlotId, StoreId, VaccineId},
    vaccine::{
        AHEAD_MAX, AbortBatch, AbortBatchReply, HOLDS_MAX, HeldNext, HeldPlace, HoldBatch,
        HoldBlock, HoldOutcome, HoldReply, ORPHANED_MAX, OrphanedHolds,
    },
};
use platform_rest::{
    RequestDeadline,
    json::{Json, Query},
    openapi::{BodyProblems, Unavailable},
    problem::Problem,
};
use platform_store::{CommandError, WriteError};
use platform_telemetry::clock;
use serde::{Deserialize, de::IgnoredAny};
use utoipa::IntoParams;
use uuid::Uuid;

use super::{
    problems::InvalidQuery,
    stock::{Stock, WRITE_TIMEOUT},
};
use crate::{
    domain::{
        AbortReservation, GrantedNext, GrantedSlot, HeldBlock, HoldDoses, PoolId, Refusal,
        SlotPlace, claims,
    },
    store::HoldFilter,
};

/// How many items a request carries: a batch of holds as many as it has blocks, any other one.
pub fn count_items(method: &Method, path: &str, body: &[u8]) -> usize {
    #[derive(Deserialize)]
    struct Batch {
        blocks: Vec<IgnoredAny>,
    }
    if (method, path) != (&Method::POST, "/holds") {
        return 1;
    }
    serde_json::from_slice(body).map_or(1, |Batch { blocks }| blocks.len())
}

/// Holds doses for blocks of reservations in one commit; each block is decided for itself
///
/// A block gets the doses that it wants now, as many of them as are free, and some of those that it wants ahead of
/// demand. A repeated block has the same outcome. A block is refused whole if one of its reservations is known
/// otherwise, also from a block before it.
#[utoipa::path(
    post, path = "/holds", tag = "internal",
    request_body(
        content = HoldBatch,
        example = json!({
            "owner": "019abcde-0000-7000-8000-000000000001",
            "blocks": [{
                "first": "019abcde-0000-7000-8000-00000000000a",
                "vaccineId": 1, "count": 3, "ahead": 5, "inHand": 2
            }]
        })
    ),
    responses(
        (
            status = 200, description = "One outcome per block, in their order", body = HoldReply,
            example = json!({"outcomes": [{"outcome": "held", "vcName": "FIZER", "count": 8}]})
        ),
        BodyProblems, Unavailable,
    )
)]
pub(super) async fn hold_many(
    State(stock): State<Stock>,
    RequestDeadline(deadline): RequestDeadline,
    Json(batch): Json<HoldBatch>,
) -> Result<Json<HoldReply>, Problem> {
    let holds = holds(&batch)?;
    // After the deadline the client is gone: a hold that has not begun by then is not committed.
    let replies = stock.holds.take(holds, deadline).await?;
    Ok(Json(HoldReply { outcomes: replies.into_iter().map(outcome).collect() }))
}

/// The commands of a batch that is within its limits.
fn holds(batch: &HoldBatch) -> Result<Vec<HoldDoses>, Problem> {
    if batch.blocks.len() > HOLDS_MAX {
        return Err(Problem::invalid("blocks", format!("at most {HOLDS_MAX} in one request")));
    }
    let at = clock::now();
    let hold = |(index, block): (usize, &HoldBlock)| {
        let HoldBlock { first, vaccine_id, count, ahead, in_hand, .. } = *block;
        let next = block.next_slot_id.map(|next| claims(vaccine_id, Some(next)));
        let (owner, claims) = (Some(batch.owner), claims(vaccine_id, block.slot_id));
        let hold = HoldDoses { first, count, ahead, in_hand, owner, claims, next, at };
        let Some((field, limit)) = exceeded_limit(&hold) else { return Ok(hold) };
        Err(Problem::invalid(format!("blocks[{index}].{field}").as_str(), limit))
    };
    batch.blocks.iter().enumerate().map(hold).collect()
}

/// The field of a block that is beyond its limit, and the limit.
fn exceeded_limit(hold: &HoldDoses) -> Option<(&'static str, String)> {
    if usize::try_from(hold.count).is_ok_and(|count| count > HOLDS_MAX) {
        Some(("count", format!("at most {HOLDS_MAX}")))
    } else if hold.next.is_some() && !hold.claims.iter().any(|id| id.is_slot()) {
        Some(("slotId", "must be given where nextSlotId is".to_owned()))
    } else if hold.next.is_some() && hold.ahead > 0 {
        Some(("ahead", "none for a series".to_owned()))
    } else if hold.ahead > AHEAD_MAX {
        Some(("ahead", format!("at most {AHEAD_MAX}")))
    } else if hold.in_hand > AHEAD_MAX {
        Some(("inHand", format!("at most {AHEAD_MAX}")))
    } else if hold.last().is_none() {
        Some(("first", "the last 16 bits leave too few numbers for the block".to_owned()))
    } else {
        None
    }
}

/// Releases holds whose owner cannot record now that there will be no booking
///
/// The owner finds them in `GET /holds?owner=` until its event says that it has recorded them.
#[utoipa::path(
    post, path = "/aborts", tag = "internal",
    request_body(
        content = AbortBatch,
        example = json!({
            "owner": "019abcde-0000-7000-8000-000000000001",
            "reservationIds": ["019abcde-0000-7000-8000-00000000000a"]
        })
    ),
    responses(
        (status = 200, description = "None of them takes a dose, but for those", body = AbortBatchReply),
        BodyProblems, Unavailable,
    )
)]
pub(super) async fn abort_many(
    State(stock): State<Stock>,
    Json(batch): Json<AbortBatch>,
) -> Result<Json<AbortBatchReply>, Problem> {
    if batch.reservation_ids.len() > HOLDS_MAX {
        return Err(Problem::invalid("reservationIds", format!("at most {HOLDS_MAX}")));
    }
    let at = clock::now();
    let abort =
        |reservation: &_| AbortReservation { reservation: *reservation, owner: batch.owner, at };
    let aborts = batch.reservation_ids.iter().map(abort).collect();
    let replies = stock.commands.submit_all(aborts, Instant::now() + WRITE_TIMEOUT).await?;
    let mut refused = Vec::new();
    for (reservation, reply) in batch.reservation_ids.into_iter().zip(replies) {
        if reply.map_err(WriteError::from)?.is_err() {
            refused.push(reservation);
        }
    }
    Ok(Json(AbortBatchReply { refused }))
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct OrphanedQuery {
    /// Only those of this store
    #[param(nullable = false)]
    owner: Option<Uuid>,
    /// Only those that were requested so many milliseconds ago or earlier
    #[param(value_type = i64, example = 10_000, minimum = 0, maximum = 4_294_967_295_i64)]
    held_for_ms: u32,
    /// Only those of this vaccine
    #[param(nullable = false, value_type = i64, minimum = 0, maximum = 4_294_967_295_i64)]
    vaccine_id: Option<u32>,
    /// Only those of this slot, unless a vaccine is given
    #[param(nullable = false, value_type = i64, minimum = 0, maximum = 4_294_967_295_i64)]
    slot_id: Option<u32>,
}

/// Lists holds that their owner has not resolved, oldest first, and what was aborted for it
#[utoipa::path(
    get, path = "/holds", tag = "internal", params(OrphanedQuery),
    responses(
        (status = 200, description = "Their reservations", body = OrphanedHolds),
        InvalidQuery, Unavailable,
    )
)]
pub(super) async fn orphaned(
    State(stock): State<Stock>,
    Query(query): Query<OrphanedQuery>,
) -> Result<Json<OrphanedHolds>, Problem> {
    let held_for = Duration::from_millis(query.held_for_ms.into());
    let slot = query.slot_id.map(|id| PoolId::from(SlotId(id.into())));
    let pool = query.vaccine_id.map(|id| PoolId::from(VaccineId(id.into()))).or(slot);
    let filter = HoldFilter { owner: query.owner.map(StoreId), pool };
    let holds = stock.queries.orphaned_holds(filter, clock::now(), held_for, ORPHANED_MAX);
    Ok(Json(holds.await?))
}

fn place(GrantedSlot { place, bookings_per_person }: GrantedSlot) -> HeldPlace {
    let SlotPlace { campaign: campaign_id, site: site_id, starts_at, date: _ } = place;
    HeldPlace { site_id, starts_at, campaign_id, bookings_per_person }
}

fn outcome(reply: Result<Result<HeldBlock, Refusal>, CommandError>) -> HoldOutcome {
    match reply {
        Ok(Ok(HeldBlock { name, count, slot, next })) => {
            let next = next.map(|GrantedNext { slot, interval }| {
                let place = place(slot);
                HeldNext { place, interval }
            });
            let (vc_name, place) = (name.as_str().to_owned(), slot.map(place));
            HoldOutcome::Held { vc_name, count, place, next }
        }
        Ok(Err(Refusal::SoldOut)) => HoldOutcome::SoldOut,
        Ok(Err(Refusal::NoSuchPool)) => HoldOutcome::NoSuchVaccine,
        Ok(Err(Refusal::SlotFull)) => HoldOutcome::SlotFull,
        Ok(Err(Refusal::NoSuchSlot)) => HoldOutcome::NoSuchSlot,
        Ok(Err(Refusal::NotOpen)) => HoldOutcome::NotOpen,
        Ok(Err(Refusal::NextSlotFull)) => HoldOutcome::NextSlotFull,
        Ok(Err(Refusal::OutsideInterval(_))) => HoldOutcome::OutsideInterval,
        Ok(Err(Refusal::SingleDose)) => HoldOutcome::SingleDose,
        Ok(Err(Refusal::Released | Refusal::Administered | Refusal::Conflict)) => {
            HoldOutcome::Conflict
        }
        Ok(Err(_)) | Err(CommandError::Rejected | CommandError::Unavailable) => HoldOutcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_holds_counts_as_many_items_as_it_has_blocks_and_any_other_request_as_one() {
        let holds = |blocks: &str| format!(r#"{{"owner": "x", "blocks": [{blocks}]}}"#);
        let count = |path: &str, body: &str| count_items(&Method::POST, path, body.as_bytes());
        assert_eq!(count("/holds", &holds(r#"{"count": 512}, {"note": [{}, {}]}, 7"#)), 3);
        assert_eq!(count("/vaccines", &holds("1, 2, 3")), 1);
        for malformed in ["[1, 2, 3]", r#"{"blocks": [1, 2"#, ""] {
            assert_eq!(count("/holds", malformed), 1, "{malformed}");
        }
    }
}
