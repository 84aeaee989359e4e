#![doc = include_str!("../README.md")]
//!
//! A change here is a change of what strangers may rely on: add, never rename.
#![warn(missing_docs)]

pub mod booking;
pub mod event;
pub mod ids;
pub mod injection;
pub mod mypage;
pub mod number;
pub mod vaccine;
