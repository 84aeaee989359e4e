//! What comes from Python's package index: in a folder of its own below `target`, exactly the versions
//! that `deploy/check/requirements.txt` names.

use std::{fmt::Display, fs, io, path::PathBuf};

use super::Machine;
use servers::Failure;

use crate::child;

/// A folder of programs, and the list of what it should hold.
#[derive(Debug)]
pub struct Environment {
    folder: PathBuf,
    list: PathBuf,
}

impl Environment {
    /// The one that tests use.
    pub fn of_tests() -> Self {
        let root = child::root();
        Self {
            folder: root.join("target/tools/python"),
            list: root.join("deploy/check/requirements.txt"),
        }
    }

    /// Where its programs are.
    pub fn programs(&self) -> PathBuf {
        self.folder.join("bin")
    }

    /// Makes it anew, unless it holds what the list says.
    pub fn provide(&self, machine: &mut impl Machine) -> Result<(), Failure> {
        let wanted = fs::read_to_string(&self.list).map_err(|error| self.failure(&error))?;
        if self.holds(&wanted) {
            return Ok(());
        }
        println!("xtask test: installing what {} names", self.list.display());
        self.make(machine).map_err(|why| self.failure(&why))?;
        // Written last: what was interrupted is made anew.
        fs::write(self.held(), wanted).map_err(|error| self.failure(&error))
    }

    fn holds(&self, wanted: &str) -> bool {
        // The interpreter is a link, which dangles once the system's Python has gone.
        let held = fs::read_to_string(self.held());
        held.is_ok_and(|held| held == wanted) && self.programs().join("python").exists()
    }

    fn make(&self, machine: &mut impl Machine) -> Result<(), String> {
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.to_string()),
            Err(_) | Ok(()) => {}
        }
        let folder = self.folder.to_string_lossy();
        let python = self.programs().join("python");
        let list = self.list.to_string_lossy();
        // Its own pip would be one more package of the system, and is not needed.
        machine.run(&["python3", "-m", "venv", "--without-pip", &folder])?;
        let pip = ["pip3", "--python", &python.to_string_lossy(), "--disable-pip-version-check"];
        machine.run(&[pip.as_slice(), &["install", "--quiet", "--requirement", &list]].concat())
    }

    fn held(&self) -> PathBuf {
        self.folder.join("requirements.txt")
    }

    fn failure(&self, why: &impl Display) -> Failure {
        Failure::new(
            format!("what {} names is missing: {why}", self.list.display()),
            "do what the reason asks for, or leave those tests out with \
             `cargo xtask test --embedded-only`",
        )
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// Makes the interpreter, or refuses.
    struct Scripted {
        python: PathBuf,
        refuses: bool,
        ran: Vec<String>,
    }

    impl Machine for Scripted {
        fn has(&self, _: &str) -> bool {
            true
        }

        fn is_root(&self) -> bool {
            false
        }

        fn run(&mut self, command: &[&str]) -> Result<(), String> {
            self.ran.push(command.join(" "));
            if self.refuses {
                return Err("no network".to_owned());
            }
            fs::create_dir_all(self.python.parent().expect("it is in a folder")).expect("a folder");
            fs::write(&self.python, "").map_err(|error| error.to_string())
        }
    }

    fn wanting(list: &str) -> (TempDir, Environment, Scripted) {
        let place = tempfile::tempdir().expect("a folder");
        let (folder, path) = (place.path().join("python"), place.path().join("list"));
        fs::write(&path, list).expect("a list");
        let python = folder.join("bin/python");
        let machine = Scripted { python, refuses: false, ran: Vec::new() };
        (place, Environment { folder, list: path }, machine)
    }

    #[test]
    fn it_is_made_once_for_a_list() {
        let (_place, environment, mut machine) = wanting("lathe==1\n");
        assert_eq!(environment.provide(&mut machine), Ok(()));
        let [made, installed] = &machine.ran[..] else { panic!("{:?}", machine.ran) };
        assert!(made.starts_with("python3 -m venv --without-pip "), "{made}");
        assert!(installed.ends_with("/list") && installed.contains(" install "), "{installed}");

        assert_eq!(environment.provide(&mut machine), Ok(()));
        assert_eq!(machine.ran.len(), 2, "it is there");
    }

    #[test]
    fn it_is_made_anew_for_another_list_and_for_another_interpreter() {
        let (_place, environment, mut machine) = wanting("lathe==1\n");
        environment.provide(&mut machine).expect("it is made");
        fs::write(&environment.list, "lathe==2\n").expect("another list");
        environment.provide(&mut machine).expect("it is made");
        assert_eq!(machine.ran.len(), 4);
        fs::remove_file(&machine.python).expect("the interpreter was there");
        environment.provide(&mut machine).expect("it is made");
        assert_eq!(machine.ran.len(), 6);
    }

    #[test]
    fn what_was_not_finished_is_not_taken_for_it() {
        let (_place, environment, mut machine) = wanting("lathe==1\n");
        machine.refuses = true;
        let failure = environment.provide(&mut machine).expect_err("it is refused");
        assert!(failure.what.ends_with("no network"), "{failure}");
        assert!(failure.do_this.contains("--embedded-only"), "{failure}");
        machine.refuses = false;
        assert_eq!(environment.provide(&mut machine), Ok(()));
    }
}
