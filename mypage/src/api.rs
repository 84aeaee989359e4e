//! The HTTP face of the views: they can only be read.

use std::time::Duration;

use axum::{Router, extract::State, http::StatusCode, response::Response, routing::get};
use chassis::{
    hal::{Collection, Origin, Page},
    json::{Id, Query},
    problem::Problem,
};
use contracts::{
    ids::{BookingId, UserId},
    mypage::Mypage,
};
use serde::Deserialize;
use storage::database::Unreadable;

use crate::store::Reads;

mod doc;

pub use doc::openapi;

/// When to come back after the views could not be read.
const COME_BACK_AFTER: Duration = Duration::from_secs(2);

const MYPAGES: Collection = Collection { plural: "mypages", singular: "mypage" };

/// Every route of the views.
pub fn router(reads: Reads) -> Router {
    Router::new()
        .route("/mypages", get(list))
        .route("/mypages/search/findByUserId", get(find_by_user))
        .route("/mypages/{id}", get(show))
        .with_state(reads)
}

async fn list(State(reads): State<Reads>, origin: Origin, page: Page) -> Result<Response, Problem> {
    let (some, total) = reads.all(page.offset(), page.size).await.map_err(unreadable)?;
    Ok(MYPAGES.page(&origin, page, total, items(&origin, some)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfUser {
    user_id: Option<String>,
}

async fn find_by_user(
    State(reads): State<Reads>,
    origin: Origin,
    Query(query): Query<OfUser>,
    page: Page,
) -> Result<Response, Problem> {
    let id = query.user_id.as_deref().unwrap_or_default().trim().parse();
    let id = id.map_err(|_| Problem::invalid("userId", "must be the number of a user"))?;
    let found = reads.of_user(UserId(id), page.offset(), page.size).await;
    let (some, total) = found.map_err(unreadable)?;
    let search = format!("search/findByUserId?userId={id}");
    Ok(MYPAGES.found_page(&origin, &search, page, (items(&origin, some), total)))
}

fn items(origin: &Origin, some: Vec<Mypage>) -> Vec<chassis::hal::Item<Mypage>> {
    some.into_iter().map(|one| MYPAGES.item(origin, one.book_id, one)).collect()
}

async fn show(
    State(reads): State<Reads>,
    origin: Origin,
    Id(id): Id<i64>,
) -> Result<Response, Problem> {
    let known = reads.of_booking(BookingId(id)).await.map_err(unreadable)?;
    let known = known.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "urn:anticorona:no-such-booking",
            "There is no such booking",
        )
        .detail("a booking is shown here a moment after it was made")
    })?;
    Ok(MYPAGES.found(&origin, id, known))
}

fn unreadable(_: Unreadable) -> Problem {
    Problem::come_back(COME_BACK_AFTER, "the bookings could not be read")
}
