//! The script of the pipelines, with a `kubectl` and a `docker` that only record their arguments.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::overlay::deploy;

/// A folder with the two programs. They fail for arguments that match a shell pattern.
struct FakePrograms(TempDir);

impl FakePrograms {
    fn failing_for(pattern: &str) -> Self {
        let programs = Self(tempfile::tempdir().unwrap());
        for program in ["kubectl", "docker"] {
            let file = programs.0.path().join(program);
            let script = format!(
                "#!/bin/sh\necho \"{program} $*\" >> \"{}\"\ncase \"$*\" in {pattern}) exit 1;; esac\n",
                programs.log().display()
            );
            fs::write(&file, script).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        programs
    }

    fn service_sh(&self, arguments: &[&str]) -> Output {
        let path = env::join_paths([self.0.path(), Path::new("/usr/bin"), Path::new("/bin")]);
        Command::new("sh")
            .arg(deploy("pipelines/service.sh"))
            .args(arguments)
            .env_clear()
            .envs([("REGISTRY", "registry.example"), ("TAG", "abc")])
            .env("PATH", path.unwrap())
            .output()
            .unwrap()
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("log")
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }
}

#[test]
fn an_image_that_becomes_ready_stays_deployed() {
    let programs = FakePrograms::failing_for("never");
    assert_eq!(programs.service_sh(&["deploy", "booking"]).status.code(), Some(0));
    let calls = programs.calls();
    let set = "set image deployment/booking anticorona=registry.example/booking:abc";
    assert!(calls.contains(set), "{calls}");
    assert!(!calls.contains("undo"), "{calls}");
}

#[test]
fn an_image_that_does_not_become_ready_is_rolled_back_and_fails_the_pipeline() {
    let programs = FakePrograms::failing_for("*'rollout status'*");
    assert_eq!(programs.service_sh(&["deploy", "booking"]).status.code(), Some(1));
    let calls = programs.calls();
    let at = |what: &str| calls.find(what).unwrap_or_else(|| panic!("no {what} in\n{calls}"));
    assert!(at("rollout status") < at("rollout undo deployment/booking"), "{calls}");
}

#[test]
fn the_image_that_is_built_is_the_one_that_is_pushed() {
    let programs = FakePrograms::failing_for("never");
    for step in ["build", "push"] {
        assert_eq!(programs.service_sh(&[step, "gateway"]).status.code(), Some(0), "{step}");
    }
    let calls = programs.calls();
    let image = "registry.example/gateway:abc";
    assert!(calls.contains(&format!("--build-arg SERVICE=gateway --tag {image}")), "{calls}");
    assert!(calls.contains(&format!("docker push {image}")), "{calls}");
}

#[test]
fn an_unknown_step_or_service_runs_nothing() {
    let programs = FakePrograms::failing_for("never");
    for wrong in [["deploy", "bookings"], ["delete", "booking"]] {
        assert_eq!(programs.service_sh(&wrong).status.code(), Some(64), "{wrong:?}");
    }
    assert_eq!(programs.calls(), "");
}
