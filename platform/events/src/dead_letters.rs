//! Handling dead letters: an operator retries one, once its cause is mended, or dismisses it.

use std::time::Instant;

use contracts::ids::StoreId;
use platform_store::{
    CommandError, Commands, DeadLetter, DeadLetterChange, DeadLetterId, DeadLetterState, Dismissal,
    Event, WriteError,
};
use thiserror::Error;
use tracing::{error, info, warn};

use crate::{
    envelope::{decode, envelope},
    handler::{EventHandler, ReceivedEvent},
};

/// Why a dead letter was not retried or not dismissed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DeadLetterError {
    /// There is none.
    #[error("there is no such dead letter: it was applied, or the event was never dead-lettered")]
    Absent,
    /// It is not applied any more.
    #[error("it was dismissed")]
    Dismissed,
    /// The event could still not be applied, for this reason. It stays a dead letter.
    #[error("{0}")]
    Kept(String),
    /// The store cannot commit now.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Applies the event of an open dead letter, and deletes it in the same commit. If the event can still not be
/// applied, the dead letter stays, with the new reason.
pub(crate) async fn retry<A: EventHandler>(
    commands: &Commands<A>,
    letter: DeadLetter,
    deadline: Instant,
) -> Result<(), DeadLetterError> {
    let DeadLetter { id, event, .. } = letter;
    let (source, sequence, name) = (id.source, id.sequence, event.r#type.clone());
    let reason = match command::<A>(id, event) {
        Err(reason) => reason,
        Ok(command) => {
            match change(commands, id, DeadLetterChange::Apply(command), deadline).await {
                Ok(reply) => {
                    info!(%source, sequence, r#type = name, "dead letter applied");
                    if let Some(reason) = reply.as_ref().and_then(A::ineffective) {
                        warn!(%source, sequence, r#type = name, "event had no effect: {reason}");
                    }
                    return Ok(());
                }
                Err(DeadLetterError::Write(WriteError::Command(CommandError::Rejected))) => {
                    "the store rejected it when it was retried".to_owned()
                }
                Err(error) => return Err(error),
            }
        }
    };
    error!(%source, sequence, r#type = name, "dead letter kept: {reason}");
    change(commands, id, DeadLetterChange::Keep(reason.clone()), deadline).await?;
    Err(DeadLetterError::Kept(reason))
}

/// Marks a dead letter as dismissed. The first dismissal stands.
pub(crate) async fn dismiss<A: EventHandler>(
    commands: &Commands<A>,
    id: DeadLetterId,
    dismissal: Dismissal,
    deadline: Instant,
) -> Result<(), DeadLetterError> {
    change(commands, id, DeadLetterChange::Dismiss(dismissal), deadline).await?;
    // Not the reason: people wrote it.
    info!(source = %id.source, sequence = id.sequence, "dead letter dismissed");
    Ok(())
}

/// Changes an open dead letter; the reply to its command, if there was one.
async fn change<A: EventHandler>(
    commands: &Commands<A>,
    id: DeadLetterId,
    change: DeadLetterChange<A::Command>,
    deadline: Instant,
) -> Result<Option<A::Reply>, DeadLetterError> {
    match commands.change_dead_letter(id, change, deadline).await? {
        (DeadLetterState::Open, reply) => Ok(reply),
        (DeadLetterState::Dismissed, _) => Err(DeadLetterError::Dismissed),
        (DeadLetterState::Absent, _) => Err(DeadLetterError::Absent),
    }
}

/// The command of an event, if it means one here; or why it cannot be decoded.
fn command<A: EventHandler>(id: DeadLetterId, event: Event) -> Result<Option<A::Command>, String> {
    let event = envelope(StoreId(id.source), id.sequence, event).ok_or("it is no event")?;
    let decoded = decode(&event)?.ok_or("its event type is unknown to this version")?;
    Ok(A::command(ReceivedEvent { source: event.source, at: event.time, event: decoded }))
}
