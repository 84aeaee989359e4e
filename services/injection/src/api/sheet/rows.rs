//! Rows of a day sheet.

use contracts::{
    ids::InjectionId,
    injection::{BodySite, InjectionRecord},
};
use platform_rest::csv::Cells;
use serde::{
    Deserialize, Serialize,
    de::{IntoDeserializer, value::Error},
};

use crate::domain::{Appointment, CheckedRecord, GivenRecord, InvalidRecord, Refusal, SheetRowId};

/// Those of the record come last; the others identify the appointment.
pub(super) const COLUMNS: [&str; 12] = [
    "rowId",
    "injectionId",
    "bookingId",
    "userId",
    "vaccineId",
    "startsAt",
    "status",
    "lotNumber",
    "bodySite",
    "doseNumber",
    "performer",
    "occurredAt",
];

/// A cell that is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WrongCell {
    /// Its column.
    pub(super) column: &'static str,
    /// Why.
    pub(super) reason: String,
}

fn wrong(column: &'static str, reason: impl Into<String>) -> WrongCell {
    WrongCell { column, reason: reason.into() }
}

impl From<InvalidRecord> for WrongCell {
    fn from(InvalidRecord { field, reason }: InvalidRecord) -> Self {
        wrong(field, reason)
    }
}

/// The cell that a refusal is about.
impl From<Refusal> for WrongCell {
    fn from(refusal: Refusal) -> Self {
        let column = match refusal {
            Refusal::NoSuchInjection => "injectionId",
            Refusal::OccurredLater | Refusal::OccurredTooEarly => "occurredAt",
            Refusal::AlreadyCompleted
            | Refusal::Cancelled
            | Refusal::CheckedIn
            | Refusal::NoShow
            | Refusal::NoSlot
            | Refusal::NotStarted
            | Refusal::DayOver => "status",
        };
        wrong(column, refusal.to_string())
    }
}

/// The row of an appointment.
pub(super) fn cells(appointment: &Appointment) -> [String; 12] {
    let Appointment { id, booked, status, record, .. } = appointment;
    let starts_at = booked.slot.map(|slot| slot.starts_at.to_string());
    let [lot_number, body_site, dose_number, performer, occurred_at] =
        record.as_ref().map(record_cells).unwrap_or_default();
    [
        SheetRowId::of(booked).0.to_string(),
        id.to_string(),
        booked.booking.to_string(),
        booked.user.to_string(),
        booked.vaccine.to_string(),
        starts_at.unwrap_or_default(),
        name(status),
        lot_number,
        body_site,
        dose_number,
        performer,
        occurred_at,
    ]
}

fn record_cells(record: &InjectionRecord) -> [String; 5] {
    [
        record.lot_number.clone().unwrap_or_default(),
        record.body_site.as_ref().map(name).unwrap_or_default(),
        record.dose_number.map(|number| number.to_string()).unwrap_or_default(),
        record.performer.clone().unwrap_or_default(),
        record.occurred_at.to_string(),
    ]
}

/// A value of an enumeration, as it is named in JSON.
fn name(value: &impl Serialize) -> String {
    let name = serde_json::to_value(value).unwrap_or_default();
    name.as_str().unwrap_or_default().to_owned()
}

/// The number of the appointment that a row names, if it can be read.
pub(super) fn injection(cells: &Cells) -> Option<InjectionId> {
    cells.text("injectionId")?.trim().parse().ok().map(InjectionId)
}

/// A row that was filled in, or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SheetEntry {
    row: SheetRowId,
    pub(super) injection: InjectionId,
    /// What else says whom it is about: by column, where the cell is not empty.
    named: Vec<(&'static str, i64)>,
    /// None, if nothing of it is filled in.
    pub(super) record: Option<CheckedRecord>,
}

impl SheetEntry {
    pub(super) fn parse(cells: &Cells) -> Result<Self, WrongCell> {
        let row = cells.text("rowId").and_then(|text| text.trim().parse().ok()).map(SheetRowId);
        let named = ["bookingId", "userId", "vaccineId"].into_iter();
        let named = named.filter_map(|column| Some(whole(column, cells.text(column)?)));
        Ok(Self {
            row: row.ok_or_else(|| wrong("rowId", "must be the rowId of the downloaded sheet"))?,
            injection: injection(cells)
                .ok_or_else(|| wrong("injectionId", "must be the number of an injection"))?,
            named: named.collect::<Result<_, _>>()?,
            record: CheckedRecord::parse(given_record(cells)?)?,
        })
    }

    /// Whether the row is that of its appointment: rows of a sheet may have been moved, or cells between them.
    pub(super) fn check(&self, known: Option<&Appointment>) -> Result<(), WrongCell> {
        let Appointment { booked, .. } = known.ok_or(Refusal::NoSuchInjection)?;
        if SheetRowId::of(booked) != self.row {
            return Err(wrong("rowId", "is that of another appointment"));
        }
        for (column, number) in &self.named {
            let expected = match *column {
                "bookingId" => booked.booking.0,
                "userId" => booked.user.0,
                _ => booked.vaccine.0,
            };
            if *number != expected {
                return Err(wrong(column, "is that of another appointment"));
            }
        }
        Ok(())
    }
}

fn whole(column: &'static str, text: &str) -> Result<(&'static str, i64), WrongCell> {
    let number = text.trim().parse().map_err(|_| wrong(column, "must be a whole number"))?;
    Ok((column, number))
}

fn given_record(cells: &Cells) -> Result<GivenRecord, WrongCell> {
    let text = |column| cells.text(column).map(str::to_owned);
    let body_site = cells.text("bodySite").map(|text| body_site(text.trim())).transpose()?;
    let dose_number = cells.text("doseNumber").map(|text| whole("doseNumber", text)).transpose()?;
    let occurred_at = cells.text("occurredAt").map(|text| {
        let time = text.trim().parse();
        time.map_err(|_| wrong("occurredAt", "must be a time, as 2026-12-01T10:30:00+09:00"))
    });
    Ok(GivenRecord {
        lot_number: text("lotNumber"),
        body_site,
        dose_number: dose_number.map(|(_, number)| number),
        performer: text("performer"),
        occurred_at: occurred_at.transpose()?,
    })
}

fn body_site(text: &str) -> Result<BodySite, WrongCell> {
    let site = BodySite::deserialize(text.into_deserializer());
    site.map_err(|cause: Error| wrong("bodySite", cause.to_string()))
}
