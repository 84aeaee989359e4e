//! What a repeated request is recognised by.

use contracts::ids::{StoreId, UserId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::domain::{AttemptId, Fingerprint};

/// An `Idempotency-Key` and the request that it came with.
#[derive(Clone, Debug)]
pub struct IdempotencyKey {
    /// The key.
    pub key: String,
    /// The fingerprint of the request.
    pub fingerprint: Fingerprint,
    /// Whether the client prefers a ticket to waiting for the booking.
    pub wants_ticket: bool,
}

/// The attempt of a key. It depends on the store, so that nobody else can derive it: it is the id of the ticket too;
/// and on the user: the same key of another user is another request.
pub(super) fn attempt_id(owner: StoreId, user: UserId, key: &str) -> AttemptId {
    let digest = Sha256::new()
        .chain_update(owner.0.as_bytes())
        .chain_update(user.0.to_be_bytes())
        .chain_update(key)
        .finalize();
    AttemptId(Uuid::new_v8(first_16(&digest)))
}

impl Fingerprint {
    /// The fingerprint of a request, given as bytes that differ when the request does.
    pub fn of(request: &[u8]) -> Self {
        Self(first_16(&Sha256::digest(request)))
    }
}

fn first_16(digest: &[u8]) -> [u8; 16] {
    let mut first = [0; 16];
    first.iter_mut().zip(digest).for_each(|(to, from)| *to = *from);
    first
}
