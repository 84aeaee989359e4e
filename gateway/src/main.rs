//! The public edge, alone in its process.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    chassis::process::main("gateway", gateway::Config::from_env, gateway::serve)
}
