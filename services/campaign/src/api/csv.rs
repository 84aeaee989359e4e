//! Sites as CSV: import with a result per row, and export of the same columns.

use std::time::Instant;

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::Response,
};
use contracts::{
    campaign::{
        Address, DayOfWeek, ExternalIdentifier, GeoPosition, ImportResult, ImportedRow,
        LocalizedName, Microdegrees, MinuteOfDay, OpeningHours, Site, SiteDetails, SiteImport,
    },
    ids::SiteId,
};
use jiff::Timestamp;
use platform_rest::{
    csv::{self, TableRow},
    json::{Csv, Json, Query, number},
    openapi::{BodyProblems, Unavailable},
    problem::Problem,
};
use platform_store::{CommandOf, PageRange, PageStart, WriteError};
use platform_telemetry::clock;
use serde::Deserialize;
use utoipa::IntoParams;

use super::{
    office::{CampaignOffice, WRITE_TIMEOUT},
    problems::InvalidParameter,
};
use crate::domain::{
    CheckedSite, Command, ImportKey, ImportSite, ImportedSite, InvalidField, Refusal,
};

/// Rows of one import.
const ROWS_MAX: usize = 2_000;

/// Rows that are imported in one commit.
const COMMIT_ROWS_MAX: usize = 500;

/// Sites of one export; `Link` leads to the others.
const EXPORT_MAX: u32 = 1_000;

const COLUMNS: [&str; 15] = [
    "siteId",
    "system",
    "externalId",
    "nameKo",
    "nameEn",
    "line",
    "city",
    "region",
    "postalCode",
    "phone",
    "timeZone",
    "latitude",
    "longitude",
    "accessibility",
    "openingHours",
];

const DAYS: [(&str, DayOfWeek); 7] = [
    ("MON", DayOfWeek::Mon),
    ("TUE", DayOfWeek::Tue),
    ("WED", DayOfWeek::Wed),
    ("THU", DayOfWeek::Thu),
    ("FRI", DayOfWeek::Fri),
    ("SAT", DayOfWeek::Sat),
    ("SUN", DayOfWeek::Sun),
];

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct ImportQuery {
    /// Whether only the results are wanted, and nothing is written
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

/// Creates and changes sites
///
/// The first row names the columns, in any order: `siteId`, `system`, `externalId`, `nameKo`, `nameEn`, `line`, `city`,
/// `region`, `postalCode`, `phone`, `timeZone`, `latitude`, `longitude`, `accessibility`, `openingHours`. A row is the site of its `system` and `externalId`, else that of its `siteId`.
/// Its exceptions stay. Every row has a result, and a wrong one does not prevent the others.
#[utoipa::path(
    post, path = "/sites/import", tag = "sites", params(ImportQuery),
    request_body(content = String, content_type = "text/csv"),
    responses(
        (status = 200, description = "A result for each row", body = SiteImport),
        BodyProblems, Unavailable,
    )
)]
pub(super) async fn import(
    State(office): State<CampaignOffice>,
    Query(ImportQuery { dry_run }): Query<ImportQuery>,
    Csv(body): Csv,
) -> Result<Json<SiteImport>, Problem> {
    let (mut rows, mut lines, mut sites) = (Vec::new(), Vec::new(), Vec::new());
    let at = clock::now();
    for TableRow { line, cells } in csv::read(&body, &COLUMNS, ROWS_MAX)? {
        match Cells(cells).site(at) {
            Ok(site) => {
                lines.push(line);
                sites.push(site);
            }
            Err(wrong) => rows.push(row_result(line, Err(wrong))),
        }
    }
    let outcomes = office.import(dry_run, sites).await?.into_iter();
    let outcomes = outcomes.map(|outcome| outcome.map_err(|refusal| wrong_row(&refusal)));
    rows.extend(lines.into_iter().zip(outcomes).map(|(line, outcome)| row_result(line, outcome)));
    rows.sort_by_key(|row| row.line);
    Ok(Json(SiteImport { dry_run, rows }))
}

#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct ExportQuery {
    /// Sites with higher numbers; all without it
    #[param(
        value_type = Option<i64>, nullable = false, example = 1_000, minimum = 0,
        maximum = 9_223_372_036_854_775_807_i64
    )]
    after: Option<String>,
}

/// Sites as CSV, which can be imported again
///
/// At most 1,000 of them; `Link` leads to the next ones.
#[utoipa::path(
    get, path = "/sites/export", tag = "sites", params(ExportQuery),
    responses(
        (
            status = 200, description = "Sites", body = String, content_type = "text/csv",
            headers(("Link" = String, description = "The next sites, if there are any"))
        ),
        InvalidParameter, Unavailable,
    )
)]
pub(super) async fn export(
    State(office): State<CampaignOffice>,
    Query(ExportQuery { after }): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let after = after.as_deref().map_or(Ok(0), |after| number("after", Some(after), "site"))?;
    let range = PageRange { start: PageStart::After(after), size: EXPORT_MAX };
    let page = office.queries.sites(range).await?.rows;
    let last = page.items.last().map(|(id, _)| *id).filter(|_| page.has_next);
    let mut response = csv::reply(COLUMNS, page.items.iter().map(|(_, site)| cells(site)));
    let next = last.map(|id| format!("</sites/export?after={id}>; rel=\"next\""));
    if let Some(Ok(next)) = next.map(HeaderValue::try_from) {
        response.headers_mut().insert(header::LINK, next);
    }
    Ok(response)
}

impl CampaignOffice {
    /// What becomes of each site; in a dry run, what would.
    async fn import(
        &self,
        dry_run: bool,
        sites: Vec<ImportSite>,
    ) -> Result<Vec<Result<ImportedSite, Refusal>>, Problem> {
        if dry_run {
            let commands = sites.into_iter().map(Command::from).collect();
            let replies = self.queries.decide(commands).await?;
            return Ok(replies.into_iter().filter_map(ImportSite::reply).collect());
        }
        let mut outcomes = Vec::with_capacity(sites.len());
        for chunk in sites.chunks(COMMIT_ROWS_MAX) {
            let deadline = Instant::now() + WRITE_TIMEOUT;
            for reply in self.commands.submit_all(chunk.to_vec(), deadline).await? {
                outcomes.push(reply.map_err(WriteError::from)?);
            }
        }
        Ok(outcomes)
    }
}

fn row_result(line: u64, outcome: Result<ImportedSite, InvalidField>) -> ImportedRow {
    let (result, site) = match outcome {
        Ok(ImportedSite::Created(site)) => (ImportResult::Created, site.id),
        Ok(ImportedSite::Updated(site)) => (ImportResult::Updated, site.id),
        Ok(ImportedSite::Unchanged(id)) => (ImportResult::Unchanged, id),
        Err(InvalidField { field, reason }) => {
            let field = Some(field).filter(|field| !field.is_empty());
            let (result, reason) = (ImportResult::Error, Some(reason));
            return ImportedRow { line, result, site_id: None, field, reason };
        }
    };
    ImportedRow { line, result, site_id: Some(site), field: None, reason: None }
}

fn wrong_row(refusal: &Refusal) -> InvalidField {
    let field = match refusal {
        Refusal::Invalid(field) => return by_column(field.clone()),
        Refusal::NoSuchSite => "siteId",
        Refusal::ZoneInUse(_) => "timeZone",
        Refusal::IdentifierTaken { .. } => "externalId",
        Refusal::NoSuchCampaign
        | Refusal::Stale
        | Refusal::InCampaigns(_)
        | Refusal::UnknownSite(_)
        | Refusal::TooManyCampaigns(_)
        | Refusal::Fixed(_)
        | Refusal::Closed
        | Refusal::NotDraft(_)
        | Refusal::NoSites
        | Refusal::Transition { .. } => "",
    };
    InvalidField { field: field.to_owned(), reason: refusal.to_string() }
}

/// The cells of a row.
struct Cells(csv::Cells);

impl Cells {
    fn text(&self, column: &str) -> Option<String> {
        self.0.text(column).map(str::to_owned)
    }

    fn required(&self, column: &'static str) -> Result<String, InvalidField> {
        self.text(column).ok_or_else(|| wrong(column, "must be given"))
    }

    fn site(&self, at: Timestamp) -> Result<ImportSite, InvalidField> {
        let identifier = match (self.text("system"), self.text("externalId")) {
            (Some(system), Some(value)) => Some(ExternalIdentifier { system, value }),
            (None, None) => None,
            (Some(_), None) => return Err(wrong("externalId", "must be given with its system")),
            (None, Some(_)) => return Err(wrong("system", "must be given with its externalId")),
        };
        let key = match (&identifier, self.text("siteId")) {
            (Some(identifier), _) => ImportKey::Identifier(identifier.clone()),
            (None, Some(id)) => {
                let id = id.parse().map_err(|_| wrong("siteId", "must be the number of a site"));
                ImportKey::Number(SiteId(id?))
            }
            (None, None) => {
                return Err(wrong("externalId", "must be given, with its system, or siteId"));
            }
        };
        let details = SiteDetails {
            name: LocalizedName { ko: self.required("nameKo")?, en: self.text("nameEn") },
            address: Address {
                line: self.required("line")?,
                city: self.required("city")?,
                region: self.required("region")?,
                postal_code: self.text("postalCode"),
            },
            phone: self.required("phone")?,
            time_zone: self.required("timeZone")?,
            position: self.position()?,
            accessibility: self.text("accessibility"),
            identifiers: identifier.into_iter().collect(),
            opening_hours: self.opening_hours()?,
            ..SiteDetails::default()
        };
        let site = CheckedSite::parse(details).map_err(by_column)?;
        Ok(ImportSite { key, site, at })
    }

    fn position(&self) -> Result<Option<GeoPosition>, InvalidField> {
        let degrees = |column: &'static str| -> Result<Option<Microdegrees>, InvalidField> {
            let Some(text) = self.text(column) else { return Ok(None) };
            let degrees = text.parse().ok().and_then(Microdegrees::from_degrees);
            degrees.map(Some).ok_or_else(|| wrong(column, "must be a number of degrees"))
        };
        match (degrees("latitude")?, degrees("longitude")?) {
            (Some(latitude), Some(longitude)) => Ok(Some(GeoPosition { latitude, longitude })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(wrong("latitude", "must be given with the longitude")),
            (Some(_), None) => Err(wrong("longitude", "must be given with the latitude")),
        }
    }

    /// `MON 09:00-12:00; MON 13:00-17:30`.
    fn opening_hours(&self) -> Result<Vec<OpeningHours>, InvalidField> {
        let text = self.text("openingHours").unwrap_or_default();
        let intervals = text.split(';').map(str::trim).filter(|text| !text.is_empty());
        let parse = |text: &str| {
            let (name, times) = text.split_once(' ')?;
            let (from, to) = times.trim().split_once('-')?;
            let (_, day) = DAYS.iter().find(|(known, _)| *known == name)?;
            let (from, to) = (MinuteOfDay::parse(from)?, MinuteOfDay::parse(to)?);
            Some(OpeningHours { day: *day, from, to })
        };
        let reason = "must be as MON 09:00-12:00; MON 13:00-17:30";
        intervals.map(|text| parse(text).ok_or_else(|| wrong("openingHours", reason))).collect()
    }
}

fn wrong(column: &str, reason: &str) -> InvalidField {
    InvalidField { field: column.to_owned(), reason: reason.to_owned() }
}

/// A wrong field of a site, by the column that it comes from.
fn by_column(InvalidField { field, reason }: InvalidField) -> InvalidField {
    let column = match field.split('[').next().unwrap_or(&field) {
        "name.ko" => "nameKo",
        "name.en" => "nameEn",
        "position.latitude" => "latitude",
        "identifiers" if field.ends_with("system") => "system",
        "identifiers" => "externalId",
        other => other.strip_prefix("address.").unwrap_or(other),
    };
    InvalidField { field: column.to_owned(), reason }
}

fn cells(Site { site_id, details }: &Site) -> [String; 15] {
    let optional = |text: &Option<String>| text.clone().unwrap_or_default();
    let identifier = details.identifiers.first();
    let degrees = |of: fn(&GeoPosition) -> Microdegrees| {
        details.position.map(|position| of(&position).degrees().to_string()).unwrap_or_default()
    };
    let hours = details.opening_hours.iter().map(|OpeningHours { day, from, to }| {
        let name = DAYS.iter().find(|(_, known)| known == day).map_or("", |(name, _)| name);
        format!("{name} {from}-{to}")
    });
    [
        site_id.to_string(),
        identifier.map(|known| known.system.clone()).unwrap_or_default(),
        identifier.map(|known| known.value.clone()).unwrap_or_default(),
        details.name.ko.clone(),
        optional(&details.name.en),
        details.address.line.clone(),
        details.address.city.clone(),
        details.address.region.clone(),
        optional(&details.address.postal_code),
        details.phone.clone(),
        details.time_zone.clone(),
        degrees(|position| position.latitude),
        degrees(|position| position.longitude),
        optional(&details.accessibility),
        hours.collect::<Vec<_>>().join("; "),
    ]
}
