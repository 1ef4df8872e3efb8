//! `cargo xtask new-op`: the folder of a new operation, and the lines that make it known.

mod comments;
mod formulas;
mod place;
mod values;

use std::path::Path;
use std::process::ExitCode;

use comments::fill_comments;
use formulas::Formulas;
use place::{Place, begins, insert, insert_into_list};
use values::values;

use crate::process::root;
use crate::template::{self, File};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    /// The operation's name, in snake case.
    name: String,
    /// How many tensors it takes: 1 to 8.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
    inputs: u8,
    /// How many tensors it gives: 1 to 4.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=4))]
    outputs: u8,
    /// With kernels for Flex, NdArray and CubeCL, and not Burn's operations alone.
    #[arg(long)]
    kernel: bool,
}

const OPERATIONS: &str = "crates/burn-autograd-ops/src";

/// The templates of an operation's folder, and whether they are of kernels.
const TEMPLATES: [(&str, &str, bool); 9] = [
    ("mod.rs", include_str!("../templates/op/mod.rs.tmpl"), false),
    ("spec.rs", include_str!("../templates/op/spec.rs.tmpl"), false),
    ("backward.rs", include_str!("../templates/op/backward.rs.tmpl"), false),
    ("check.rs", include_str!("../templates/op/check.rs.tmpl"), false),
    ("router.rs", include_str!("../templates/op/router.rs.tmpl"), false),
    ("kernel.rs", include_str!("../templates/op/kernel.rs.tmpl"), true),
    ("flex.rs", include_str!("../templates/op/cpu.rs.tmpl"), true),
    ("ndarray.rs", include_str!("../templates/op/cpu.rs.tmpl"), true),
    ("cube.rs", include_str!("../templates/op/cube.rs.tmpl"), true),
];

/// The files that operations are registered in.
const REGISTRIES: [&str; 3] = [
    "crates/burn-autograd-ops/src/lib.rs",
    "crates/burn-autograd-ops/src/check.rs",
    "crates/burn-autograd-ops/src/remote.rs",
];

/// The engine's prelude: an operation of the same name could not be used beside it.
const PRELUDE: &str = "crates/burn-autograd/src/lib.rs";

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let files = plan(&root(), arguments)?;
    template::write(&files)?;
    let Arguments { name, kernel, .. } = arguments;
    let written = |registry: bool| {
        let is_registry = |path: &Path| REGISTRIES.iter().any(|file| path.ends_with(file));
        let paths = files.iter().map(|(path, _)| path);
        let paths = paths.filter(move |path| is_registry(path) == registry);
        paths.map(|path| path.strip_prefix(root()).unwrap_or(path).display().to_string())
    };
    written(false).for_each(|path| println!("wrote {path}"));
    written(true).for_each(|path| println!("registered in {path}"));
    let kernels = if *kernel { ", kernel.rs and cube.rs" } else { "" };
    println!(
        "\n`cargo xtask gradcheck {name}` fails until {OPERATIONS}/{name}/spec.rs has a backward: fill \
         in `gradients`. Then put your formula in place of the one that stands in mod.rs, \
         spec.rs{kernels}, and choose in check.rs where to check it."
    );
    if *kernel {
        println!("A backend that has a kernel for the gradient overrides `{name}_backward`.");
    }
    Ok(ExitCode::SUCCESS)
}

/// The files as they are to be.
fn plan(root: &Path, arguments: &Arguments) -> Result<Vec<File>, String> {
    let name = &*arguments.name;
    template::snake_case("NAME", name)?;
    let registries = REGISTRIES.map(|file| template::read(&root.join(file)));
    let [operations, check, remote] = registries;
    let registries = [operations?, check?, remote?];
    refuse_taken(root, name, &registries)?;
    let mut files = Vec::new();
    for (file, text) in render(arguments)? {
        files.push((root.join(OPERATIONS).join(name).join(file), text));
    }
    for (file, new) in REGISTRIES.into_iter().zip(register(arguments, &registries)?) {
        files.push((root.join(file), template::rustfmt(file, &new)?));
    }
    Ok(files)
}

/// The types that are named after an operation.
struct Types {
    rule: String,
    ops: String,
    method: String,
}

impl Types {
    fn of(name: &str) -> Self {
        let rule = template::camel_case(name);
        Self { ops: format!("{rule}Ops"), method: format!("Tensor{rule}"), rule }
    }
}

fn refuse_taken(root: &Path, name: &str, registries: &[String]) -> Result<(), String> {
    let folder = root.join(OPERATIONS);
    if folder.join(name).exists() || folder.join(format!("{name}.rs")).exists() {
        return Err(format!("NAME: expected a new name, but {OPERATIONS}/{name} exists"));
    }
    let Types { rule, ops, method } = Types::of(name);
    let names = [name, &rule, &ops, &method];
    let prelude = template::read(&root.join(PRELUDE))?;
    let texts = registries.iter().chain([&prelude]);
    for (file, text) in REGISTRIES.into_iter().chain([PRELUDE]).zip(texts) {
        let known = |word: &&str| {
            // Also what follows a path: it is imported.
            text.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| {
                line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                    .any(|known| known == *word)
            })
        };
        if let Some(taken) = names.iter().find(|word| known(word)) {
            return Err(format!("NAME: expected a new name, but {file} has a `{taken}`"));
        }
    }
    for (_, text, _) in TEMPLATES {
        let used = template::identifiers(text);
        if let Some(taken) = names.iter().find(|word| used.contains(word)) {
            return Err(format!(
                "NAME: `{name}` cannot be used, for every operation's code has a `{taken}` of its own"
            ));
        }
    }
    Ok(())
}

fn render(arguments: &Arguments) -> Result<Vec<(&'static str, String)>, String> {
    let mut files = Vec::new();
    for (file, text, of_kernels) in TEMPLATES {
        if of_kernels && !arguments.kernel {
            continue;
        }
        let mut values = values(arguments);
        let (backend, support) =
            if file == "flex.rs" { ("Flex", "flex") } else { ("NdArray", "ndarray") };
        values.set("backend", backend);
        values.set("support", support);
        let text = template::rustfmt(file, &values.render(text)?)?;
        files.push((file, fill_comments(&text)));
    }
    Ok(files)
}

/// The registries with the operation in them, in the order of [`REGISTRIES`].
fn register(
    arguments: &Arguments,
    [operations, check, remote]: &[String; 3],
) -> Result<[String; 3], String> {
    let name = &*arguments.name;
    let Types { ops, method, .. } = Types::of(name);
    let [operations_file, check_file, remote_file] = REGISTRIES;
    let formulas = Formulas::new(arguments);

    // rustfmt sorts modules and imports.
    let (file, line) = (operations_file, format!("pub mod {name};"));
    let text = insert(file, operations, Place::Before, &line, begins("pub mod "))?;
    let line = format!("    pub use crate::{name}::{{{method}, {name}}};");
    let text = insert(file, &text, Place::Before, &line, begins("    pub use crate::"))?;
    let line = format!(
        "//! | [`{name}`](mod@{name}) | {} | {} | {} |",
        formulas.short(),
        formulas.short_derivative(),
        formulas.saved()
    );
    let operations = insert(file, &text, Place::After, &line, begins("//! | ["))?;

    // At the end: each operation's random numbers depend on its place.
    let path = "::check::cases,";
    let line = format!("        crate::{name}{path}");
    let check = insert(check_file, check, Place::After, &line, |known| known.ends_with(path))?;

    let line = format!("use crate::{name}::{ops};");
    let text = insert(remote_file, remote, Place::Before, &line, begins("use crate::"))?;
    let text = insert_into_list(remote_file, &text, "all_ops!(\n", &ops)?;
    let path = "::router::register(registry);";
    let line = format!("    crate::{name}{path}");
    let remote = insert(remote_file, &text, Place::Sorted, &line, |known| known.ends_with(path))?;
    Ok([operations, check, remote])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Arguments, REGISTRIES, plan, refuse_taken, register, render};
    use crate::process::root;
    use crate::template;

    pub(super) fn arguments(name: &str, inputs: u8, outputs: u8, kernel: bool) -> Arguments {
        Arguments { name: name.to_owned(), inputs, outputs, kernel }
    }

    /// rustfmt parses what it formats.
    #[test]
    fn every_file_of_every_operation_is_rust() {
        for (inputs, outputs) in [(1, 1), (2, 1), (1, 3), (3, 2), (8, 4)] {
            for kernel in [false, true] {
                let files = render(&arguments("soft_plus", inputs, outputs, kernel)).unwrap();
                assert_eq!(files.len(), if kernel { 9 } else { 5 });
                for (file, text) in files {
                    assert!(!text.contains("{{") && !text.contains("todo!"), "{file}:\n{text}");
                    assert!(text.contains("soft_plus") || file == "kernel.rs", "{file}:\n{text}");
                    // It stays as it is: `cargo fmt --check` passes.
                    assert_eq!(template::rustfmt(file, &text).unwrap(), text, "{file}");
                }
            }
        }
    }

    #[test]
    fn a_new_operation_stands_in_every_registry() {
        let arguments = arguments("soft_plus", 2, 1, false);
        let files = plan(&root(), &arguments).unwrap();
        assert_eq!(files.len(), 5 + REGISTRIES.len());
        for (file, lines) in [
            (
                "burn-autograd-ops/src/lib.rs",
                &[
                    "pub mod soft_plus;",
                    "    pub use crate::soft_plus::{TensorSoftPlus, soft_plus};",
                ][..],
            ),
            ("burn-autograd-ops/src/check.rs", &["        crate::soft_plus::check::cases,"]),
            (
                "burn-autograd-ops/src/remote.rs",
                &[
                    "use crate::soft_plus::SoftPlusOps;",
                    "    SoftPlusOps,",
                    "    crate::soft_plus::router::register(registry);",
                ],
            ),
        ] {
            let (path, new) = files.iter().find(|(path, _)| path.ends_with(file)).unwrap();
            let old = std::fs::read_to_string(path).unwrap();
            let added: Vec<_> =
                new.lines().filter(|line| !old.lines().any(|old| old == *line)).collect();
            for line in lines {
                assert!(added.contains(line), "{file}: {added:#?}");
            }
            // Nothing else has changed, but for the row in the table of operations.
            let rows = added.iter().filter(|line| line.starts_with("//! | [`soft_plus`]")).count();
            assert_eq!(added.len(), lines.len() + rows, "{file}: {added:#?}");
            let kept: Vec<_> = new.lines().filter(|line| !added.contains(line)).collect();
            assert_eq!(kept, old.lines().collect::<Vec<_>>(), "{file}");
        }
    }

    #[test]
    fn names_that_are_taken_or_would_hide_something_are_refused() {
        for (name, why) in [
            ("legendre_p3", "burn-autograd-ops/src/legendre_p3 exists"),
            // The type would be that of `legendre_p3`.
            ("legendre_p_3", "LegendreP3`"),
            ("jacobian", "burn-autograd/src/lib.rs has a `jacobian`"),
            ("remote", "exists"),
            ("tensor", "has a `tensor`"),
            ("geometry", "has a `geometry` of its own"),
            ("grad", "`grad`"),
            ("dtype", "has a `dtype` of its own"),
            ("match", "keyword"),
            ("softPlus", "snake case"),
        ] {
            let error = plan(&root(), &arguments(name, 1, 1, false)).expect_err(name);
            assert!(error.starts_with("NAME: ") && error.contains(why), "{name}: {error}");
        }
    }

    /// Names of Burn's own, which a backend has, too.
    #[test]
    fn usual_names_are_not_refused() {
        let registries = REGISTRIES.map(|file| template::read(&root().join(file)).unwrap());
        for name in ["gelu", "softmax", "sigmoid", "softplus", "huber", "sinc", "conv1d", "norm"] {
            assert_eq!(refuse_taken(&root(), name, &registries), Ok(()));
        }
    }

    #[test]
    fn a_missing_place_is_an_error_that_names_it() {
        let registries = REGISTRIES.map(|file| template::read(&root().join(file)).unwrap());
        for (index, anchor) in [
            (0, "pub mod "),
            (0, "    pub use crate::"),
            (0, "//! | ["),
            (1, "::check::cases,"),
            (2, "use crate::"),
            (2, "all_ops!("),
            (2, "::router::register"),
        ] {
            let mut registries = registries.clone();
            registries[index] = registries[index].replace(anchor, "// ");
            let error = register(&arguments("soft_plus", 1, 1, false), &registries).unwrap_err();
            let file = REGISTRIES[index];
            assert!(error.starts_with(&format!("{file}: expected ")), "{anchor}: {error}");
            assert!(error.ends_with("nothing was changed"), "{anchor}: {error}");
        }
        let nowhere = Path::new("/nonexistent");
        assert!(plan(nowhere, &arguments("soft_plus", 1, 1, false)).is_err());
    }
}
