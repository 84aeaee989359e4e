//! How much time a request has left, from its first hop to its last.
