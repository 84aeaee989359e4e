//! Ten thousand small worlds, each from a seed, in which everything goes wrong that the cores are
//! there for; and what must hold in all of them.
//!
//! A world that goes wrong says its seed. To see it alone:
//!
//! ```sh
//! SIMULATION_SEED=42 cargo test -p resilience --test simulation
//! ```

#![cfg(not(loom))]
#![expect(clippy::unwrap_used, reason = "a world that cannot be made fails the test")]

#[path = "simulation/dice.rs"]
mod dice;
#[path = "simulation/laws.rs"]
mod laws;
#[path = "simulation/scenario.rs"]
mod scenario;
#[path = "simulation/world.rs"]
mod world;

use std::{
    panic,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use dice::Dice;
use scenario::Scenario;
use world::World;

/// Worlds that are tried.
const SEEDS: u64 = 10_000;

/// Failures that are told; more would say no more.
const TOLD_MAX: usize = 5;

/// The world of that seed, when all is over in it.
fn world(seed: u64) -> World {
    let mut dice = Dice::new(seed);
    let scenario = Scenario::of(&mut dice);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut world = World::new(scenario, dice, seed);
        world.run().await;
        world
    })
}

/// What went wrong in the world of that seed.
fn wrongs(seed: u64) -> Vec<String> {
    panic::catch_unwind(|| laws::broken(&world(seed)))
        .unwrap_or_else(|_| vec!["it panicked".to_owned()])
}

#[test]
fn the_laws_hold_in_ten_thousand_worlds() {
    #[expect(clippy::disallowed_methods, reason = "the seed to look at is given by hand")]
    let only = std::env::var("SIMULATION_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    if let Some(seed) = only {
        println!("{:#?}", Scenario::of(&mut Dice::new(seed)));
        let wrongs = wrongs(seed);
        assert!(wrongs.is_empty(), "{}", wrongs.join("\n"));
        return;
    }
    let next = AtomicU64::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let search = || {
        let mut found = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= SEEDS {
                return found;
            }
            let wrongs = wrongs(seed);
            if !wrongs.is_empty() {
                found.push((seed, wrongs));
            }
        }
    };
    let found: Vec<_> = thread::scope(|scope| {
        let searches: Vec<_> = (0..threads).map(|_| scope.spawn(search)).collect();
        searches.into_iter().flat_map(|search| search.join().unwrap()).collect()
    });
    for (seed, wrongs) in found.iter().take(TOLD_MAX) {
        println!("SIMULATION_SEED={seed} cargo test -p resilience --test simulation");
        println!("{:?}", Scenario::of(&mut Dice::new(*seed)));
        for wrong in wrongs {
            println!("    {wrong}");
        }
    }
    assert!(found.is_empty(), "{} of {SEEDS} worlds went wrong", found.len());
}
