//! Where programs are found.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// PATH, and the folders of servers, which Debian keeps off the PATH of everybody but root.
/// Those of PostgreSQL are on nobody's: several versions may be there, and the newest is meant.
pub fn search_path() -> OsString {
    #[expect(clippy::disallowed_methods, reason = "the only way to find a program")]
    let path = env::var_os("PATH").unwrap_or_default();
    let postgres = postgres_folders(Path::new("/usr/lib/postgresql"));
    with_server_folders(path, postgres)
}

/// The folders of programs below `home`, which holds a folder a version. The newest comes first.
fn postgres_folders(home: &Path) -> Vec<PathBuf> {
    let versions = fs::read_dir(home).into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions
        .filter_map(|entry| Some((version(entry.file_name().to_str()?)?, entry.path())))
        .collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    versions.into_iter().map(|(_, folder)| folder.join("bin")).collect()
}

/// As numbers: 9.6 is older than 15.
fn version(name: &str) -> Option<Vec<u32>> {
    name.split('.').map(|number| number.parse().ok()).collect()
}

fn with_server_folders(path: OsString, postgres: Vec<PathBuf>) -> OsString {
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let system = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    for folder in system.into_iter().chain(postgres) {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    // Joining fails only for a folder that PATH could not have held.
    env::join_paths(folders).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folders_of_servers_are_searched_once_and_last() {
        let path = |text: &str| {
            let path = with_server_folders(text.into(), vec!["/pg/15/bin".into()]);
            path.into_string().expect("it is text")
        };
        assert_eq!(path("/usr/bin"), "/usr/bin:/usr/local/sbin:/usr/sbin:/sbin:/pg/15/bin");
        assert_eq!(
            path("/pg/15/bin:/usr/sbin:/usr/bin"),
            "/pg/15/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/sbin"
        );
    }

    #[test]
    fn of_several_versions_of_a_database_the_newest_is_searched_first() {
        let home = tempfile::tempdir().expect("a folder");
        for name in ["9.6", "15", "9.10", "common", "17"] {
            fs::create_dir(home.path().join(name)).expect("a folder");
        }
        let found = postgres_folders(home.path());
        let expected = ["17", "15", "9.10", "9.6"].map(|name| home.path().join(name).join("bin"));
        assert_eq!(found, expected);
        assert!(postgres_folders(&home.path().join("nowhere")).is_empty());
    }
}
