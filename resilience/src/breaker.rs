//! The circuit breaker: stops asking who does not answer, and finds out when it does again.
