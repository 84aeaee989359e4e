//! The injection desk, alone in its process.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    chassis::process::main("injection", injection::Config::from_env, injection::serve)
}
