//! The seam between installing tools and the machine.

/// Finds and runs programs: on this machine, or as scripted in a test.
pub trait Machine {
    /// Whether the program exists on PATH.
    fn has(&self, program: &str) -> bool;
    /// Whether this process runs as root.
    fn is_root(&self) -> bool;
    /// Runs a program to its end. An error has the last line that it printed.
    fn run(&mut self, command: &[&str]) -> Result<(), String>;
}
