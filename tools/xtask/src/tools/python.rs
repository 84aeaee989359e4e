//! A Python environment below `target` with the packages of `deploy/check/requirements.txt`.

use std::{fmt::Display, fs, path::PathBuf};

use servers::Failure;

use super::machine::Machine;
use crate::child;

/// A virtual environment and the list of its packages.
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

    /// The folder of its programs.
    pub fn programs(&self) -> PathBuf {
        self.folder.join("bin")
    }

    /// Creates it again unless it was created from the current list.
    pub fn provide(&self, machine: &mut impl Machine) -> Result<(), Failure> {
        let wanted = fs::read_to_string(&self.list).map_err(|error| self.failure(&error))?;
        if self.is_current(&wanted) {
            return Ok(());
        }
        println!("xtask test: installing what {} names", self.list.display());
        self.create(machine).map_err(|why| self.failure(&why))?;
        // Written last, so that an interrupted installation is repeated.
        fs::write(self.installed_list(), wanted).map_err(|error| self.failure(&error))
    }

    fn is_current(&self, wanted: &str) -> bool {
        // The interpreter is a link, broken once the Python of the system is removed.
        let held = fs::read_to_string(self.installed_list());
        held.is_ok_and(|held| held == wanted) && self.programs().join("python").exists()
    }

    fn create(&self, machine: &mut impl Machine) -> Result<(), String> {
        let folder = self.folder.to_string_lossy();
        let python = self.programs().join("python");
        let list = self.list.to_string_lossy();
        // pip in the environment would need one more package of the system.
        machine.run(&["python3", "-m", "venv", "--without-pip", "--clear", &folder])?;
        let pip = ["pip3", "--python", &python.to_string_lossy(), "--disable-pip-version-check"];
        machine.run(&[pip.as_slice(), &["install", "--quiet", "--requirement", &list]].concat())
    }

    fn installed_list(&self) -> PathBuf {
        self.folder.join("requirements.txt")
    }

    fn failure(&self, why: &impl Display) -> Failure {
        Failure::new(
            format!("the packages of {} could not be installed: {why}", self.list.display()),
            "fix the cause above, or skip those tests with `cargo xtask test --embedded-only`",
        )
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// Creates the interpreter, or fails.
    struct Scripted {
        python: PathBuf,
        fails: bool,
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
            if self.fails {
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
        let machine = Scripted { python, fails: false, ran: Vec::new() };
        (place, Environment { folder, list: path }, machine)
    }

    #[test]
    fn it_is_created_once_for_a_list() {
        let (_place, environment, mut machine) = wanting("lathe==1\n");
        assert_eq!(environment.provide(&mut machine), Ok(()));
        let [created, installed] = &machine.ran[..] else { panic!("{:?}", machine.ran) };
        assert!(created.starts_with("python3 -m venv --without-pip "), "{created}");
        assert!(installed.ends_with("/list") && installed.contains(" install "), "{installed}");

        assert_eq!(environment.provide(&mut machine), Ok(()));
        assert_eq!(machine.ran.len(), 2, "it is not created again");
    }

    #[test]
    fn it_is_created_again_for_another_list_or_interpreter() {
        let (_place, environment, mut machine) = wanting("lathe==1\n");
        environment.provide(&mut machine).expect("it is created");
        fs::write(&environment.list, "lathe==2\n").expect("another list");
        environment.provide(&mut machine).expect("it is created");
        assert_eq!(machine.ran.len(), 4);
        fs::remove_file(&machine.python).expect("the interpreter was there");
        environment.provide(&mut machine).expect("it is created");
        assert_eq!(machine.ran.len(), 6);
    }

    #[test]
    fn an_interrupted_installation_is_repeated() {
        let (_place, environment, mut machine) = wanting("lathe==1\n");
        machine.fails = true;
        let failure = environment.provide(&mut machine).expect_err("it fails");
        assert!(failure.what.ends_with("no network"), "{failure}");
        assert!(failure.do_this.contains("--embedded-only"), "{failure}");
        machine.fails = false;
        assert_eq!(environment.provide(&mut machine), Ok(()));
    }
}
