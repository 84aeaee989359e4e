//! A configuration with which it would never open, or never close, is refused with the name of the field.

use std::time::Duration;

use platform_resilience::breaker::{Breaker, BreakerConfig};

fn refusal(change: impl FnOnce(&mut BreakerConfig)) -> String {
    let mut config = BreakerConfig::default();
    change(&mut config);
    Breaker::new(config).unwrap_err().to_string()
}

#[test]
fn the_default_is_valid() {
    assert!(Breaker::new(BreakerConfig::default()).is_ok());
}

#[test]
fn a_minimum_of_calls_that_the_window_cannot_hold_is_refused() {
    assert_eq!(
        refusal(|config| config.minimum_calls = 5_242_881),
        "minimum_calls: must be 1 to 5242880, not 5242881",
    );
}

#[test]
fn every_refusal_names_the_field() {
    let refusals = [
        refusal(|config| config.failures_in_a_row = 0),
        refusal(|config| config.failures_in_a_row = u32::MAX),
        refusal(|config| config.timeouts_in_a_row = 0),
        refusal(|config| config.minimum_calls = 0),
        refusal(|config| config.failure_rate_percent = 0),
        refusal(|config| config.slow_call_rate_percent = 101),
        refusal(|config| config.slow_after = Duration::ZERO),
        refusal(|config| config.window = Duration::from_millis(9)),
        refusal(|config| config.open_for = Duration::from_micros(999)),
        refusal(|config| config.open_max = Duration::from_millis(999)),
        refusal(|config| config.open_max = Duration::MAX),
        refusal(|config| config.half_open_calls = 0),
        refusal(|config| config.half_open_calls = 1_001),
        refusal(|config| config.half_open_max = Duration::ZERO),
        refusal(|config| config.ramp = Duration::MAX),
    ];
    let fields: Vec<_> =
        refusals.iter().filter_map(|refusal| Some(refusal.split_once([':', ' '])?.0)).collect();
    assert_eq!(
        fields,
        [
            "failures_in_a_row",
            "failures_in_a_row",
            "timeouts_in_a_row",
            "minimum_calls",
            "failure_rate_percent",
            "slow_call_rate_percent",
            "slow_after",
            "window",
            "open_for",
            "open_max",
            "open_max",
            "half_open_calls",
            "half_open_calls",
            "half_open_max",
            "ramp",
        ],
    );
}

#[test]
fn open_for_up_to_open_max_is_valid() {
    let open = Duration::from_secs(7);
    let config = BreakerConfig { open_for: open, open_max: open, ..BreakerConfig::default() };
    assert!(Breaker::new(config).is_ok());
    let shorter = BreakerConfig { open_max: Duration::from_secs(6), ..config };
    let refused = Breaker::new(shorter).unwrap_err().to_string();
    assert_eq!(refused, "open_max (at least open_for): must be 7s to 3600s, not 6s");
}
