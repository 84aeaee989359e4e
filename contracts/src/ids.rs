//! Ids are types, so that two of them cannot be swapped.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! id {
    ($(#[$attribute:meta])* $name:ident($inner:ty)) => {
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
        )]
        $(#[$attribute])*
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A vaccine that can be booked; numbered from 1 by `vaccine`.
    #[schema(minimum = 1)]
    VaccineId(i64)
);
id!(
    /// A booking; numbered from 1 by `booking`.
    #[schema(minimum = 1)]
    BookingId(i64)
);
id!(
    /// An appointment at the injection desk; numbered from 1 by `injection`.
    #[schema(minimum = 1)]
    InjectionId(i64)
);
id!(
    /// A vaccination site; numbered from 1 by `campaign`.
    #[schema(minimum = 1)]
    SiteId(i64)
);
id!(
    /// A campaign; numbered from 1 by `campaign`.
    #[schema(minimum = 1)]
    CampaignId(i64)
);
id!(
    /// A time at a site at which some citizens can be vaccinated; numbered from 1 by `campaign`.
    #[schema(minimum = 1)]
    SlotId(i64)
);
id!(
    /// A lot of a vaccine at a site; numbered from 1 by `vaccine`.
    LotId(i64)
);
id!(
    /// The citizen a booking belongs to, as the caller names them. Never logged.
    UserId(i64)
);
id!(
    /// A dose that is held or booked. Ids of a block of holds differ in their last 16 bits.
    ReservationId(Uuid)
);
id!(
    /// The booking store on whose behalf doses are held, and the source of its events.
    StoreId(Uuid)
);
id!(
    /// A queued request for a booking, given by `booking`.
    TicketId(Uuid)
);

/// The ids of a block of holds, within the last 16 bits of a [`ReservationId`].
const BLOCK_MASK: u128 = 0xffff;

impl ReservationId {
    /// The reservation after so many others of its block; none, if a block has not so many.
    #[must_use]
    pub fn nth(self, n: u32) -> Option<Self> {
        let id = self.0.as_u128();
        let is_within = (id & BLOCK_MASK) + u128::from(n) <= BLOCK_MASK;
        is_within.then(|| Self(Uuid::from_u128(id + u128::from(n))))
    }

    /// How many reservations it comes after another one; none, if they cannot be of one block.
    #[must_use]
    pub fn offset_from(self, first: Self) -> Option<u32> {
        let [id, first] = [self, first].map(|it| it.0.as_u128());
        let is_same = id & !BLOCK_MASK == first & !BLOCK_MASK;
        is_same
            .then(|| id.checked_sub(first))
            .flatten()
            .and_then(|offset| u32::try_from(offset).ok())
    }

    /// The lowest and the highest id that a block with this reservation can have.
    #[must_use]
    pub fn block_range(self) -> [Self; 2] {
        let id = self.0.as_u128();
        [id & !BLOCK_MASK, id | BLOCK_MASK].map(|id| Self(Uuid::from_u128(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reservation(id: u128) -> ReservationId {
        ReservationId(Uuid::from_u128(id))
    }

    #[test]
    fn the_ids_of_a_block_differ_in_their_last_16_bits() {
        let first = reservation(0x0007_fffe);
        assert_eq!(first.nth(1), Some(reservation(0x0007_ffff)));
        assert_eq!(first.nth(2), None, "it would be of another block");
        assert_eq!(reservation(0x0007_ffff).offset_from(first), Some(1));
        assert_eq!(reservation(0x0007_fffd).offset_from(first), None, "it comes before");
        assert_eq!(reservation(0x0008_ffff).offset_from(first), None);
        assert_eq!(first.block_range(), [reservation(0x0007_0000), reservation(0x0007_ffff)]);
    }
}
