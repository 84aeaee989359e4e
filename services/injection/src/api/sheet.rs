//! The sheet of a day: downloaded as CSV, filled in offline, and uploaded with a result for each row.

use std::{collections::BTreeMap, time::Instant};

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use contracts::{
    ids::InjectionId,
    injection::{SheetResult, SheetRow, SheetUpload},
};
use jiff::Timestamp;
use platform_rest::{
    csv::{self, TableRow},
    hal::NO_STORE,
    json::{Csv, Json, Query},
    openapi::{BodyProblems, Unavailable},
    problem::Problem,
};
use platform_store::{CommandOf, PageRange, PageStart, WriteError};
use serde::Deserialize;
use utoipa::IntoParams;

mod rows;

use self::rows::{COLUMNS, SheetEntry, WrongCell};
use super::{
    day::DayQuery,
    desk::{InjectionDesk, WRITE_TIMEOUT, now},
    problems::InvalidQuery,
};
use crate::domain::{Appointment, Command, CompleteInjection, Completion, Refusal};

/// Rows of a sheet that is downloaded: filled in, they fit into the body of one upload. `Link` leads to the others.
const DOWNLOAD_ROWS_MAX: u32 = 200;

/// Rows of a sheet that is uploaded. They share a commit.
const UPLOAD_ROWS_MAX: usize = 500;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct DownloadQuery {
    /// Where the sheet goes on, as `Link` of another one says
    #[serde(default)]
    #[param(required = false, minimum = 0)]
    after: i64,
}

/// The sheet of a site and a time, as CSV
///
/// A row for each appointment, by start. Its last columns are filled in where an injection is recorded. At most 200 rows;
/// `Link` leads to the next ones.
#[utoipa::path(
    get, path = "/injections/sheet", tag = "sheets", params(DayQuery, DownloadQuery),
    responses(
        (
            status = 200, description = "A sheet", body = String, content_type = "text/csv",
            headers(("Link" = String, description = "The rest of the sheet, if there is more"))
        ),
        InvalidQuery, Unavailable,
    )
)]
pub(super) async fn download(
    State(desk): State<InjectionDesk>,
    Query(day): Query<DayQuery>,
    Query(DownloadQuery { after }): Query<DownloadQuery>,
) -> Result<Response, Problem> {
    let day = day.parse()?;
    let range = PageRange { start: PageStart::After(after.max(0)), size: DOWNLOAD_ROWS_MAX };
    let page = desk.queries.appointments_of_site(day, range).await?;
    let last = page.items.last().map(|(key, _)| *key).filter(|_| page.has_next);
    let rows = page.items.iter().map(|(_, appointment)| rows::cells(appointment));
    let mut response = csv::reply(COLUMNS, rows);
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    let next = last.map(|key| {
        let query = format!("siteId={}&from={}&to={}&after={key}", day.site, day.from, day.to);
        format!("</injections/sheet?{query}>; rel=\"next\"")
    });
    if let Some(Ok(next)) = next.map(HeaderValue::try_from) {
        response.headers_mut().insert(header::LINK, next);
    }
    Ok(response)
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct UploadQuery {
    /// Whether only the results are wanted, and nothing is written
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

/// Records the injections of a sheet that was filled in
///
/// A row is recorded if one of its last five columns is filled in; at most 500 rows. Every row has a result, and a
/// refused one does not prevent the others. To upload a sheet again changes nothing.
#[utoipa::path(
    post, path = "/injections/sheet", tag = "sheets", params(UploadQuery),
    request_body(content = String, content_type = "text/csv"),
    responses(
        (status = 200, description = "A result for each row", body = SheetUpload),
        BodyProblems, Unavailable,
    )
)]
pub(super) async fn upload(
    State(desk): State<InjectionDesk>,
    Query(UploadQuery { dry_run }): Query<UploadQuery>,
    Csv(body): Csv,
) -> Result<Response, Problem> {
    let table = csv::read(&body, &COLUMNS, UPLOAD_ROWS_MAX)?;
    let rows = desk.record(dry_run, &table).await?;
    let mut response = Json(SheetUpload { dry_run, rows }).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    Ok(response)
}

impl InjectionDesk {
    async fn record(&self, dry_run: bool, table: &[TableRow]) -> Result<Vec<SheetRow>, Problem> {
        let entries: Vec<_> = table.iter().map(entry).collect();
        let known = self.queries.appointments(entries.iter().filter_map(named).collect()).await?;
        let (mut rows, mut lines, mut commands) = (Vec::new(), Vec::new(), Vec::new());
        let at = now();
        for (row, entry) in table.iter().zip(entries) {
            match entry.and_then(|entry| completion(entry, &known, at)) {
                Ok(None) => rows.push(sheet_row(row, Ok(SheetResult::Unchanged))),
                Ok(Some(command)) => {
                    lines.push(row);
                    commands.push(command);
                }
                Err(wrong) => rows.push(sheet_row(row, Err(wrong))),
            }
        }
        let replies = self.complete_all(dry_run, commands).await?.into_iter().map(outcome);
        rows.extend(lines.into_iter().zip(replies).map(|(row, outcome)| sheet_row(row, outcome)));
        rows.sort_by_key(|row| row.line);
        Ok(rows)
    }

    /// What becomes of each completion; in a dry run, what would.
    async fn complete_all(
        &self,
        dry_run: bool,
        commands: Vec<CompleteInjection>,
    ) -> Result<Vec<Result<Completion, Refusal>>, Problem> {
        if dry_run {
            let commands = commands.into_iter().map(Command::from).collect();
            let replies = self.queries.dry_run(commands).await?;
            return Ok(replies.into_iter().filter_map(CompleteInjection::reply).collect());
        }
        let replies = self.commands.submit_all(commands, Instant::now() + WRITE_TIMEOUT).await?;
        let replies = replies.into_iter().map(|reply| reply.map_err(WriteError::from));
        Ok(replies.collect::<Result<_, _>>()?)
    }
}

/// What a row says; none for an empty one, as spreadsheets add them.
fn entry(TableRow { cells, .. }: &TableRow) -> Result<Option<SheetEntry>, WrongCell> {
    if cells.is_empty() { Ok(None) } else { SheetEntry::parse(cells).map(Some) }
}

fn named(entry: &Result<Option<SheetEntry>, WrongCell>) -> Option<InjectionId> {
    entry.as_ref().ok()?.as_ref().map(|entry| entry.injection)
}

/// The command of a row; none, if nothing is filled in.
fn completion(
    entry: Option<SheetEntry>,
    known: &BTreeMap<InjectionId, Appointment>,
    at: Timestamp,
) -> Result<Option<CompleteInjection>, WrongCell> {
    let Some(entry) = entry else { return Ok(None) };
    entry.check(known.get(&entry.injection))?;
    let SheetEntry { injection, record, .. } = entry;
    Ok(record.map(|record| CompleteInjection { injection, record: Some(record), at }))
}

fn outcome(reply: Result<Completion, Refusal>) -> Result<SheetResult, WrongCell> {
    Ok(match reply? {
        Completion::New(_) => SheetResult::Recorded,
        Completion::Repeated(_) => SheetResult::RecordedBefore,
    })
}

fn sheet_row(row: &TableRow, outcome: Result<SheetResult, WrongCell>) -> SheetRow {
    let (line, injection_id) = (row.line, rows::injection(&row.cells));
    match outcome {
        Ok(result) => SheetRow { line, result, injection_id, column: None, reason: None },
        Err(WrongCell { column, reason }) => SheetRow {
            line,
            result: SheetResult::Refused,
            injection_id,
            column: Some(column.to_owned()),
            reason: Some(reason),
        },
    }
}
