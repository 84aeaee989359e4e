//! Events of booking, injection and campaign as commands.

use contracts::{
    booking::BookingStatus,
    event::{BookingChanged, DomainEvent, InjectionCompleted, PublishedSite},
    injection::InjectionRecord,
    mypage::GivenDose,
};
use jiff::Timestamp;
use platform_events::{EventHandler, ReceivedEvent};

use crate::domain::{Command, KnownSite, RecordSite, UpdateView, View, Views};

impl EventHandler for Views {
    fn command(ReceivedEvent { event, at, source: _ }: ReceivedEvent) -> Option<Command> {
        match event {
            DomainEvent::Booked(booking) | DomainEvent::BookingMoved(booking) => {
                Some(of_booking(booking, BookingStatus::Booked, at))
            }
            DomainEvent::BookingCancelled(booking) => {
                Some(of_booking(booking, BookingStatus::BookingCancelled, at))
            }
            DomainEvent::Completed(completed) => Some(of_injection(completed, at)),
            DomainEvent::SiteChanged(site) => Some(of_site(site, at)),
            DomainEvent::Registered(_)
            | DomainEvent::SlotsPlanned(_)
            | DomainEvent::CampaignChanged(_)
            | DomainEvent::StockAdded(_)
            | DomainEvent::StockModified(_)
            | DomainEvent::ReservationAborted(_) => None,
        }
    }

    fn ineffective((): &()) -> Option<String> {
        None
    }
}

fn of_booking(event: BookingChanged, status: BookingStatus, as_of: Timestamp) -> Command {
    let reservation = event.first_reservation_id();
    let BookingChanged { reservation_id: _, previous_reservation_ids, booking } = event;
    let view = View {
        book_id: booking.booking_id,
        vaccine_id: booking.vaccine_id,
        vc_name: booking.vc_name,
        user_id: booking.user_id,
        status,
        as_of,
        moves: i64::try_from(previous_reservation_ids.len()).unwrap_or(i64::MAX),
        slot: booking.slot,
        slot_as_of: as_of,
        dose: None,
    };
    Command::UpdateView(UpdateView { reservation, view })
}

fn of_injection(event: InjectionCompleted, as_of: Timestamp) -> Command {
    let InjectionCompleted { reservation_id, first_reservation_id, injection } = event;
    let view = View {
        book_id: injection.booking_id,
        vaccine_id: injection.vaccine_id,
        vc_name: String::new(),
        user_id: injection.user_id,
        status: BookingStatus::InjectionCompleted,
        as_of,
        moves: first_reservation_id.is_some().into(),
        slot: injection.slot,
        slot_as_of: as_of,
        dose: injection.record.map(given_dose),
    };
    let reservation = first_reservation_id.unwrap_or(reservation_id);
    Command::UpdateView(UpdateView { reservation, view })
}

fn given_dose(record: InjectionRecord) -> GivenDose {
    let InjectionRecord { lot_number, body_site: _, dose_number, performer: _, occurred_at } =
        record;
    GivenDose { lot_number, dose_number, occurred_at }
}

fn of_site(PublishedSite { site_id: id, place }: PublishedSite, since: Timestamp) -> Command {
    Command::RecordSite(RecordSite { id, site: KnownSite { place, since } })
}
