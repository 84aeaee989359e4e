//! The folders that are searched for programs.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// PATH, then the folders of servers, which Debian puts on root's PATH only, then those of
/// PostgreSQL, which are on no PATH; the newest version first.
pub fn search_path() -> OsString {
    #[expect(clippy::disallowed_methods, reason = "the only way to find a program")]
    let path = env::var_os("PATH").unwrap_or_default();
    let postgres = postgres_folders(Path::new("/usr/lib/postgresql"));
    with_server_folders(path, postgres)
}

/// The program folders below `home`, which has one folder per version. The newest is first.
fn postgres_folders(home: &Path) -> Vec<PathBuf> {
    let versions = fs::read_dir(home).into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions
        .filter_map(|entry| Some((version(entry.file_name().to_str()?)?, entry.path())))
        .collect();
    versions.sort_unstable_by(|one, other| other.cmp(one));
    versions.into_iter().map(|(_, folder)| folder.join("bin")).collect()
}

/// Numbers, since 9.6 is older than 15.
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
    // Fails only for a folder whose name PATH cannot contain.
    env::join_paths(folders).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_servers_are_appended_once() {
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
    fn the_newest_version_of_postgresql_is_searched_first() {
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
