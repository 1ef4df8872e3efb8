//! Files that are written from templates: placeholders, names, and rustfmt.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::root;

/// What stands in a template's place.
#[derive(Debug, Default)]
pub(crate) struct Values(Vec<(&'static str, String)>);

impl Values {
    pub(crate) fn set(&mut self, key: &'static str, value: impl Into<String>) {
        self.0.push((key, value.into()));
    }

    /// A condition, for `{{if key}}` and `{{if !key}}`.
    pub(crate) fn flag(&mut self, key: &'static str, value: bool) {
        self.set(key, if value { "yes" } else { "" });
    }

    fn get(&self, key: &str) -> Result<&str, String> {
        let found = self.0.iter().find(|(known, _)| *known == key);
        found.map(|(_, value)| &**value).ok_or_else(|| format!("a template asks for `{key}`"))
    }

    /// Puts the values in place of `{{key}}`, and leaves out the lines between `{{if key}}` and
    /// `{{end}}` (each on a line of its own) whose value is empty.
    pub(crate) fn render(&self, template: &str) -> Result<String, String> {
        let mut text = String::new();
        let mut conditions = Vec::new();
        for line in template.lines() {
            let command = line.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
            if let Some(condition) = command.and_then(|command| command.strip_prefix("if ")) {
                conditions.push(match condition.strip_prefix('!') {
                    Some(key) => self.get(key)?.is_empty(),
                    None => !self.get(condition)?.is_empty(),
                });
            } else if command == Some("end") {
                conditions.pop().ok_or("a template has an `end` without `if`")?;
            } else if !conditions.contains(&false) {
                text += &self.line(line)?;
                text.push('\n');
            }
        }
        if conditions.is_empty() { Ok(text) } else { Err("a template lacks an `end`".to_owned()) }
    }

    fn line(&self, mut line: &str) -> Result<String, String> {
        let mut text = String::new();
        while let Some((before, mut rest)) = line.split_once("{{") {
            text += before;
            // Of three braces the first is the code's.
            while let Some(inner) = rest.strip_prefix('{') {
                text.push('{');
                rest = inner;
            }
            let (key, after) = rest.split_once("}}").ok_or("a template lacks `}}`")?;
            text += self.get(key)?;
            line = after;
        }
        Ok(text + line)
    }
}

/// What Rust keeps to itself, in any edition up to 2024.
const KEYWORDS: [&str; 51] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Checks that a name is one in snake case: words of lower-case letters and digits, joined by
/// single underscores, the first letter a letter, and no keyword.
pub(crate) fn snake_case(what: &str, name: &str) -> Result<(), String> {
    let letters = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !(starts && name.split('_').all(letters)) {
        return Err(format!(
            "{what}: expected a name in snake case, such as `soft_plus`, got `{name}`"
        ));
    }
    if KEYWORDS.contains(&name) {
        return Err(format!("{what}: expected a name, got the keyword `{name}`"));
    }
    Ok(())
}

/// `soft_plus` as the name of a type, `SoftPlus`.
pub(crate) fn camel_case(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_ascii_uppercase().to_string() + letters.as_str()
        })
    };
    name.split('_').map(word).collect()
}

/// The identifiers that Rust code uses on its own: not those in comments, and none that follows a
/// dot or a path.
pub(crate) fn identifiers(code: &str) -> Vec<&str> {
    let part_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        let mut start = 0;
        for word in line.split(|c| !part_of_word(c)) {
            let before = line[..start].trim_end();
            if !(word.is_empty() || before.ends_with('.') || before.ends_with("::")) {
                found.push(word);
            }
            // A separator may be longer than one byte.
            let end = start + word.len();
            start = end + line[end..].chars().next().map_or(0, char::len_utf8);
        }
    }
    found
}

/// The code as rustfmt would have it. `name` is for errors.
pub(crate) fn rustfmt(name: &str, code: &str) -> Result<String, String> {
    let mut command = Command::new("rustfmt");
    command.args(["--edition", "2024", "--emit", "stdout", "--config-path"]).arg(root());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |error: &dyn std::fmt::Display| {
        format!("cannot run rustfmt ({error}); `rustup component add rustfmt` installs it")
    };
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    let mut input = child.stdin.take().ok_or_else(|| failed(&"it has no standard input"))?;
    // It reads everything before it writes, and a refusal is told by its status.
    let written = input.write_all(code.as_bytes());
    drop(input);
    let output = child.wait_with_output().map_err(|error| failed(&error))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("rustfmt refuses {name}: {}", reason.trim()));
    }
    written.map_err(|error| failed(&error))?;
    String::from_utf8(output.stdout).map_err(|error| failed(&error))
}

/// A file to be written: where, and what.
pub(crate) type File = (PathBuf, String);

pub(crate) fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Writes all files or, if one cannot be written, none.
pub(crate) fn write(files: &[File]) -> Result<(), String> {
    let mut undo: Vec<Undo> = Vec::new();
    for (path, text) in files {
        if let Err(error) = write_one(path, text, &mut undo) {
            undo.into_iter().rev().for_each(Undo::run);
            return Err(format!("cannot write {}: {error}; nothing was changed", path.display()));
        }
    }
    Ok(())
}

/// How a step is taken back.
enum Undo {
    Restore(PathBuf, Vec<u8>),
    RemoveFile(PathBuf),
    RemoveFolder(PathBuf),
}

impl Undo {
    fn run(self) {
        // There is nothing left to do where this fails, too.
        let _ = match self {
            Self::Restore(path, text) => std::fs::write(path, text),
            Self::RemoveFile(path) => std::fs::remove_file(path),
            Self::RemoveFolder(path) => std::fs::remove_dir(path),
        };
    }
}

fn write_one(path: &Path, text: &str, undo: &mut Vec<Undo>) -> std::io::Result<()> {
    let missing = path
        .ancestors()
        .skip(1)
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists());
    let missing: Vec<_> = missing.map(Path::to_path_buf).collect();
    for folder in missing.into_iter().rev() {
        std::fs::create_dir(&folder)?;
        undo.push(Undo::RemoveFolder(folder));
    }
    undo.push(if path.exists() {
        Undo::Restore(path.to_path_buf(), std::fs::read(path)?)
    } else {
        Undo::RemoveFile(path.to_path_buf())
    });
    std::fs::write(path, text)
}

#[cfg(test)]
mod tests {
    use super::{Values, camel_case, identifiers, snake_case, write};

    #[test]
    fn placeholders_and_conditions() {
        let mut values = Values::default();
        values.set("name", "soft_plus");
        values.flag("one", true);
        values.flag("two", false);
        let template = "fn {{name}}() -> {{{name}}} {\n  {{if one}}\n1\n{{if two}}\n2\n{{end}}\n\
                        {{end}}\n{{if !two}}\n3\n{{end}}\n}";
        let text = values.render(template).unwrap();
        assert_eq!(text, "fn soft_plus() -> {soft_plus} {\n1\n3\n}\n");
        for wrong in ["{{other}}", "{{name", "{{if one}}", "{{end}}", "{{if other}}\n{{end}}"] {
            assert!(values.render(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names() {
        for name in ["gelu", "soft_plus", "legendre_p3", "x2y"] {
            assert_eq!(snake_case("NAME", name), Ok(()));
        }
        let wrong = [
            "",
            "_",
            "_gelu",
            "gelu_",
            "soft__plus",
            "softPlus",
            "SoftPlus",
            "soft-plus",
            "3d",
            "größe",
            "a b",
            "../gelu",
            "fn",
            "gen",
            "self",
            "yield",
        ];
        for name in wrong {
            let error = snake_case("NAME", name).expect_err(name);
            assert!(error.starts_with("NAME: expected a name"), "{error}");
            assert!(error.contains(&format!("`{name}`")), "{error}");
        }
        assert_eq!(camel_case("legendre_p3"), "LegendreP3");
        assert_eq!(camel_case("gelu"), "Gelu");
    }

    #[test]
    fn identifiers_are_those_that_a_name_could_hide() {
        let code = "// comment\nlet a = b.c::<D>(e::f); // ā\n  /// g\nh!(\"é\", i)";
        assert_eq!(identifiers(code), ["let", "a", "b", "D", "e", "h", "i"]);
    }

    #[test]
    fn all_files_are_written_or_none() {
        let folder = std::env::temp_dir().join(format!("xtask-template-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let old = folder.join("old");
        std::fs::write(&old, "before").unwrap();
        let new = folder.join("a/b/new");
        // A folder stands where the last file should be.
        let blocked = folder.join("blocked");
        std::fs::create_dir_all(&blocked).unwrap();
        let file = |path: &std::path::Path| (path.to_path_buf(), "after".to_owned());
        let error = write(&[file(&old), file(&new), file(&blocked)]).unwrap_err();
        assert!(error.contains("blocked") && error.contains("nothing was changed"), "{error}");
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "before");
        assert!(!folder.join("a").exists());
        write(&[file(&old), file(&new)]).unwrap();
        assert_eq!(std::fs::read_to_string(&old).unwrap(), "after");
        assert_eq!(std::fs::read_to_string(&new).unwrap(), "after");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
