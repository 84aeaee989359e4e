//! The one idea, in one place: commands in batches → a pure decision → one commit (rows + events).
//!
//! A part says how its rows are loaded, what it decides and how rows are saved; everything else is
//! the same for all of them and stands here. A command comes from a caller, or from an event that
//! was heard. Of events each counts once, in the order of their source: how far a source was heard
//! is part of the commit of the effect.

use std::{collections::BTreeMap, fmt, time::Instant};

use uuid::Uuid;

use crate::{
    database::Writable,
    inbox::{self, Parked},
    outbox::{self, Event},
    sql::{Asked, SqlError, Tx},
    writer::{Failed, Store, StoreError, WriteError, Writer},
};

/// A part, as its store sees it.
pub trait Model: Send + 'static {
    /// What may be asked.
    type Command: Send + 'static;
    /// What is answered; a refusal is an outcome, not an error.
    type Outcome: Send + 'static;
    /// The rows that a batch of commands is about.
    type Rows;

    /// Loads everything that the commands name, and everything that those rows name.
    fn load(tx: &Tx<'_>, commands: &[&Self::Command]) -> Result<Self::Rows, SqlError>;

    /// Decides one command and changes the rows accordingly.
    fn decide(&self, rows: &mut Self::Rows, command: &Self::Command) -> Self::Outcome;

    /// Saves what the decisions touched.
    fn save(tx: &Tx<'_>, rows: &Self::Rows) -> Result<(), SqlError>;

    /// What has to be told about an outcome.
    fn event(command: &Self::Command, outcome: &Self::Outcome)
    -> serde_json::Result<Option<Event>>;
}

/// A command, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<C> {
    /// Somebody asked.
    Asked(C),
    /// A source said something.
    Heard {
        /// Who.
        source: Uuid,
        /// Its place among everything that this source said.
        sequence: u64,
        /// What it means here.
        meaning: Meaning<C>,
    },
}

/// What an event means to who hears it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning<C> {
    /// Do this.
    Command(C),
    /// It is about somebody else's matters.
    Nothing,
    /// It cannot be heard: put it aside.
    Park(Parked),
}

/// What became of an [`Input`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<O> {
    /// The answer to who asked.
    Answer(O),
    /// What a source said.
    Heard {
        /// The source has been heard up to here. Below the event's own number, the event comes
        /// after a gap and had no effect.
        sequence: u64,
        /// What came of it; nothing if it was heard before, means nothing, or was put aside.
        outcome: Option<O>,
    },
}

/// A part's rows in a database.
#[derive(Debug)]
pub struct Stored<M> {
    writable: Writable,
    model: M,
}

impl<M: Model> Stored<M> {
    /// The rows of a model in an opened store.
    pub fn new(writable: Writable, model: M) -> Self {
        Self { writable, model }
    }
}

impl<M: Model> Store for Stored<M> {
    type Command = Input<M::Command>;
    type Outcome = Output<M::Outcome>;

    fn apply(&mut self, batch: &[Self::Command]) -> Result<Vec<Self::Outcome>, StoreError> {
        let Self { writable, model } = self;
        writable.transaction(|tx| apply(tx, model, batch))
    }
}

fn apply<M: Model>(
    tx: &Tx<'_>,
    model: &M,
    batch: &[Input<M::Command>],
) -> Result<Vec<Output<M::Outcome>>, SqlError> {
    let heard = Positions::ask(tx, batch)?;
    let last = outbox::ask_last(tx)?;
    let commands: Vec<_> = batch.iter().filter_map(command).collect();
    let mut rows = M::load(tx, &commands)?;
    let mut heard = Positions::read(heard)?;
    let mut events = Vec::new();
    let mut outcomes = Vec::with_capacity(batch.len());
    let mut decide = |command: &M::Command| {
        let outcome = model.decide(&mut rows, command);
        let event = M::event(command, &outcome);
        events.extend(event.map_err(|cause| SqlError::Unwritable(cause.into()))?);
        Ok::<_, SqlError>(outcome)
    };
    for input in batch {
        outcomes.push(match input {
            Input::Asked(command) => Output::Answer(decide(command)?),
            Input::Heard { source, sequence, meaning } => {
                let outcome = match meaning {
                    _ if !heard.advance(*source, *sequence) => None,
                    Meaning::Command(command) => Some(decide(command)?),
                    Meaning::Nothing => None,
                    Meaning::Park(parked) => {
                        inbox::park(tx, parked)?;
                        None
                    }
                };
                Output::Heard { sequence: heard.of(*source), outcome }
            }
        });
    }
    M::save(tx, &rows)?;
    outbox::append_after(tx, last, &events)?;
    heard.save(tx)?;
    Ok(outcomes)
}

fn command<C>(input: &Input<C>) -> Option<&C> {
    match input {
        Input::Asked(command) | Input::Heard { meaning: Meaning::Command(command), .. } => {
            Some(command)
        }
        Input::Heard { meaning: Meaning::Nothing | Meaning::Park(_), .. } => None,
    }
}

/// How far the sources of a batch were heard, and whether that changed.
struct Positions(BTreeMap<Uuid, (u64, bool)>);

impl Positions {
    fn ask<'a, C>(tx: &Tx<'a>, batch: &[Input<C>]) -> Result<BTreeMap<Uuid, Asked<'a>>, SqlError> {
        let mut asked = BTreeMap::new();
        for input in batch {
            if let Input::Heard { source, .. } = input
                && !asked.contains_key(source)
            {
                asked.insert(*source, inbox::ask_heard(tx, *source)?);
            }
        }
        Ok(asked)
    }

    fn read(asked: BTreeMap<Uuid, Asked<'_>>) -> Result<Self, SqlError> {
        let read = |(source, asked)| Ok((source, (inbox::read_heard(asked)?, false)));
        asked.into_iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    fn of(&self, source: Uuid) -> u64 {
        self.0.get(&source).map_or(0, |(sequence, _)| *sequence)
    }

    /// Each source numbers what it says without gaps. What was heard before has had its effect;
    /// what comes after a gap waits until the source has gone back.
    fn advance(&mut self, source: Uuid, sequence: u64) -> bool {
        let is_next = sequence == self.of(source) + 1;
        if is_next {
            self.0.insert(source, (sequence, true));
        }
        is_next
    }

    fn save(&self, tx: &Tx<'_>) -> Result<(), SqlError> {
        for (source, (sequence, changed)) in &self.0 {
            if *changed {
                inbox::remember(tx, *source, *sequence)?;
            }
        }
        Ok(())
    }
}

/// Hands commands of a model to its writer. Cheap to clone.
pub struct Desk<M: Model>(Writer<Input<M::Command>, Output<M::Outcome>>);

impl<M: Model> Clone for Desk<M> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<M: Model> fmt::Debug for Desk<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl<M: Model> Desk<M> {
    /// Starts the writer of a store; see [`Writer::start`].
    pub fn start<S>(name: &'static str, store: S) -> (Self, impl Future<Output = ()> + Send)
    where
        S: Store<Command = Input<M::Command>, Outcome = Output<M::Outcome>>,
    {
        let (writer, ended) = Writer::start(name, store);
        (Self(writer), ended)
    }

    /// Asks many things at once; one outcome each.
    pub async fn ask_all(
        &self,
        commands: Vec<M::Command>,
        deadline: Instant,
    ) -> Result<Vec<Result<M::Outcome, Failed>>, WriteError> {
        let inputs = commands.into_iter().map(Input::Asked).collect();
        Ok(self.0.submit(inputs, deadline).await?.into_iter().map(answer).collect())
    }

    /// Asks one thing.
    pub async fn ask(
        &self,
        command: M::Command,
        deadline: Instant,
    ) -> Result<Result<M::Outcome, Failed>, WriteError> {
        Ok(answer(self.0.submit_one(Input::Asked(command), deadline).await?))
    }

    /// Hears what sources said; see [`Output::Heard`].
    pub async fn hear(
        &self,
        events: Vec<Input<M::Command>>,
        deadline: Instant,
    ) -> Result<Vec<Result<Output<M::Outcome>, Failed>>, WriteError> {
        self.0.submit(events, deadline).await
    }

    /// Takes nothing more; what is queued is still committed.
    pub async fn close(&self) {
        self.0.close().await;
    }
}

fn answer<O>(output: Result<Output<O>, Failed>) -> Result<O, Failed> {
    match output? {
        Output::Answer(outcome) => Ok(outcome),
        Output::Heard { .. } => Err(Failed::Refused), // Nobody asked for that.
    }
}
