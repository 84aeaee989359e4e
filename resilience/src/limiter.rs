//! A limit on the items in flight, learned from the latency that it brings.
