//! What the pipelines of all parts run, with a cluster and a registry that only write down what they
//! are told.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::overlay::deploy;

/// Where `kubectl` and `docker` are these, which note their arguments; whatever `fails` says fails.
struct Place(TempDir);

impl Place {
    fn where_fails(fails: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for program in ["kubectl", "docker"] {
            let file = place.0.path().join(program);
            let script = format!(
                "#!/bin/sh\necho \"{program} $*\" >> \"{}\"\ncase \"$*\" in {fails}) exit 1;; esac\n",
                place.notes().display()
            );
            fs::write(&file, script).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        place
    }

    fn part_sh(&self, arguments: &[&str]) -> Output {
        let path = env::join_paths([self.0.path(), Path::new("/usr/bin"), Path::new("/bin")]);
        Command::new("sh")
            .arg(deploy("pipelines/part.sh"))
            .args(arguments)
            .env_clear()
            .envs([("REGISTRY", "registry.example"), ("TAG", "abc")])
            .env("PATH", path.unwrap())
            .output()
            .unwrap()
    }

    fn notes(&self) -> std::path::PathBuf {
        self.0.path().join("notes")
    }

    fn noted(&self) -> String {
        fs::read_to_string(self.notes()).unwrap_or_default()
    }
}

#[test]
fn a_version_that_comes_up_stays() {
    let place = Place::where_fails("never");
    assert_eq!(place.part_sh(&["deploy", "booking"]).status.code(), Some(0));
    let noted = place.noted();
    let set = "set image deployment/booking anticorona=registry.example/booking:abc";
    assert!(noted.contains(set), "{noted}");
    assert!(!noted.contains("undo"), "{noted}");
}

#[test]
fn a_version_that_does_not_come_up_is_rolled_back_and_fails_the_pipeline() {
    let place = Place::where_fails("*'rollout status'*");
    assert_eq!(place.part_sh(&["deploy", "booking"]).status.code(), Some(1));
    let noted = place.noted();
    let at = |what: &str| noted.find(what).unwrap_or_else(|| panic!("no {what} in\n{noted}"));
    assert!(at("rollout status") < at("rollout undo deployment/booking"), "{noted}");
}

#[test]
fn what_is_built_is_what_is_pushed() {
    let place = Place::where_fails("never");
    for step in ["build", "push"] {
        assert_eq!(place.part_sh(&[step, "gateway"]).status.code(), Some(0), "{step}");
    }
    let noted = place.noted();
    let image = "registry.example/gateway:abc";
    assert!(noted.contains(&format!("--build-arg PART=gateway --tag {image}")), "{noted}");
    assert!(noted.contains(&format!("docker push {image}")), "{noted}");
}

#[test]
fn an_unknown_step_or_part_touches_nothing() {
    let place = Place::where_fails("never");
    for wrong in [["deploy", "bookings"], ["delete", "booking"]] {
        assert_eq!(place.part_sh(&wrong).status.code(), Some(64), "{wrong:?}");
    }
    assert_eq!(place.noted(), "");
}
