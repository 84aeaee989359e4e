//! Headers between services, besides the deadline. The public edge removes them from responses.

/// On a 503: admission shed the request before anything was begun, for the reason that it names.
pub const SHED: &str = "x-shed";
