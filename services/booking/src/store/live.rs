//! The live bookings of persons as rows.

use std::collections::BTreeSet;

use contracts::ids::{BookingId, CampaignId, UserId};
use platform_store::{Row, RowChange, SqlError, Tx, Value};

use super::rows::small;
use crate::domain::{
    Bookings, CampaignDose, Command, CreateBooking, FIRST_DOSE, HeldSlot, MoveBooking, SECOND_DOSE,
    candidates,
    tickets::{Answer, ServeTicket},
};

const LOAD_LIVE: &str = "
    SELECT user_id, campaign, dose, nth, booking
      FROM live_bookings
     WHERE user_id = ?1
       AND campaign = ?2
       AND dose = ?3
       AND nth = ?4";

const INSERT_LIVE: &str = "
    INSERT INTO live_bookings (user_id, campaign, dose, nth, booking)
         VALUES (?1, ?2, ?3, ?4, ?5)";

const UPDATE_LIVE: &str = "
    UPDATE live_bookings
       SET booking = ?5
     WHERE user_id = ?1
       AND campaign = ?2
       AND dose = ?3
       AND nth = ?4";

const DELETE_LIVE: &str = "
    DELETE FROM live_bookings
     WHERE user_id = ?1
       AND campaign = ?2
       AND dose = ?3
       AND nth = ?4";

/// Loads those of the persons that these commands name, whose bookings and tickets are loaded.
pub(super) fn load(
    tx: &Tx<'_>,
    bookings: &mut Bookings,
    commands: &[&Command],
) -> Result<(), SqlError> {
    let of_commands = commands.iter().flat_map(|command| slots_for(bookings, command));
    let of_commands = of_commands.flat_map(|(user, (slot, dose))| {
        candidates(slot, dose).map(move |counts_as| (user, counts_as))
    });
    let known = bookings.bookings.iter();
    let of_bookings = known.filter_map(|(_, it)| Some((it.booking.user_id, it.campaign_dose?)));
    let keys: BTreeSet<_> = of_commands.chain(of_bookings).collect();
    let keys: Vec<_> = keys.into_iter().map(|(user, dose)| values(user, dose)).collect();
    for (key, booking) in tx.find_each(LOAD_LIVE, &keys, live)?.into_iter().flatten() {
        bookings.live.load(key, booking);
    }
    Ok(())
}

/// The slots that a command gives to a person, and for which dose.
fn slots_for(
    bookings: &Bookings,
    command: &Command,
) -> impl Iterator<Item = (UserId, (HeldSlot, u8))> {
    let given = match command {
        Command::Create(CreateBooking { attempt, dose, .. }) => {
            Some((attempt.user, FIRST_DOSE, dose))
        }
        Command::Move(MoveBooking { booking, dose, .. }) => {
            let known = bookings.bookings.get(booking);
            known.map(|it| (it.booking.user_id, it.dose_number(), dose))
        }
        Command::Serve(ServeTicket { ticket, answer: Answer::Held(dose), .. }) => {
            bookings.tickets.get(ticket).map(|ticket| (ticket.user, FIRST_DOSE, dose))
        }
        Command::Cancel(_)
        | Command::Resolve(_)
        | Command::Abort(_)
        | Command::Complete(_)
        | Command::Enqueue(_)
        | Command::Serve(_) => None,
    };
    given.into_iter().flat_map(|(user, number, dose)| {
        let first = dose.slot.map(|slot| (slot, number));
        let second = dose.next.as_ref().map(|next| (next.slot, SECOND_DOSE));
        first.into_iter().chain(second).map(move |slot| (user, slot))
    })
}

/// Saves those that were changed.
pub(super) fn save(tx: &Tx<'_>, bookings: &Bookings) -> Result<(), SqlError> {
    let (mut inserted, mut updated, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    for ((user, dose), booking, change) in bookings.live.changes() {
        let key = values(*user, *dose);
        let [user, campaign, dose, nth] = key;
        let row = [user, campaign, dose, nth, booking.0.into()];
        match change {
            RowChange::Inserted => inserted.push(row),
            RowChange::Updated => updated.push(row),
            RowChange::Deleted => deleted.push(key),
        }
    }
    tx.execute_each(DELETE_LIVE, &deleted)?;
    tx.execute_each(INSERT_LIVE, &inserted)?;
    tx.execute_each(UPDATE_LIVE, &updated)
}

fn values(user: UserId, dose: CampaignDose) -> [Value<'static>; 4] {
    let CampaignDose { campaign, dose, nth } = dose;
    [user.0.into(), campaign.0.into(), i64::from(dose).into(), i64::from(nth).into()]
}

fn live(row: &Row<'_>) -> Result<((UserId, CampaignDose), BookingId), SqlError> {
    let campaign = CampaignId(row.int(1)?);
    let dose = CampaignDose { campaign, dose: small(row, 2)?, nth: small(row, 3)? };
    Ok(((UserId(row.int(0)?), dose), BookingId(row.int(4)?)))
}
