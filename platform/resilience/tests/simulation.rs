//! Ten thousand small simulations, each from a seed, with the faults and the load that the state
//! machines are made for; and the invariants that must hold in all of them.
//!
//! A simulation that violates one prints its seed. To run it alone:
//!
//! ```sh
//! SIMULATION_SEED=42 cargo test -p resilience --test simulation
//! ```

#![expect(clippy::unwrap_used, reason = "a simulation that cannot run fails the test")]

#[path = "simulation/invariants.rs"]
mod invariants;
#[path = "simulation/model.rs"]
mod model;
#[path = "simulation/scenario.rs"]
mod scenario;

use std::{
    panic,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use fastrand::Rng;
use model::Model;
use scenario::Scenario;

const SEEDS: u64 = 10_000;

/// Violating seeds that are printed.
const PRINTED_MAX: usize = 5;

/// Runs the simulation of that seed.
fn run(seed: u64) -> Model {
    let mut rng = Rng::with_seed(seed);
    let scenario = Scenario::of(&mut rng);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut model = Model::new(scenario, rng, seed);
        model.run().await;
        model
    })
}

/// The invariants that the simulation of that seed violates.
fn violations(seed: u64) -> Vec<String> {
    panic::catch_unwind(|| invariants::violations(&run(seed)))
        .unwrap_or_else(|_| vec!["it panicked".to_owned()])
}

#[test]
fn the_invariants_hold_in_ten_thousand_simulations() {
    #[expect(clippy::disallowed_methods, reason = "the seed of a single run is given by hand")]
    let only = std::env::var("SIMULATION_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    if let Some(seed) = only {
        println!("{:#?}", Scenario::of(&mut Rng::with_seed(seed)));
        let violations = violations(seed);
        assert!(violations.is_empty(), "{}", violations.join("\n"));
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
            let violations = violations(seed);
            if !violations.is_empty() {
                found.push((seed, violations));
            }
        }
    };
    let found: Vec<_> = thread::scope(|scope| {
        let searches: Vec<_> = (0..threads).map(|_| scope.spawn(search)).collect();
        searches.into_iter().flat_map(|search| search.join().unwrap()).collect()
    });
    for (seed, violations) in found.iter().take(PRINTED_MAX) {
        println!("SIMULATION_SEED={seed} cargo test -p resilience --test simulation");
        println!("{:?}", Scenario::of(&mut Rng::with_seed(*seed)));
        for violation in violations {
            println!("    {violation}");
        }
    }
    assert!(found.is_empty(), "{} of {SEEDS} simulations violate an invariant", found.len());
}
