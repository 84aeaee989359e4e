//! Controlled delay: a line that never empties is a standing one, and is cut at its head.
