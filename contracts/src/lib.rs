#![doc = include_str!("../README.md")]
//!
//! Other programs rely on these: add, never rename.
#![warn(missing_docs)]

pub mod booking;
pub mod campaign;
pub mod event;
pub mod ids;
pub mod injection;
pub mod mypage;
pub mod number;
pub mod vaccine;
