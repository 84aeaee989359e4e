//! Headers between services, besides the deadline. The public edge removes them from requests.

/// On a request: how many items it carries. Admission limits items, not requests.
pub const ITEMS: &str = "x-items";

/// On a 503: admission shed the request before anything was begun, for the reason that it names.
pub const SHED: &str = "x-shed";
