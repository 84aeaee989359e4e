//! Thin tower layers around the cores.
