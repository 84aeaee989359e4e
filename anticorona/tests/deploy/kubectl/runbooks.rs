//! The runbooks agree with the overlays.

use std::fs;

use super::objects;
use crate::overlay::{deploy, object};

fn runbook(name: &str) -> String {
    fs::read_to_string(deploy("../docs/runbooks").join(name)).unwrap()
}

/// The text below a heading.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, below) = page.split_once(&format!("\n## {heading}\n")).unwrap();
    below.split("\n## ").next().unwrap()
}

#[test]
fn after_opening_day_the_autoscalers_have_the_numbers_of_production_again() {
    let objects = objects("production");
    let page = runbook("opening-day.md");
    let (before, after) = (section(&page, "An hour before"), section(&page, "Afterwards"));
    // It would deploy the images of the checkout.
    assert!(!after.contains("apply -k"), "{after}");
    let patched = before.lines().filter_map(|line| line.strip_prefix("k patch hpa "));
    for name in patched.map(|line| line.split(' ').next().unwrap()) {
        let min = &object(&objects, "HorizontalPodAutoscaler", name)["spec"]["minReplicas"];
        let patch = format!(
            r#"k patch hpa {name} --type merge --patch '{{"spec":{{"minReplicas":{min}}}}}'"#
        );
        assert!(after.contains(&patch), "{patch} is missing");
    }
    assert!(before.contains("k patch hpa booking"), "{before}");
}

#[test]
fn wherever_a_runbook_applies_an_overlay_it_says_which_images_that_deploys() {
    for entry in fs::read_dir(deploy("../docs/runbooks")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let page = runbook(&name);
        if page.contains("apply -k") {
            assert!(page.contains("#where-images-come-from"), "{name}");
        }
    }
}

#[test]
fn after_a_restore_services_without_an_autoscaler_have_the_replicas_of_the_overlay() {
    let objects = objects("production");
    assert_eq!(object(&objects, "Deployment", "mypage")["spec"]["replicas"], 2);
    let page = runbook("restore.md");
    let restore = section(&page, "Restore");
    let at = |command: &str| restore.find(command).unwrap();
    let scale = at("k scale deployment --all --replicas 1\n");
    assert!(scale < at("kubectl apply -k"), "the last one decides: {restore}");
}

#[test]
fn the_first_step_of_a_deployment_needs_nothing_that_runs() {
    let page = runbook("deploy.md");
    let before = section(&page, "Before");
    let first = before.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(!first.contains("exec"), "{first}");
    assert!(first.contains("--dry-run=server"), "{first}");
}
