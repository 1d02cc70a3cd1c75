//! How this process was started, so that another one can be started in the same way.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A program and its arguments.
#[derive(Clone, Debug)]
pub struct Program {
    /// The path by which it was started, not what was there then: an upgrade puts another file in its place.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Program {
    /// How this process was started. To be called before the working directory changes.
    pub fn of_this_process() -> Self {
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_default();
        let search = std::env::var_os("PATH").unwrap_or_default();
        Self { path: path(&name, &search), arguments: arguments.collect() }
    }
}

/// Where a program is that was started by this name.
fn path(name: &OsStr, search: &OsStr) -> PathBuf {
    let named = Path::new(name);
    let found = match named.components().count() {
        0 => None,
        1 if !name.as_encoded_bytes().contains(&b'/') => {
            std::env::split_paths(search).map(|folder| folder.join(named)).find(|path| is_program(path))
        }
        _ => Some(named.to_owned()),
    };
    // Whoever starts a program may name it as he likes.
    let found = found.filter(|path| path.exists()).or_else(|| std::env::current_exe().ok());
    let found = found.unwrap_or_else(|| named.to_owned());
    // Absolute, but with its symbolic links: an upgrade may be a link that points elsewhere.
    std::path::absolute(&found).unwrap_or(found)
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::path;

    #[test]
    fn a_program_is_found_by_its_name_as_the_shell_finds_it() {
        let folder = std::env::temp_dir().join(format!("tollgate-program-{}", std::process::id()));
        let [first, second] = ["first", "second"].map(|name| folder.join(name));
        std::fs::create_dir_all(&first).unwrap();
        std::fs::create_dir_all(&second).unwrap();
        // Of the same name, but no program.
        std::fs::write(first.join("gate"), "").unwrap();
        std::fs::write(second.join("real"), "").unwrap();
        std::fs::set_permissions(second.join("real"), std::fs::Permissions::from_mode(0o755)).unwrap();
        symlink(second.join("real"), second.join("gate")).unwrap();
        let search = std::env::join_paths([&first, &second]).unwrap();
        let found = path(OsStr::new("gate"), &search);
        let by_path = path(second.join("gate").as_os_str(), OsStr::new(""));
        let made_up = path(OsStr::new("made up"), &search);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, second.join("gate"));
        assert_eq!(by_path, second.join("gate"));
        assert_eq!(made_up, std::env::current_exe().unwrap());
    }
}
