//! How events become what a citizen sees. No async, no I/O, no clock, no randomness.
//!
//! Booking and injection publish independently, so their events arrive in any order. A status only moves
//! forward, and counts from the first event with it:
//!
//! ```text
//! booked ──► cancelled ──► completed
//! ```
//!
//! (A used dose is used, whatever was published before.) The slot is that of the event with the most moves, until the
//! dose was used: then it is the slot of that dose, also if the booking was moved meanwhile. So any order and any
//! repetition of the events results in the same view.
//!
//! Where a site is, `campaign` publishes.

mod site;
mod view;

use contracts::ids::{ReservationId, SiteId};
use platform_store::ChangeSet;

pub use self::{
    site::KnownSite,
    view::{PlacedView, View},
};

/// Every command: what one event says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// About a booking.
    UpdateView(UpdateView),
    /// About a site.
    RecordSite(RecordSite),
}

/// Updates the view of a booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateView {
    /// The reservation that the booking was made with: what it is recognised by.
    pub reservation: ReservationId,
    /// The booking as far as that event describes it; an injection does not name the vaccine.
    pub view: View,
}

/// Records where a site is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSite {
    /// The site.
    pub id: SiteId,
    /// Where it is.
    pub site: KnownSite,
}

/// A view under the number that orders lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedView {
    /// Its number, in the order in which views were created.
    pub number: i64,
    /// The view.
    pub view: View,
}

/// The views and sites that a batch of events names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Views {
    /// Known views.
    pub views: ChangeSet<ReservationId, NumberedView>,
    /// Known sites.
    pub sites: ChangeSet<SiteId, KnownSite>,
    /// The highest number ever given.
    pub last_number: i64,
}

impl Views {
    /// The view of a booking.
    pub fn get(&self, reservation: &ReservationId) -> Option<&View> {
        self.views.get(reservation).map(|numbered| &numbered.view)
    }

    fn add(&mut self, reservation: ReservationId, view: View) {
        self.last_number += 1;
        self.views.insert(reservation, NumberedView { number: self.last_number, view });
    }

    fn update_view(&mut self, UpdateView { reservation, view }: &UpdateView) {
        let Some(known) = self.get(reservation) else {
            return self.add(*reservation, view.clone());
        };
        let folded = known.with(view);
        if folded != *known
            && let Some(known) = self.views.get_mut(reservation)
        {
            known.view = folded;
        }
    }

    /// A dead letter may be applied after a later event.
    fn record_site(&mut self, RecordSite { id, site }: &RecordSite) {
        let known = self.sites.get(id);
        if known.is_none_or(|known| known != site && known.since <= site.since) {
            self.sites.insert(*id, site.clone());
        }
    }
}

/// Folds one event into its view, or its site.
pub fn fold(views: &mut Views, command: &Command) {
    match command {
        Command::UpdateView(update) => views.update_view(update),
        Command::RecordSite(record) => views.record_site(record),
    }
}
