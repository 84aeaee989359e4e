//! Slots as the ledger counts them.

use axum::extract::State;
use contracts::{ids::SlotId, vaccine::SlotCount};
use platform_rest::{
    json::{Id, Json},
    openapi::Unavailable,
    problem::Problem,
};

use super::{
    problems::{NoSuchSlot, problem},
    stock::Stock,
};
use crate::domain::Refusal;

/// Shows how many places of a slot there are, and how many are taken
#[utoipa::path(
    get, path = "/slots/{id}", tag = "internal",
    params(("id" = i64, Path, description = "The number of the slot", minimum = 1, example = 1)),
    responses((status = 200, description = "Found", body = SlotCount), NoSuchSlot, Unavailable)
)]
pub(super) async fn slot(
    State(stock): State<Stock>,
    Id(id): Id<i64>,
) -> Result<Json<SlotCount>, Problem> {
    let known = stock.queries.slot(SlotId(id)).await?;
    known.map(Json).ok_or_else(|| problem(Refusal::NoSuchSlot))
}
