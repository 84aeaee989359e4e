//! What citizens see of their bookings, alone in its process.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    chassis::process::main("mypage", mypage::Config::from_env, mypage::serve)
}
