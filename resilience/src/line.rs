//! A bounded line with priorities, cut at its head when it stands.
