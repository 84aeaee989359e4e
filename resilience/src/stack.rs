//! The order of the layers, and why.
