//! The script of the pipelines: with a `kubectl` and a `docker` that only log their arguments, and on a git
//! repository.

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    checked,
    overlay::{deploy, object, objects, objects_in},
};

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

/// A repository with a copy of deploy/, and a clone of it, as a pipeline has one.
struct Repository(TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        let (origin, clone) = (repository.origin(), repository.clone());
        git(Command::new("git").args(["init", "--bare", "--initial-branch", "main"]).arg(&origin));
        git(Command::new("git").arg("clone").args([&origin, &clone]));
        checked(Command::new("cp").arg("-R").arg(deploy("")).arg(clone.join("deploy"))).unwrap();
        git(in_folder(&clone, "git").args(["add", "."]));
        let author = ["-c", "user.name=test", "-c", "user.email=test@localhost"];
        git(in_folder(&clone, "git").args(author).args(["commit", "--message", "deploy"]));
        git(in_folder(&clone, "git").args(["push", "origin", "HEAD:main"]));
        repository
    }

    fn origin(&self) -> PathBuf {
        self.0.path().join("origin.git")
    }

    fn clone(&self) -> PathBuf {
        self.0.path().join("clone")
    }

    /// Refuses the first push, as if another one had been first.
    fn refuse_a_push(&self) {
        let hook = self.origin().join("hooks/pre-receive");
        fs::create_dir_all(hook.parent().unwrap()).unwrap();
        fs::write(&hook, "#!/bin/sh\n[ -e refused ] || { touch refused; exit 1; }\n").unwrap();
        fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn record(&self, service: &str) {
        let mut script = in_folder(&self.clone(), "sh");
        script.args(["deploy/pipelines/service.sh", "record", service]);
        script.envs([("REGISTRY", "registry.example:5000/team"), ("TAG", "12e4")]);
        checked(&mut script).unwrap_or_else(|error| panic!("{service}: {error}"));
    }

    /// What `kubectl apply -k` of a new checkout deploys.
    fn applied(&self, overlay: &str) -> Vec<Value> {
        let checkout = tempfile::tempdir().unwrap();
        git(Command::new("git").arg("clone").arg(self.origin()).arg(checkout.path()));
        objects_in(&checkout.path().join("deploy"), overlay)
    }
}

fn image<'a>(objects: &'a [Value], service: &str) -> &'a str {
    let pod = &object(objects, "Deployment", service)["spec"]["template"]["spec"];
    pod["containers"][0]["image"].as_str().unwrap()
}

fn in_folder(folder: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder);
    command
}

fn git(command: &mut Command) {
    if let Err(error) = checked(command) {
        panic!("{command:?}: {error}");
    }
}

#[test]
fn an_image_that_is_recorded_is_what_kubectl_apply_deploys() {
    let repository = Repository::new();
    repository.record("booking");
    for overlay in ["local", "reference", "istio"] {
        let (before, after) = (objects(overlay), repository.applied(overlay));
        assert_eq!(image(&after, "booking"), "registry.example:5000/team/booking:12e4");
        assert_eq!(image(&after, "vaccine"), image(&before, "vaccine"), "{overlay}");
    }
    // Again, with nothing to commit.
    repository.record("booking");
}

#[test]
fn an_image_is_recorded_although_another_pipeline_pushes_first() {
    let repository = Repository::new();
    repository.refuse_a_push();
    repository.record("gateway");
    let applied = repository.applied("production");
    assert_eq!(image(&applied, "gateway"), "registry.example:5000/team/gateway:12e4");
}

#[test]
fn each_pipeline_records_what_it_has_deployed() {
    let azure = fs::read_to_string(deploy("pipelines/azure.yml")).unwrap();
    let cloud = fs::read_to_string(deploy("../services/booking/cloudbuild.yml")).unwrap();
    for pipeline in [azure, cloud] {
        let at = |step: &str| pipeline.find(&format!("service.sh {step} ")).unwrap();
        assert!(at("deploy") < at("record"), "{pipeline}");
    }
}
