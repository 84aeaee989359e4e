#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod actuator;
mod app;
mod args;
mod breaker_settings;
mod config;
mod data_store;
pub mod health;
mod lifecycle;
mod retention;
mod service;
mod settings;

pub use {
    app::App,
    args::{ListenArgs, ServiceArgs},
    config::{ConfigError, DataConfig, Env, EventsUrl, Subscriber},
    data_store::DataStore,
    lifecycle::{DRAIN_MAX, EXIT_USAGE, run, run_service},
    service::{Configured, Consumes, Service, Settings},
};
