//! What a seed stands for: a server, a load, and what goes wrong.

use std::time::Duration;

use super::dice::Dice;

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What is wrong with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It refuses connections, and broke those that there were.
    Dead,
    /// It takes requests and never answers.
    Silent,
    /// Every answer takes so much longer.
    Slow(Duration),
    /// So many of a hundred answers are errors.
    Errors(u64),
    /// Dead and well in turns of that length.
    Flapping(Duration),
    /// Nothing is done until the fault ends.
    Stalled,
}

/// The server commits what has come in batches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    pub(crate) batch_max: u64,
    pub(crate) per_batch: Duration,
    pub(crate) per_item: Duration,
}

impl Server {
    pub(crate) fn batch(self, items: u64) -> Duration {
        self.per_batch + self.per_item * u32::try_from(items).unwrap()
    }

    /// The time per item when it is busy.
    pub(crate) fn pace(self) -> Duration {
        self.batch(self.batch_max) / u32::try_from(self.batch_max).unwrap()
    }
}

/// Who retries, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    pub(crate) max: u32,
    pub(crate) within_budget: bool,
    pub(crate) attempt_timeout: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) server: Server,
    pub(crate) retries: Retries,
    /// How many times what the server can do is asked of it while it is worst, in percent.
    pub(crate) load_percent: u32,
    pub(crate) fault: Option<Fault>,
    /// How far the clock jumps in the middle of it all.
    pub(crate) jump: Duration,
    /// When it begins to go wrong.
    pub(crate) onset: Duration,
    /// When it is over.
    pub(crate) end: Duration,
    /// When the last request comes.
    pub(crate) last: Duration,
}

/// The load before and after.
pub(crate) const CALM_PERCENT: u32 = 50;

impl Scenario {
    pub(crate) fn of(dice: &mut Dice) -> Self {
        let batch_max = dice.one_of(&[1, 4, 16]);
        let per_item = ms(dice.between(4, 10));
        let per_batch = ms(if batch_max == 1 { 1 } else { dice.between(2, 20) });
        let mut scenario = Self {
            server: Server { batch_max, per_batch, per_item },
            retries: Retries { max: 1, within_budget: true, attempt_timeout: ms(3_000) },
            load_percent: CALM_PERCENT,
            fault: None,
            jump: Duration::ZERO,
            onset: ms(1_500),
            end: ms(1_500 + dice.between(1_000, 5_000)),
            last: Duration::ZERO,
        };
        match dice.between(0, 5) {
            0 => {
                scenario.load_percent = u32::try_from(dice.between(100, 2_000)).unwrap();
                scenario.end = ms(1_500 + dice.between(2_500, 3_500));
            }
            1 => scenario.fault = Some(Fault::Slow(ms(dice.between(200, 5_000)))),
            2 => scenario.fault = Some(dice.one_of(&[Fault::Dead, Fault::Silent, Fault::Stalled])),
            3 => {
                let turn = ms(dice.between(50, 1_500));
                let errors = dice.between(10, 100);
                scenario.fault = Some(dice.one_of(&[Fault::Flapping(turn), Fault::Errors(errors)]));
            }
            4 => {
                scenario.jump = ms(dice.one_of(&[100, 5_000, 60_000, 3_600_000_000]));
                scenario.fault = dice.one_of(&[None, Some(Fault::Dead), Some(Fault::Silent)]);
            }
            _ => {
                scenario.fault =
                    Some(dice.one_of(&[Fault::Stalled, Fault::Slow(ms(900)), Fault::Errors(60)]));
                scenario.load_percent = u32::try_from(dice.between(60, 200)).unwrap();
                let within_budget = dice.percent(50);
                let max = if within_budget { 1 } else { 3 };
                let attempt_timeout = ms(dice.between(300, 800));
                scenario.retries = Retries { max, within_budget, attempt_timeout };
            }
        }
        scenario.last = scenario.end + ms(3_000);
        if scenario.fault.is_some() {
            // Open for longer and longer: until it has found out, and a while after.
            scenario.last += super::world::OPEN_MAX * 12 / 10 + ms(2_000);
        }
        scenario
    }

    /// What is wrong at that time.
    pub(crate) fn fault(&self, at: Duration) -> Option<Fault> {
        let since = at.checked_sub(self.onset)?;
        match self.fault {
            _ if at >= self.end => None,
            Some(Fault::Flapping(turn)) => {
                let well = (since.as_millis() / turn.as_millis()) % 2 == 1;
                (!well).then_some(Fault::Dead)
            }
            fault => fault,
        }
    }

    pub(crate) fn percent(&self, at: Duration) -> u32 {
        if (self.onset..self.end).contains(&at) { self.load_percent } else { CALM_PERCENT }
    }

    /// A heavier load than the server can bear, and nothing else that is wrong.
    pub(crate) const fn is_overload(&self) -> bool {
        self.fault.is_none() && self.load_percent > CALM_PERCENT
    }
}
