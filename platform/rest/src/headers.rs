//! Headers between services, besides the deadline. The public edge removes them from requests.

/// On a request: how many items it carries. Admission limits items, not requests.
pub const ITEMS: &str = "x-items";

/// On a request: `https` if the client's connection to the edge, or to a proxy before it, is encrypted.
pub const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// On a request: the path below which a proxy before the edge publishes everything.
pub const FORWARDED_PREFIX: &str = "x-forwarded-prefix";

/// On a 503: admission shed the request before anything was begun, for the reason that it names.
pub const SHED: &str = "x-shed";
