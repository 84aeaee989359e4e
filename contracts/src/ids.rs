//! Ids are types, so that two of them cannot be swapped.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
        )]
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
    VaccineId(i64)
);
id!(
    /// A booking; numbered from 1 by `booking`.
    BookingId(i64)
);
id!(
    /// An appointment at the injection desk; numbered from 1 by `injection`.
    InjectionId(i64)
);
id!(
    /// The citizen a booking belongs to, as the caller names them. Never logged.
    UserId(i64)
);
id!(
    /// One attempt to take one dose: the idempotency key of the whole booking protocol.
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
