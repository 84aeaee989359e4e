//! `cargo xtask openapi`: docs/openapi holds what the parts say about themselves, so that a change
//! of the public interface shows in review.

use std::{fs, path::PathBuf};

use serde::de::IgnoredAny;

use crate::{child, failure::Failure};

/// The parts that print a description of their interface.
const PARTS: [&str; 4] = ["vaccine", "booking", "injection", "mypage"];

pub(crate) fn write() -> Result<(), Failure> {
    for part in PARTS {
        let path = path(part);
        let text = describe(part)?;
        let folder = path.parent().unwrap_or(child::root());
        fs::create_dir_all(folder).and_then(|()| fs::write(&path, text)).map_err(|error| {
            Failure::new(
                format!("{} could not be written: {error}", path.display()),
                "free some space, or make the folder writable",
            )
        })?;
        println!("openapi: wrote docs/openapi/{part}.json");
    }
    Ok(())
}

pub(crate) fn check() -> Result<(), Failure> {
    for part in PARTS {
        let committed = fs::read_to_string(path(part)).unwrap_or_default();
        compare(part, &describe(part)?, &committed)?;
    }
    Ok(())
}

fn compare(part: &str, described: &str, committed: &str) -> Result<(), Failure> {
    if described == committed {
        return Ok(());
    }
    let what = match committed {
        "" => format!("docs/openapi/{part}.json does not exist"),
        _ => format!("docs/openapi/{part}.json is not what {part} says about itself"),
    };
    Err(Failure::new(what, "run `cargo xtask openapi`, read the difference, and commit it"))
}

fn describe(part: &str) -> Result<String, Failure> {
    let command = &mut child::cargo(["run", "-q", "-p", "anticorona", "--", "openapi", part]);
    let printed = child::printed(command, "mend what is printed above")?;
    as_file(&printed).map_err(|error| {
        Failure::new(
            format!("`anticorona openapi {part}` printed something other than JSON: {error}"),
            "let it print the description and nothing else",
        )
    })
}

/// Text files end with one line break, however the program ends its output.
fn as_file(printed: &str) -> Result<String, serde_json::Error> {
    serde_json::from_str::<IgnoredAny>(printed)?;
    Ok(format!("{}\n", printed.trim_end()))
}

fn path(part: &str) -> PathBuf {
    child::root().join("docs/openapi").join(format!("{part}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_description_passes_when_it_is_the_same() {
        assert_eq!(compare("booking", "{}\n", "{}\n"), Ok(()));
    }

    #[test]
    fn a_missing_or_old_description_fails_with_the_command_to_run() {
        for (committed, what) in [("", "does not exist"), ("{ }\n", "is not what booking says")] {
            let failure = compare("booking", "{}\n", committed).expect_err("they differ");
            assert!(failure.what.contains(what), "{failure}");
            assert!(failure.do_this.contains("`cargo xtask openapi`"), "{failure}");
        }
    }

    #[test]
    fn a_description_is_json_and_ends_with_one_line_break() {
        assert_eq!(as_file("{}").expect("it is JSON"), "{}\n");
        assert_eq!(as_file("{}\n\n").expect("it is JSON"), "{}\n");
        assert!(as_file("listening on 8081").is_err());
    }
}
