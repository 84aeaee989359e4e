//! A booking as an iCalendar object (RFC 5545), which a citizen puts into their calendar.

mod lines;

use contracts::{
    booking::{BookedSlot, BookingStatus},
    campaign::{Address, GeoPosition, LocalizedName, SitePlace},
};
use jiff::{SignedDuration, Timestamp, ZonedDateTime};

pub use self::lines::LINE_MAX;
use self::lines::{Lines, Text};
use crate::domain::PlacedView;

/// The media type of a calendar.
pub const MEDIA_TYPE: &str = "text/calendar";

/// How long the entry of a booking is: events of booking do not say how long a slot is.
pub const VISIT_DURATION: SignedDuration = SignedDuration::from_mins(30);

/// The languages of a calendar, by their tags; the first one for whom no other is preferred.
pub const LANGUAGES: [&str; 2] = ["ko", ENGLISH];

const ENGLISH: &str = "en";

/// What follows the number of a booking in its `UID`. It must never change, or calendars show a booking twice.
const UID_SUFFIX: &str = "bookings.anticorona";

/// A moment in UTC.
const UTC: &str = "%Y%m%dT%H%M%SZ";

/// A moment at a site, for people.
const LOCAL_TIME: &str = "%Y-%m-%d %H:%M (%Q, UTC%:z)";

/// The calendar with a booking, in one of [`LANGUAGES`]; none if it has no slot.
pub fn calendar(booking: &PlacedView, language: &str) -> Option<String> {
    let entry = Entry { booking, slot: booking.view.slot?, is_english: language == ENGLISH };
    let mut lines = Lines::default();
    lines.add("BEGIN", "VCALENDAR");
    lines.add("VERSION", "2.0");
    lines.add("PRODID", "-//anticorona//mypage//EN");
    lines.add("BEGIN", "VEVENT");
    entry.write(&mut lines);
    lines.add("END", "VEVENT");
    lines.add("END", "VCALENDAR");
    Some(lines.into_text())
}

/// The entry of a booking.
struct Entry<'a> {
    booking: &'a PlacedView,
    slot: BookedSlot,
    is_english: bool,
}

impl Entry<'_> {
    fn write(&self, lines: &mut Lines) {
        let (view, starts_at) = (&self.booking.view, self.slot.starts_at);
        let ends_at = starts_at.checked_add(VISIT_DURATION).unwrap_or(starts_at);
        lines.add("UID", format_args!("{}@{UID_SUFFIX}", view.book_id));
        lines.add("DTSTAMP", self.changed_at().strftime(UTC));
        lines.add("SEQUENCE", view.revision());
        lines.add("DTSTART", starts_at.strftime(UTC));
        lines.add("DTEND", ends_at.strftime(UTC));
        lines.add("SUMMARY", Text(&self.summary()));
        lines.add("STATUS", status(view.status));
        // What a calendar that is shared shows to others.
        lines.add("CLASS", "PRIVATE");
        if let Some(site) = &self.booking.site {
            self.write_place(&site.place, lines);
        }
    }

    fn write_place(&self, place: &SitePlace, lines: &mut Lines) {
        lines.add("LOCATION", Text(&self.location(place)));
        if let Some(GeoPosition { latitude, longitude }) = place.position {
            let (latitude, longitude) = (latitude.degrees(), longitude.degrees());
            lines.add("GEO", format_args!("{latitude:.6};{longitude:.6}"));
        }
        lines.add("DESCRIPTION", Text(&self.description(place, self.booking.local_start())));
    }

    /// When the booking, its slot or its site changed last. Of two entries with the same `SEQUENCE` the later one counts
    /// (RFC 5546, section 2.1.5).
    fn changed_at(&self) -> Timestamp {
        let view = &self.booking.view;
        let site = self.booking.site.as_ref().map(|site| site.since);
        view.as_of.max(view.slot_as_of).max(site.unwrap_or(Timestamp::MIN))
    }

    fn summary(&self) -> String {
        let title = self.text(["백신 접종", "Vaccination"]);
        match self.booking.view.vc_name.as_str() {
            "" => title.to_owned(),
            name => format!("{title}: {name}"),
        }
    }

    fn location(&self, SitePlace { name, address, .. }: &SitePlace) -> String {
        let LocalizedName { ko, en } = name;
        let name = en.as_ref().filter(|_| self.is_english).unwrap_or(ko);
        let Address { line, city, postal_code, region: _ } = address;
        let code = postal_code.as_ref().map_or(String::new(), |code| format!(" {code}"));
        format!("{name}, {line}, {city}{code}")
    }

    fn description(&self, place: &SitePlace, starts_at: Option<ZonedDateTime>) -> String {
        let starts_at = starts_at.map(|at| at.strftime(LOCAL_TIME).to_string());
        let lines = [
            (["시간", "Time"], starts_at.as_ref()),
            (["전화", "Phone"], Some(&place.phone)),
            (["접근성", "Accessibility"], place.accessibility.as_ref()),
        ];
        let line = |(label, text)| Some(format!("{}: {}", self.text(label), text?));
        lines.into_iter().filter_map(line).collect::<Vec<_>>().join("\n")
    }

    fn text(&self, [korean, english]: [&'static str; 2]) -> &'static str {
        if self.is_english { english } else { korean }
    }
}

fn status(status: BookingStatus) -> &'static str {
    match status {
        BookingStatus::Booked | BookingStatus::InjectionCompleted => "CONFIRMED",
        BookingStatus::BookingCancelled => "CANCELLED",
    }
}
