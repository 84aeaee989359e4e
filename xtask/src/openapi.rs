//! `cargo xtask openapi`: docs/ holds what the parts say about themselves (`OpenAPI` for requests,
//! `AsyncAPI` for events), so that a change of the public interface shows in review.

use std::{fs, path::PathBuf};

use serde::de::IgnoredAny;
use servers::Failure;

use xtask::child;

/// What describes itself: the file below docs/, and what `anticorona` is asked for it.
const DOCUMENTS: [(&str, &[&str]); 5] = [
    ("openapi/vaccine.json", &["openapi", "vaccine"]),
    ("openapi/booking.json", &["openapi", "booking"]),
    ("openapi/injection.json", &["openapi", "injection"]),
    ("openapi/mypage.json", &["openapi", "mypage"]),
    ("asyncapi.json", &["asyncapi"]),
];

pub(crate) fn write() -> Result<(), Failure> {
    for (file, asked) in DOCUMENTS {
        let path = path(file);
        let text = describe(asked)?;
        let folder = path.parent().unwrap_or(child::root());
        fs::create_dir_all(folder).and_then(|()| fs::write(&path, text)).map_err(|error| {
            Failure::new(
                format!("{} could not be written: {error}", path.display()),
                "free some space, or make the folder writable",
            )
        })?;
        println!("openapi: wrote docs/{file}");
    }
    Ok(())
}

pub(crate) fn check() -> Result<(), Failure> {
    for (file, asked) in DOCUMENTS {
        let committed = fs::read_to_string(path(file)).unwrap_or_default();
        compare(file, &describe(asked)?, &committed)?;
    }
    Ok(())
}

fn compare(file: &str, described: &str, committed: &str) -> Result<(), Failure> {
    if described == committed {
        return Ok(());
    }
    let what = match committed {
        "" => format!("docs/{file} does not exist"),
        _ => format!("docs/{file} is not what the program says about itself"),
    };
    Err(Failure::new(what, "run `cargo xtask openapi`, read the difference, and commit it"))
}

fn describe(asked: &[&str]) -> Result<String, Failure> {
    let run = ["run", "-q", "-p", "anticorona", "--"];
    let command = &mut child::cargo([&run, asked].concat());
    let printed = child::printed(command, "mend what is printed above")?;
    as_file(&printed).map_err(|error| {
        Failure::new(
            format!("`anticorona {}` printed something other than JSON: {error}", asked.join(" ")),
            "let it print the description and nothing else",
        )
    })
}

/// Text files end with one line break, however the program ends its output.
fn as_file(printed: &str) -> Result<String, serde_json::Error> {
    serde_json::from_str::<IgnoredAny>(printed)?;
    Ok(format!("{}\n", printed.trim_end()))
}

fn path(file: &str) -> PathBuf {
    child::root().join("docs").join(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_description_passes_when_it_is_the_same() {
        assert_eq!(compare("openapi/booking.json", "{}\n", "{}\n"), Ok(()));
    }

    #[test]
    fn a_missing_or_old_description_fails_with_the_command_to_run() {
        for (committed, what) in [("", "does not exist"), ("{ }\n", "is not what the program says")]
        {
            let failure =
                compare("openapi/booking.json", "{}\n", committed).expect_err("they differ");
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
