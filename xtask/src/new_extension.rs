//! `cargo xtask new-extension`: a crate of its own with one differentiable function, its gradient check and its
//! README.

use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use crate::process::root;
use crate::template::{self, File, Values};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// The crate's name, in snake case; words may be joined by hyphens.
    name: String,
    /// Its folder, which must not exist or be empty [default: NAME in the current folder].
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
}

const TEMPLATES: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("templates/extension/Cargo.toml.tmpl")),
    ("src/lib.rs", include_str!("templates/extension/lib.rs.tmpl")),
    ("tests/gradcheck.rs", include_str!("templates/extension/gradcheck.rs.tmpl")),
    ("README.md", include_str!("templates/extension/README.md.tmpl")),
    (".gitignore", include_str!("templates/extension/gitignore.tmpl")),
];

/// Crates that the new one depends on, or that cargo keeps to itself.
const TAKEN: [&str; 9] =
    ["alloc", "build", "burn", "burn_autograd", "core", "deps", "proc_macro", "std", "test"];

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let here = std::env::current_dir().map_err(|error| format!("no current folder: {error}"))?;
    let folder = folder(&here, arguments)?;
    let files = plan(&root(), &folder, &arguments.name)?;
    template::write(&files)?;
    for (path, _) in &files {
        println!("wrote {}", path.display());
    }
    println!("\n`cargo test` in {} checks the gradient of its function.", folder.display());
    Ok(ExitCode::SUCCESS)
}

/// Where the crate goes. An error if something is there, or if it would become a part of this
/// workspace.
fn folder(here: &Path, arguments: &Arguments) -> Result<PathBuf, String> {
    check_name(&arguments.name)?;
    let path = arguments.path.as_deref().unwrap_or_else(|| Path::new(&arguments.name));
    let folder = normal(&here.join(path));
    let refuse = |why: &str| {
        Err(format!("--path: expected a folder of its own, but {} {why}", folder.display()))
    };
    if folder.parent() == Some(&normal(&root().join("crates"))) {
        return refuse("would be a member of this workspace");
    }
    let is_empty =
        |folder: &Path| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if folder.exists() && !is_empty(&folder) {
        return refuse("exists and is not empty");
    }
    Ok(folder)
}

/// Without `.` and `..`, also of a path that does not exist yet.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

fn check_name(name: &str) -> Result<(), String> {
    let library = name.replace('-', "_");
    template::snake_case("NAME", &library).map_err(|error| error.replace(&*library, name))?;
    if TAKEN.contains(&&*library) {
        return Err(format!("NAME: expected a name for a new crate, got `{name}`"));
    }
    Ok(())
}

/// The crate's files.
fn plan(root: &Path, folder: &Path, name: &str) -> Result<Vec<File>, String> {
    let values = values(root, name)?;
    let mut files = Vec::new();
    for (file, text) in TEMPLATES {
        let mut text = values.render(text)?;
        if file.ends_with(".rs") {
            text = template::rustfmt(file, &text)?;
        }
        files.push((folder.join(file), text));
    }
    // The releases of the dependencies that this workspace is tested with. Cargo drops from it what the
    // crate does not need.
    let lock = root.join("Cargo.lock");
    if lock.exists() {
        files.push((folder.join("Cargo.lock"), template::read(&lock)?));
    }
    Ok(files)
}

fn values(root: &Path, name: &str) -> Result<Values, String> {
    let manifest = template::read(&root.join("Cargo.toml"))?;
    let quoted = |start: &str| {
        let line = manifest.lines().find_map(|line| line.strip_prefix(start));
        let value = line.and_then(|line| line.split('"').nth(1));
        value.ok_or_else(|| {
            format!("Cargo.toml: expected a line that begins with `{start}`, got none")
        })
    };
    let burn = quoted("burn = { version = ")?;
    let path = root.join("crates/burn-autograd");
    let path =
        path.to_str().ok_or_else(|| format!("expected a path in UTF-8, got {}", root.display()))?;
    let mut values = Values::default();
    values.set("package", name);
    values.set("library", name.replace('-', "_"));
    values.set("burn", burn);
    values.set("burn_version", burn);
    values.set("rust_version", quoted("rust-version = ")?);
    values.set("version", quoted("version = ")?);
    values.set("burn_autograd", toml_string(path));
    Ok(values)
}

/// A basic string of TOML.
fn toml_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Arguments, TEMPLATES, check_name, folder, normal, plan, toml_string};
    use crate::process::root;
    use crate::template;

    fn arguments(name: &str, path: Option<&Path>) -> Arguments {
        Arguments { name: name.to_owned(), path: path.map(Path::to_path_buf) }
    }

    #[test]
    fn names() {
        for name in ["my-ops", "my_ops", "gaussians", "ops2"] {
            assert_eq!(check_name(name), Ok(()));
        }
        for name in
            ["", "My-Ops", "my ops", "2ops", "-ops", "../ops", "burn-autograd", "core", "fn"]
        {
            let error = check_name(name).unwrap_err();
            assert!(error.starts_with("NAME: expected a name"), "{error}");
            assert!(error.contains(&format!("`{name}`")), "{error}");
        }
    }

    #[test]
    fn the_folder_is_new_and_outside_of_the_workspace() {
        let here = std::env::temp_dir().join(format!("xtask-extension-{}", std::process::id()));
        std::fs::create_dir_all(here.join("full/sub")).unwrap();
        std::fs::create_dir_all(here.join("empty")).unwrap();
        let at =
            |name: &str, path: Option<&str>| folder(&here, &arguments(name, path.map(Path::new)));
        assert_eq!(at("new", None), Ok(here.join("new")));
        assert_eq!(at("new", Some("./a/../b")), Ok(here.join("b")));
        assert_eq!(at("new", Some("empty")), Ok(here.join("empty")));
        for path in ["full", "full/sub/.."] {
            let error = at("new", Some(path)).unwrap_err();
            assert!(error.ends_with("exists and is not empty"), "{error}");
        }
        let member = root().join("crates/new");
        let error = at("new", member.to_str()).unwrap_err();
        assert!(error.ends_with("would be a member of this workspace"), "{error}");
        std::fs::remove_dir_all(&here).unwrap();
        assert_eq!(normal(Path::new("/a/./b/../c")), PathBuf::from("/a/c"));
    }

    #[test]
    fn the_files_are_complete() {
        let folder = Path::new("/somewhere/my-ops");
        let files = plan(&root(), folder, "my-ops").unwrap();
        assert_eq!(files.len(), TEMPLATES.len() + 1);
        for (path, text) in &files {
            assert!(path.starts_with(folder));
            assert!(!text.contains("{{") && !text.contains("todo!"), "{}", path.display());
            let file = path.to_str().unwrap();
            if file.ends_with(".rs") {
                assert!(text.contains("my_ops::"), "{file}");
                assert_eq!(template::rustfmt(file, text).unwrap(), *text, "{file}");
            }
        }
        let text = |file: &str| {
            let found = files.iter().find(|(path, _)| path.ends_with(file));
            &found.unwrap_or_else(|| panic!("there is a {file}")).1
        };
        let manifest = text("Cargo.toml");
        for line in ["name = \"my-ops\"", "[workspace]", "burn = { version = \"0.22.1\""] {
            assert!(manifest.contains(line), "{line}: {manifest}");
        }
        let path = toml_string(root().join("crates/burn-autograd").to_str().unwrap());
        assert_eq!(manifest.matches(&format!("path = {path}")).count(), 2, "{manifest}");
        assert!(text("README.md").contains("use my_ops::gaussian;"));
        assert!(text("Cargo.lock").contains("name = \"burn\"\nversion = \"0.22.1\""));
    }

    #[test]
    fn paths_are_strings_of_toml() {
        assert_eq!(toml_string("C:\\a \"b\""), "\"C:\\\\a \\\"b\\\"\"");
    }
}
