//! What is checked once, at the edge: sites, campaigns and the texts of status changes.

use std::{cmp::Ordering, fmt};

use contracts::campaign::{
    Address, BOOKINGS_PER_PERSON_MAX, CampaignDetails, CampaignSite, DayOfWeek, HoursException,
    LocalizedName, OpenInterval, OpeningHours, SiteDetails, SitePlace,
};
use jiff::{
    Timestamp,
    civil::Date,
    tz::{TimeZone, TimeZoneDatabase},
};
use thiserror::Error;

/// The longest name, city, and part of an identifier, in characters.
pub const NAME_MAX: usize = 100;
/// The longest first line of an address, and note of an exception, in characters.
pub const LINE_MAX: usize = 200;
/// The longest postal code, in characters.
pub const POSTAL_CODE_MAX: usize = 16;
/// The longest text on accessibility, and reason of a change, in characters.
pub const TEXT_MAX: usize = 500;
/// The length of a phone number, in characters.
pub const PHONE_LENGTH: [usize; 2] = [3, 32];
/// Identifiers of a site.
pub const IDENTIFIERS_MAX: usize = 8;
/// Opening hours of a week: three intervals a day.
pub const OPENING_HOURS_MAX: usize = 21;
/// Exceptions of a site.
pub const EXCEPTIONS_MAX: usize = 400;
/// Intervals of an exception.
pub const INTERVALS_MAX: usize = 8;
/// Vaccines of a campaign.
pub const VACCINES_MAX: usize = 16;
/// Days of a campaign.
pub const DAYS_MAX: i32 = 92;
/// The length of a slot, in minutes.
pub const SLOT_MINUTES: [u16; 2] = [5, 240];
/// People in a slot.
pub const CAPACITY_MAX: u32 = 10_000;
/// Sites of a campaign.
pub const SITES_MAX: usize = 2_000;
/// The share that can be held back, in percent.
pub const HELD_BACK_PERCENT_MAX: u8 = 90;

/// Campaigns of a site that are scheduled, open or paused: a change of one of its dates plans all of them in one
/// commit.
pub const ACTIVE_CAMPAIGNS_MAX: usize = 8;

/// A field that is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct InvalidField {
    /// Its path: `openingHours[2].to`.
    pub field: String,
    /// Why.
    pub reason: String,
}

type Checked<T = ()> = Result<T, InvalidField>;

fn wrong<T>(field: impl Into<String>, reason: impl Into<String>) -> Checked<T> {
    Err(InvalidField { field: field.into(), reason: reason.into() })
}

/// A site that was checked, with its time zone. Its hours are in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedSite {
    details: SiteDetails,
    zone: TimeZone,
}

impl CheckedSite {
    /// The site, if every field is valid.
    pub fn parse(mut details: SiteDetails) -> Result<Self, InvalidField> {
        check_name("name", &details.name)?;
        check_address(&details.address)?;
        check_phone(&details.phone)?;
        let zone = zone(&details.time_zone)?;
        if let Some(position) = details.position
            && position.latitude.degrees().abs() > 90.0
        {
            return wrong("position.latitude", "must be from -90 to 90");
        }
        details.accessibility = details.accessibility.filter(|text| !text.is_empty());
        if let Some(text) = &details.accessibility {
            check_text("accessibility", text, [1, TEXT_MAX])?;
        }
        check_count("identifiers", details.identifiers.len(), [0, IDENTIFIERS_MAX])?;
        for (index, identifier) in details.identifiers.iter().enumerate() {
            let field = |name| format!("identifiers[{index}].{name}");
            check_text(&field("system"), &identifier.system, [1, NAME_MAX])?;
            check_text(&field("value"), &identifier.value, [1, NAME_MAX])?;
        }
        sort_distinct("identifiers", &mut details.identifiers, Ord::cmp, "identifier")?;
        let hours = &mut details.opening_hours;
        sort_hours("openingHours", hours, OPENING_HOURS_MAX, |it| (Some(it.day), interval(*it)))?;
        check_exceptions(&mut details.exceptions)?;
        Ok(Self { details, zone })
    }

    /// What it is.
    pub fn details(&self) -> &SiteDetails {
        &self.details
    }

    /// What its visitors have to know.
    pub fn place(&self) -> SitePlace {
        SitePlace {
            name: self.details.name.clone(),
            address: self.details.address.clone(),
            phone: self.details.phone.clone(),
            time_zone: self.details.time_zone.clone(),
            position: self.details.position,
            accessibility: self.details.accessibility.clone(),
        }
    }

    /// Its time zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// When it is open on a date, in order.
    pub fn open_on(&self, date: Date) -> Vec<OpenInterval> {
        if let Some(exception) = self.exception(date) {
            return exception.hours.clone();
        }
        let day = day_of_week(date);
        let hours = self.details.opening_hours.iter().filter(|hours| hours.day == day);
        hours.copied().map(interval).collect()
    }

    /// The exception of a date.
    pub fn exception(&self, date: Date) -> Option<&HoursException> {
        let index = self.details.exceptions.binary_search_by_key(&date, |known| known.date);
        self.details.exceptions.get(index.ok()?)
    }

    /// The site with this exception instead of that of the same date, or without one.
    pub fn with_exception(
        &self,
        date: Date,
        exception: Option<CheckedException>,
    ) -> Result<Self, InvalidField> {
        let mut details = self.details.clone();
        details.exceptions.retain(|known| known.date != date);
        details.exceptions.extend(exception.map(|CheckedException(exception)| exception));
        Self::parse(details)
    }
}

/// An exception that was checked. Its hours are in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedException(HoursException);

impl CheckedException {
    /// The exception, if every field is valid.
    pub fn parse(mut exception: HoursException) -> Result<Self, InvalidField> {
        check_exception("", &mut exception)?;
        Ok(Self(exception))
    }
}

/// A campaign that was checked. Its vaccines and sites are in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedCampaign {
    details: CampaignDetails,
    sites: Vec<CampaignSite>,
}

impl CheckedCampaign {
    /// The campaign, if every field is valid.
    pub fn parse(mut details: CampaignDetails) -> Result<Self, InvalidField> {
        check_name("name", &details.name)?;
        check_count("vaccineIds", details.vaccine_ids.len(), [1, VACCINES_MAX])?;
        if details.vaccine_ids.iter().any(|id| id.0 < 1) {
            return wrong("vaccineIds", "must be numbers from 1");
        }
        sort_distinct("vaccineIds", &mut details.vaccine_ids, Ord::cmp, "vaccine")?;
        check_period(details.from, details.to)?;
        check_range("slotMinutes", details.slot_minutes, SLOT_MINUTES)?;
        check_range("capacity", details.capacity, [1, CAPACITY_MAX])?;
        check_range("heldBackPercent", details.held_back_percent, [0, HELD_BACK_PERCENT_MAX])?;
        let bookings = [1, BOOKINGS_PER_PERSON_MAX];
        check_range("bookingsPerPerson", details.bookings_per_person, bookings)?;
        check_instant("bookFrom", details.book_from)?;
        check_instant("bookUntil", details.book_until)?;
        if let (Some(from), Some(until)) = (details.book_from, details.book_until)
            && from >= until
        {
            return wrong("bookUntil", "must be after bookFrom");
        }
        let mut sites = std::mem::take(&mut details.sites);
        check_sites(&mut sites)?;
        Ok(Self { details, sites })
    }

    /// What it is, but for its sites.
    pub fn details(&self) -> &CampaignDetails {
        &self.details
    }

    /// Where it is.
    pub fn sites(&self) -> &[CampaignSite] {
        &self.sites
    }
}

/// Text of so many characters.
pub fn check_text(field: &str, text: &str, [min, max]: [usize; 2]) -> Result<(), InvalidField> {
    let length = text.chars().count();
    let is_blank = min > 0 && text.trim().is_empty();
    if is_blank || !(min..=max).contains(&length) || text.chars().any(char::is_control) {
        let reason = format!("must be {min} to {max} characters, none of them control characters");
        return wrong(field, reason);
    }
    Ok(())
}

fn check_count(field: &str, count: usize, range: [usize; 2]) -> Checked {
    let [min, max] = range;
    if (min..=max).contains(&count) {
        return Ok(());
    }
    wrong(field, format!("must have {min} to {max} items"))
}

fn check_range<T: Copy + PartialOrd + fmt::Display>(
    field: &str,
    value: T,
    range: [T; 2],
) -> Checked {
    let [min, max] = range;
    if (min..=max).contains(&value) {
        return Ok(());
    }
    wrong(field, format!("must be from {min} to {max}"))
}

fn check_name(field: &str, LocalizedName { ko, en }: &LocalizedName) -> Checked {
    check_text(&format!("{field}.ko"), ko, [1, NAME_MAX])?;
    let en = en.iter().map(|en| check_text(&format!("{field}.en"), en, [1, NAME_MAX]));
    en.collect()
}

fn check_address(Address { line, city, region, postal_code }: &Address) -> Checked {
    check_text("address.line", line, [1, LINE_MAX])?;
    check_text("address.city", city, [1, NAME_MAX])?;
    if let Some(code) = postal_code {
        check_text("address.postalCode", code, [1, POSTAL_CODE_MAX])?;
    }
    let is_region = region.split_once('-').is_some_and(|(country, part)| {
        let is_country =
            country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
        let is_part = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        is_country && (1..=3).contains(&part.len()) && part.bytes().all(is_part)
    });
    if is_region { Ok(()) } else { wrong("address.region", "must be of ISO 3166-2, as KR-11") }
}

fn check_phone(phone: &str) -> Checked {
    let [min, max] = PHONE_LENGTH;
    let (first, others) = (phone.strip_prefix('+').unwrap_or(phone), "0123456789 ()-");
    let is_phone = first.chars().all(|char| others.contains(char))
        && first.bytes().any(|byte| byte.is_ascii_digit());
    if is_phone && (min..=max).contains(&phone.len()) {
        return Ok(());
    }
    wrong("phone", format!("must be {min} to {max} digits, spaces, or one of +-()"))
}

/// From the database within this program, so that every machine knows the same zones.
fn zone(name: &str) -> Checked<TimeZone> {
    match TimeZoneDatabase::bundled().get(name) {
        // Names are found in any case, and kept as they are spelled in the database.
        Ok(zone) if zone.iana_name() == Some(name) => Ok(zone),
        Ok(_) | Err(_) => wrong("timeZone", "must be the IANA name of a time zone, as Asia/Seoul"),
    }
}

/// Sorts items of which no two may be the same.
fn sort_distinct<T>(
    field: &str,
    items: &mut [T],
    compare: impl Fn(&T, &T) -> Ordering,
    what: &str,
) -> Checked {
    items.sort_unstable_by(&compare);
    if items.windows(2).any(|pair| compare(&pair[0], &pair[1]).is_eq()) {
        return wrong(field, format!("must not have the same {what} twice"));
    }
    Ok(())
}

/// Sorts hours that may not overlap; `of` says on which day of the week each is, if it matters, and when.
fn sort_hours<T: Ord>(
    field: &str,
    hours: &mut [T],
    max: usize,
    of: impl Fn(&T) -> (Option<DayOfWeek>, OpenInterval),
) -> Checked {
    check_count(field, hours.len(), [0, max])?;
    let ends_too_early = |it: &T| {
        let (_, OpenInterval { from, to }) = of(it);
        from >= to
    };
    if let Some(index) = hours.iter().position(ends_too_early) {
        return wrong(format!("{field}[{index}].to"), "must be after from");
    }
    hours.sort_unstable();
    let overlap = |pair: &[T]| {
        let [(day, first), (other, next)] = [of(&pair[0]), of(&pair[1])];
        day == other && first.to > next.from
    };
    if hours.windows(2).any(overlap) {
        return wrong(field, "must not overlap");
    }
    Ok(())
}

fn interval(OpeningHours { day: _, from, to }: OpeningHours) -> OpenInterval {
    OpenInterval { from, to }
}

fn check_exceptions(exceptions: &mut [HoursException]) -> Checked {
    check_count("exceptions", exceptions.len(), [0, EXCEPTIONS_MAX])?;
    for (index, exception) in exceptions.iter_mut().enumerate() {
        check_exception(&format!("exceptions[{index}]."), exception)?;
    }
    sort_distinct("exceptions", exceptions, |one, other| one.date.cmp(&other.date), "date")
}

fn check_exception(
    path: &str,
    HoursException { date, hours, note }: &mut HoursException,
) -> Checked {
    check_date(&format!("{path}date"), *date)?;
    sort_hours(&format!("{path}hours"), hours, INTERVALS_MAX, |it| (None, *it))?;
    let note = note.iter().map(|note| check_text(&format!("{path}note"), note, [1, LINE_MAX]));
    note.collect()
}

/// A date from 2000 to 2999.
pub fn check_date(field: &str, date: Date) -> Result<(), InvalidField> {
    if (2000..=2999).contains(&date.year()) {
        return Ok(());
    }
    wrong(field, "must be from 2000-01-01 to 2999-12-31")
}

fn check_instant(field: &str, instant: Option<Timestamp>) -> Checked {
    let date = instant.map(|instant| TimeZone::UTC.to_datetime(instant).date());
    date.map_or(Ok(()), |date| check_date(field, date))
}

fn check_period(from: Date, to: Date) -> Checked {
    check_date("from", from)?;
    check_date("to", to)?;
    let days = day_count(from, to);
    if days < 1 {
        return wrong("to", "must not be before from");
    }
    if days > DAYS_MAX {
        return wrong("to", format!("must be at most {DAYS_MAX} days, both ends included"));
    }
    Ok(())
}

/// Days from one date to another, both included; below 1 if the second is earlier.
pub fn day_count(from: Date, to: Date) -> i32 {
    (to - from).get_days() + 1
}

fn check_sites(sites: &mut [CampaignSite]) -> Checked {
    check_count("sites", sites.len(), [0, SITES_MAX])?;
    for (index, CampaignSite { site_id, capacity }) in sites.iter().enumerate() {
        if site_id.0 < 1 {
            return wrong(format!("sites[{index}].siteId"), "must be a number from 1");
        }
        if let Some(capacity) = capacity {
            check_range(&format!("sites[{index}].capacity"), *capacity, [1, CAPACITY_MAX])?;
        }
    }
    sort_distinct("sites", sites, |one, other| one.site_id.cmp(&other.site_id), "site")
}

fn day_of_week(date: Date) -> DayOfWeek {
    use jiff::civil::Weekday;
    match date.weekday() {
        Weekday::Monday => DayOfWeek::Mon,
        Weekday::Tuesday => DayOfWeek::Tue,
        Weekday::Wednesday => DayOfWeek::Wed,
        Weekday::Thursday => DayOfWeek::Thu,
        Weekday::Friday => DayOfWeek::Fri,
        Weekday::Saturday => DayOfWeek::Sat,
        Weekday::Sunday => DayOfWeek::Sun,
    }
}
