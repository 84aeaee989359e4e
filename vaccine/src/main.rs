//! The stock ledger, alone in its process.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    chassis::process::main("vaccine", vaccine::Config::from_env, vaccine::serve)
}
