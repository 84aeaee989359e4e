//! The retry budget: retries are a small share of the calls, so that they cannot become the load.
