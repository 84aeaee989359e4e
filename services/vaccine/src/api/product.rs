//! Product rules of a vaccine.

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use contracts::{
    ids::VaccineId,
    vaccine::product::{AGE_MONTHS_MAX, CVX_MAX, DOSE_INTERVAL_MAX, Product},
};
use platform_rest::{
    json::{Id, Json},
    openapi::{BodyProblems, Unavailable},
    problem::Problem,
};

use super::{
    problems::{NoSuchProduct, NoSuchVaccine, problem},
    stock::Stock,
};
use crate::domain::SetProduct;

/// The longest local code, in characters.
const LOCAL_CODE_MAX: usize = 32;

/// Shows what is known of a vaccine as a product
#[utoipa::path(
    get, path = "/vaccines/{id}/product", tag = "vaccines",
    params(("id" = i64, Path, description = "The number of the vaccine", minimum = 1, example = 1)),
    responses((status = 200, description = "Found", body = Product), NoSuchProduct, Unavailable)
)]
pub(super) async fn show(State(stock): State<Stock>, Id(id): Id<i64>) -> Result<Response, Problem> {
    let known = stock.queries.product(VaccineId(id)).await?;
    let none = || {
        Problem::new(
            StatusCode::NOT_FOUND,
            "urn:anticorona:no-such-product",
            "No product rules are known",
        )
        .detail("there is no such vaccine, or nothing is known of it as a product")
    };
    Ok(Json(known.ok_or_else(none)?).into_response())
}

/// Sets what is known of a vaccine as a product
///
/// `nextDose` says when a second dose is due: then a booking can be of a series. Series that are booked stay as they
/// are.
#[utoipa::path(
    put, path = "/vaccines/{id}/product", tag = "vaccines",
    params(("id" = i64, Path, description = "The number of the vaccine", minimum = 1, example = 1)),
    request_body(
        content = Product,
        example = json!({"cvx": 208, "minAgeMonths": 144, "nextDose": {"minDays": 21, "maxDays": 42}})
    ),
    responses(
        (status = 200, description = "Set", body = Product), NoSuchVaccine, BodyProblems, Unavailable,
    )
)]
pub(super) async fn set(
    State(stock): State<Stock>,
    Id(id): Id<i64>,
    Json(product): Json<Product>,
) -> Result<Response, Problem> {
    check(&product)?;
    let set = SetProduct { vaccine: VaccineId(id), product: Some(product.clone()) };
    stock.submit(set).await?.map_err(problem)?;
    Ok(Json(product).into_response())
}

/// Removes them: one dose is enough then
#[utoipa::path(
    delete, path = "/vaccines/{id}/product", tag = "vaccines",
    params(("id" = i64, Path, description = "The number of the vaccine", minimum = 1, example = 1)),
    responses((status = 204, description = "There are none"), NoSuchVaccine, Unavailable)
)]
pub(super) async fn remove(
    State(stock): State<Stock>,
    Id(id): Id<i64>,
) -> Result<StatusCode, Problem> {
    let remove = SetProduct { vaccine: VaccineId(id), product: None };
    stock.submit(remove).await?.map_err(problem)?;
    Ok(StatusCode::NO_CONTENT)
}

fn check(product: &Product) -> Result<(), Problem> {
    let Product { cvx, local_code, min_age_months, max_age_months, next_dose } = product;
    if cvx.is_some_and(|code| !(1..=CVX_MAX).contains(&code)) {
        return Err(Problem::invalid("cvx", format!("must be from 1 to {CVX_MAX}")));
    }
    let is_code = |code: &String| {
        let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=LOCAL_CODE_MAX).contains(&code.len()) && code.bytes().all(is_valid)
    };
    if local_code.as_ref().is_some_and(|code| !is_code(code)) {
        let reason = format!("must be 1 to {LOCAL_CODE_MAX} letters, digits and `._-`");
        return Err(Problem::invalid("localCode", reason));
    }
    for (field, age) in [("minAgeMonths", min_age_months), ("maxAgeMonths", max_age_months)] {
        if age.is_some_and(|age| age > AGE_MONTHS_MAX) {
            return Err(Problem::invalid(field, format!("must be up to {AGE_MONTHS_MAX}")));
        }
    }
    if max_age_months.is_some_and(|max| max < min_age_months.unwrap_or(0)) {
        return Err(Problem::invalid("maxAgeMonths", "must not be less than minAgeMonths"));
    }
    let Some(interval) = next_dose else { return Ok(()) };
    if !(1..=DOSE_INTERVAL_MAX).contains(&interval.min_days) {
        let reason = format!("must be from 1 to {DOSE_INTERVAL_MAX}");
        return Err(Problem::invalid("nextDose.minDays", reason));
    }
    if !(interval.min_days..=DOSE_INTERVAL_MAX).contains(&interval.max_days) {
        let reason = format!("must be from minDays to {DOSE_INTERVAL_MAX}");
        return Err(Problem::invalid("nextDose.maxDays", reason));
    }
    Ok(())
}
