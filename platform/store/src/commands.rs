//! The handle that submits commands to the writer of an aggregate.

use std::{any::type_name, fmt, time::Instant};

use tracing::error;

use crate::{
    aggregate::{Aggregate, Input, Output},
    dead_letter::{DeadLetterChange, DeadLetterId, DeadLetterState},
    retention::Prune,
    writer::{CommandError, Store, WriteError, Writer, WriterHealth},
};

/// One kind of command of an aggregate, with the reply that belongs to it.
pub trait CommandOf<A: Aggregate>: Into<A::Command> {
    /// The reply to this kind of command.
    type Reply;

    /// The reply of this kind within all replies of the aggregate; `None` for that of another kind.
    /// The command is committed even then; its caller gets [`CommandError::Rejected`].
    fn reply(reply: A::Reply) -> Option<Self::Reply>;
}

/// Submits commands to the writer of an aggregate. Cheap to clone.
pub struct Commands<A: Aggregate>(Writer<Input<A::Command>, Output<A::Reply>>);

impl<A: Aggregate> Clone for Commands<A> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<A: Aggregate> fmt::Debug for Commands<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").finish_non_exhaustive()
    }
}

impl<A: Aggregate> Commands<A> {
    /// Starts the writer of a store; see [`Writer::start`].
    pub fn start<S>(name: &'static str, store: S) -> (Self, impl Future<Output = ()> + Send)
    where
        S: Store<Command = Input<A::Command>, Reply = Output<A::Reply>>,
    {
        let (writer, ended) = Writer::start(name, store);
        (Self(writer), ended)
    }

    /// Submits one command and waits for its commit.
    pub async fn submit<C: CommandOf<A>>(
        &self,
        command: C,
        deadline: Instant,
    ) -> Result<C::Reply, WriteError> {
        self.check_fences().await?;
        let output = self.0.submit_one(Input::Command(command.into()), deadline).await?;
        Ok(reply::<A, C>(output)?)
    }

    /// Submits commands of one kind that share a commit; one reply each.
    pub async fn submit_all<C: CommandOf<A>>(
        &self,
        commands: Vec<C>,
        deadline: Instant,
    ) -> Result<Vec<Result<C::Reply, CommandError>>, WriteError> {
        self.check_fences().await?;
        let inputs = commands.into_iter().map(|command| Input::Command(command.into())).collect();
        Ok(self.0.submit(inputs, deadline).await?.into_iter().map(reply::<A, C>).collect())
    }

    /// Submits events; the outputs are [`Output::Consumed`].
    pub async fn consume(
        &self,
        events: Vec<Input<A::Command>>,
        deadline: Instant,
    ) -> Result<Vec<Result<Output<A::Reply>, CommandError>>, WriteError> {
        self.0.submit(events, deadline).await
    }

    /// Changes a dead letter, if it is open: what it was before, and the reply to its command if that was
    /// applied.
    pub async fn change_dead_letter(
        &self,
        id: DeadLetterId,
        change: DeadLetterChange<A::Command>,
        deadline: Instant,
    ) -> Result<(DeadLetterState, Option<A::Reply>), WriteError> {
        self.check_fences().await?;
        let output = self.0.submit_one(Input::DeadLetter { id, change }, deadline).await??;
        match output {
            Output::DeadLetter { state, reply } => Ok((state, reply)),
            Output::Reply(_) | Output::Consumed { .. } | Output::Pruned(_) => {
                Err(CommandError::Rejected.into())
            }
        }
    }

    /// Deletes what is not needed any more, a little of it; how many rows, of the table with the most.
    pub async fn prune(&self, prune: Prune, deadline: Instant) -> Result<usize, WriteError> {
        self.check_fences().await?;
        match self.0.submit_one(Input::Prune(prune), deadline).await?? {
            Output::Pruned(rows) => Ok(rows),
            Output::Reply(_) | Output::Consumed { .. } | Output::DeadLetter { .. } => {
                Err(CommandError::Rejected.into())
            }
        }
    }

    async fn check_fences(&self) -> Result<(), WriteError> {
        self.health().fences_are_known().await;
        if self.health().is_fenced() { Err(WriteError::Fenced) } else { Ok(()) }
    }

    /// Whether the store can be written to.
    pub fn health(&self) -> &WriterHealth {
        self.0.health()
    }

    /// Accepts nothing more; what is queued is still committed.
    pub fn close(&self) {
        self.0.close();
    }
}

fn reply<A: Aggregate, C: CommandOf<A>>(
    output: Result<Output<A::Reply>, CommandError>,
) -> Result<C::Reply, CommandError> {
    let reply = match output? {
        Output::Reply(reply) => C::reply(reply),
        Output::Consumed { .. } | Output::DeadLetter { .. } | Output::Pruned(_) => None,
    };
    reply.ok_or_else(|| {
        // A bug in `decide` or in `CommandOf`, handled here so that no handler needs a branch for it.
        error!("the reply to a {} is that of another command", type_name::<C>());
        CommandError::Rejected
    })
}
