//! `cargo xtask new-op`: the folder of a new operation, and the lines that make it known.

use std::path::Path;
use std::process::ExitCode;

use crate::process::root;
use crate::template::{self, File, Values};

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
    ("mod.rs", include_str!("templates/op/mod.rs.tmpl"), false),
    ("spec.rs", include_str!("templates/op/spec.rs.tmpl"), false),
    ("backward.rs", include_str!("templates/op/backward.rs.tmpl"), false),
    ("check.rs", include_str!("templates/op/check.rs.tmpl"), false),
    ("router.rs", include_str!("templates/op/router.rs.tmpl"), false),
    ("kernel.rs", include_str!("templates/op/kernel.rs.tmpl"), true),
    ("flex.rs", include_str!("templates/op/cpu.rs.tmpl"), true),
    ("ndarray.rs", include_str!("templates/op/cpu.rs.tmpl"), true),
    ("cube.rs", include_str!("templates/op/cube.rs.tmpl"), true),
];

/// The files that operations are registered in.
const REGISTRIES: [&str; 4] = [
    "crates/burn-autograd-ops/src/lib.rs",
    "crates/burn-autograd-ops/src/check.rs",
    "crates/burn-autograd-ops/src/remote.rs",
    "crates/burn-autograd/src/lib.rs",
];

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
         in `gradients`. Until then the example of `{name}_vjp` fails, too. Then put your formula in \
         place of the one that stands in mod.rs, spec.rs{kernels}, and choose in check.rs where to \
         prove it."
    );
    Ok(ExitCode::SUCCESS)
}

/// The files as they are to be.
fn plan(root: &Path, arguments: &Arguments) -> Result<Vec<File>, String> {
    let name = &*arguments.name;
    template::snake_case("NAME", name)?;
    let registries = REGISTRIES.map(|file| template::read(&root.join(file)));
    let [operations, check, remote, facade] = registries;
    let registries = [operations?, check?, remote?, facade?];
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
    for (file, text) in REGISTRIES.into_iter().zip(registries) {
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
    [operations, check, remote, facade]: &[String; 4],
) -> Result<[String; 4], String> {
    let name = &*arguments.name;
    let Types { ops, method, .. } = Types::of(name);
    let [operations_file, check_file, remote_file, facade_file] = REGISTRIES;
    let formulas = Formulas::new(arguments);

    // rustfmt sorts modules and imports.
    let (file, line) = (operations_file, format!("pub mod {name};"));
    let text = insert(file, operations, Place::Before, &line, begins("pub mod "))?;
    let line = format!("    pub use crate::{name}::{method};");
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

    let line = format!("    pub use burn_autograd_ops::{name}::{name};");
    let start = "    pub use burn_autograd_ops::";
    let facade = insert(facade_file, facade, Place::Before, &line, begins(start))?;
    Ok([operations, check, remote, facade])
}

/// Where among the lines of its kind a new one goes.
#[derive(Debug, Clone, Copy)]
enum Place {
    Before,
    After,
    Sorted,
}

/// Lines that begin like this.
fn begins(start: &str) -> impl Fn(&str) -> bool {
    move |line| line.starts_with(start)
}

/// Inserts a line beside those of its kind.
fn insert(
    file: &str,
    text: &str,
    place: Place,
    line: &str,
    of_its_kind: impl Fn(&str) -> bool,
) -> Result<String, String> {
    let mut lines: Vec<&str> = text.lines().collect();
    let known: Vec<usize> = (0..lines.len()).filter(|&index| of_its_kind(lines[index])).collect();
    let (Some(&first), Some(&last)) = (known.first(), known.last()) else {
        return Err(format!(
            "{file}: expected lines like `{}` to insert it beside, got none; nothing was changed",
            line.trim()
        ));
    };
    let mut index = match place {
        Place::Before => first,
        Place::After => last + 1,
        Place::Sorted => known.into_iter().find(|&index| lines[index] > line).unwrap_or(last + 1),
    };
    // An attribute belongs to the line below it.
    while index > 0 && lines[index - 1].trim_start().starts_with("#[") {
        index -= 1;
    }
    lines.insert(index, line);
    Ok(lines.join("\n") + "\n")
}

/// Inserts a name into a sorted list, one on each line, the last without a comma.
fn insert_into_list(file: &str, text: &str, start: &str, name: &str) -> Result<String, String> {
    let missing =
        || format!("{file}: expected the list `{}…)`, got none; nothing was changed", start.trim());
    let (before, rest) = text.split_once(start).ok_or_else(missing)?;
    let (list, after) = rest.split_once(");").ok_or_else(missing)?;
    let mut names: Vec<&str> = list.split(',').map(str::trim).collect();
    names.retain(|known| !known.is_empty());
    names.push(name);
    names.sort_unstable();
    Ok(format!("{before}{start}    {}\n);{after}", names.join(",\n    ")))
}

/// Fills the paragraphs of comments anew that have a line that is too long, but for code.
fn fill_comments(text: &str) -> String {
    let mut filled = String::new();
    let mut paragraph: Vec<&str> = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        let comment = Comment::of(line);
        let is_fence = comment.is_some_and(|comment| comment.text.starts_with("```"));
        let begins = comment.is_none_or(|comment| {
            in_code || comment.text.is_empty() || comment.text.starts_with(['-', '#', '|', '`'])
        });
        in_code ^= is_fence;
        let goes_on = !begins
            && paragraph.last().is_some_and(|last| {
                Comment::of(last).is_some_and(|last| {
                    let whole = last.text.is_empty() || last.text.starts_with(['#', '|']);
                    !whole && Some(last.start) == comment.map(|comment| comment.start)
                })
            });
        if !goes_on {
            fill(&mut filled, &paragraph);
            paragraph.clear();
        }
        if comment.is_none() || in_code || is_fence {
            fill(&mut filled, &paragraph);
            paragraph.clear();
            filled += line;
            filled.push('\n');
        } else {
            paragraph.push(line);
        }
    }
    fill(&mut filled, &paragraph);
    filled
}

/// A line that is a comment.
#[derive(Debug, Clone, Copy)]
struct Comment<'a> {
    /// What stands before the text.
    start: &'a str,
    text: &'a str,
}

impl<'a> Comment<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let indent = line.len() - line.trim_start().len();
        let marker = line[indent..].split(' ').next().unwrap_or_default();
        let (start, text) = line.split_at(indent + marker.len());
        matches!(marker, "//" | "///" | "//!").then_some(Self { start, text: text.trim() })
    }
}

fn fill(filled: &mut String, paragraph: &[&str]) {
    const WIDTH: usize = 100;
    let first = paragraph.first().and_then(|line| Comment::of(line));
    let Some(Comment { start, text }) =
        first.filter(|_| paragraph.iter().any(|line| width(line) > WIDTH))
    else {
        for line in paragraph {
            *filled += line;
            filled.push('\n');
        }
        return;
    };
    let indent = if text.starts_with("- ") { "  " } else { "" };
    let mut line = start.to_owned();
    let words = paragraph.iter().filter_map(|line| Comment::of(line)).map(|line| line.text);
    for word in words.flat_map(str::split_whitespace) {
        if width(&line) + 1 + width(word) > WIDTH {
            *filled += &line;
            filled.push('\n');
            line = format!("{start}{indent}");
        }
        line.push(' ');
        line += word;
    }
    *filled += &line;
    filled.push('\n');
}

/// How wide a text is, without the marks above letters.
fn width(text: &str) -> usize {
    text.chars().filter(|c| *c != '\u{304}').count()
}

/// What the operation of the templates computes: output k is Σᵢ i·xᵢᵏ⁺¹, counted from 1.
struct Formulas {
    inputs: Vec<String>,
    outputs: Vec<String>,
}

impl Formulas {
    fn new(arguments: &Arguments) -> Self {
        Self { inputs: numbered("x", arguments.inputs), outputs: numbered("y", arguments.outputs) }
    }

    fn one_input(&self) -> bool {
        self.inputs.len() == 1
    }

    fn one_output(&self) -> bool {
        self.outputs.len() == 1
    }

    /// The formula of output `k`, as code: `power` is that of an input, `factor` a number.
    fn code(
        &self,
        k: usize,
        power: impl Fn(&str, usize) -> String,
        factor: impl Fn(usize) -> String,
    ) -> String {
        let term = |(i, x): (usize, &String)| match i {
            0 => power(x, k + 2),
            _ => format!("{} * ({})", factor(i + 1), power(x, k + 2)),
        };
        self.inputs.iter().enumerate().map(term).collect::<Vec<_>>().join(" + ")
    }

    /// The formula of output `k` in mathematics.
    fn text(&self, k: usize) -> String {
        let term = |i: usize| {
            let factor = if i == 0 { String::new() } else { format!("{}·", i + 1) };
            format!("{factor}{}{}", self.x(i), exponent(k + 2))
        };
        (0..self.inputs.len()).map(term).collect::<Vec<_>>().join(" + ")
    }

    /// The gradient of input `i` in mathematics.
    fn gradient(&self, i: usize) -> String {
        let term = |k: usize| {
            format!("{}·{}·{}{}", (k + 2) * (i + 1), self.grad(k), self.x(i), exponent(k + 1))
        };
        (0..self.outputs.len()).map(term).collect::<Vec<_>>().join(" + ")
    }

    fn x(&self, i: usize) -> String {
        if self.one_input() { "x".to_owned() } else { format!("x{}", subscript(i + 1)) }
    }

    fn y(&self, k: usize) -> String {
        if self.one_output() { "y".to_owned() } else { format!("y{}", subscript(k + 1)) }
    }

    /// ȳ.
    fn grad(&self, k: usize) -> String {
        self.y(k).replace('y', "ȳ")
    }

    /// x̄.
    fn dx(&self, i: usize) -> String {
        self.x(i).replace('x', "x\u{304}")
    }

    /// In full where that fits on a line.
    fn definition(&self) -> String {
        if self.inputs.len() * self.outputs.len() > 4 {
            let numbers = (1..=self.outputs.len()).map(|k| k.to_string()).collect::<Vec<_>>();
            return match &numbers[..] {
                [_] => format!("y = {}", self.short()),
                several => format!("yₖ = {} for k = {}", self.short(), several.join(", ")),
            };
        }
        let formula = |k| format!("{} = {}", self.y(k), self.text(k));
        (0..self.outputs.len()).map(formula).collect::<Vec<_>>().join(", ")
    }

    fn gradients(&self) -> Vec<String> {
        (0..self.inputs.len()).map(|i| format!("{} = {}", self.dx(i), self.gradient(i))).collect()
    }

    fn gradients_inline(&self) -> String {
        if self.inputs.len() * self.outputs.len() > 4 {
            let (i, factor) = if self.one_input() { ("", "") } else { ("ᵢ", "i·") };
            return match self.one_output() {
                true => format!("x\u{304}{i} = 2·{factor}ȳ·x{i}"),
                false => format!("x\u{304}{i} = Σₖ (k + 1)·{factor}ȳₖ·x{i}ᵏ"),
            };
        }
        self.gradients().join(", ")
    }

    fn short(&self) -> &'static str {
        match (self.one_input(), self.one_output()) {
            (true, true) => "x²",
            (true, false) => "xᵏ⁺¹",
            (false, true) => "Σᵢ i·xᵢ²",
            (false, false) => "Σᵢ i·xᵢᵏ⁺¹",
        }
    }

    fn short_derivative(&self) -> &'static str {
        match (self.one_input(), self.one_output()) {
            (true, true) => "2·x",
            (true, false) => "(k + 1)·xᵏ",
            (false, true) => "2·i·xᵢ",
            (false, false) => "(k + 1)·i·xᵢᵏ",
        }
    }

    fn saved(&self) -> &'static str {
        if self.one_input() { "the input" } else { "the inputs" }
    }

    /// Output `k` where the first input is x and the others are 2·x.
    fn value(&self, k: usize, x: f64) -> f64 {
        let input = |i: usize| if i == 0 { x } else { 2.0 * x };
        let power = i32::try_from(k + 2).unwrap_or(i32::MAX);
        (0..self.inputs.len()).map(|i| (i + 1) as f64 * input(i).powi(power)).sum()
    }

    /// The gradient of input `i` there, where every ȳ is 1.
    fn slope(&self, i: usize, x: f64) -> f64 {
        let x = if i == 0 { x } else { 2.0 * x };
        let term = |k: usize| {
            let power = i32::try_from(k + 1).unwrap_or(i32::MAX);
            ((k + 2) * (i + 1)) as f64 * x.powi(power)
        };
        (0..self.outputs.len()).map(term).sum()
    }
}

/// `x`, or `x1`, `x2`, ….
fn numbered(name: &str, count: u8) -> Vec<String> {
    match count {
        1 => vec![name.to_owned()],
        count => (1..=count).map(|number| format!("{name}{number}")).collect(),
    }
}

fn subscript(number: usize) -> char {
    ['₀', '₁', '₂', '₃', '₄', '₅', '₆', '₇', '₈', '₉'][number % 10]
}

fn exponent(power: usize) -> &'static str {
    ["⁰", "", "²", "³", "⁴", "⁵"][power]
}

/// A product of a name with itself.
fn product(name: &str, power: usize) -> String {
    vec![name; power].join(" * ")
}

fn values(arguments: &Arguments) -> Values {
    let name = &*arguments.name;
    let Types { rule, ops, method } = Types::of(name);
    let formulas = Formulas::new(arguments);
    let (inputs, outputs) = (&formulas.inputs, &formulas.outputs);
    let (n, m) = (inputs.len(), outputs.len());
    let grads = numbered("grad", arguments.outputs);
    let gradients = numbered("dx", arguments.inputs);
    let (one_input, one_output) = (n == 1, m == 1);

    let list = |names: &[String], each: &dyn Fn(&str) -> String| {
        names.iter().map(|name| each(name)).collect::<Vec<_>>().join(", ")
    };
    let typed = |names: &[String], of: &str| list(names, &|name| format!("{name}: {of}"));
    let named = |names: &[String]| list(names, &|name| format!("(\"{name}\", &{name})"));
    let one_or = |one: bool, single: &str, several: String| {
        if one { single.to_owned() } else { several }
    };

    let mut values = Values::default();
    values.flag("kernel", arguments.kernel);
    values.flag("one_input", one_input);
    values.flag("one_output", one_output);
    values.flag("floats_in_gradients_alone", one_output && !one_input);
    // Clippy's limit is seven; a kernel has another one for the data type.
    values.flag("wide", n + m + 1 > 7);
    values.set("name", name);
    values.set("rule", rule);
    values.set("ops", &*ops);
    values.set("method", method);
    values.set("n", n.to_string());
    values.set("m", m.to_string());
    values.set("floats_output", if one_output { "" } else { "Floats, " });

    // Names and types.
    values.set("inputs", inputs.join(", "));
    values.set("outputs", outputs.join(", "));
    values.set("grads", grads.join(", "));
    values.set("gradients", gradients.join(", "));
    values.set("first_input", &*inputs[0]);
    values.set("first_output", &*outputs[0]);
    values.set("inputs_by_reference", list(inputs, &|x| format!("&{x}")));
    values.set("outputs_by_reference", list(outputs, &|y| format!("&{y}")));
    values.set("primitive_inputs", typed(inputs, "FloatTensor<Self>"));
    values.set("primitive_grads", typed(&grads, "FloatTensor<Self>"));
    values.set("tensor_inputs", typed(inputs, "Tensor<D>"));
    values.set("tensor_grads", typed(&grads, "Tensor<D>"));
    values.set("spec_inputs", typed(inputs, "FloatTensor<B>"));
    let primitives = |one| if one { "FloatTensor<Self>" } else { "Floats<Self>" };
    values.set("primitive_outputs", primitives(one_output));
    values.set("primitive_gradients", primitives(one_input));
    values.set("spec_outputs", if one_output { "FloatTensor<B>" } else { "Floats<B>" });
    values.set("tensor_outputs", one_or(one_output, "Tensor<D>", format!("[Tensor<D>; {m}]")));
    values.set("tensor_gradients", one_or(one_input, "Tensor<D>", format!("[Tensor<D>; {n}]")));
    values.set("method_outputs", one_or(one_output, "Self", format!("[Self; {m}]")));
    values.set("sized", if one_output { "" } else { ": Sized" });
    let others =
        |each: &dyn Fn(&str) -> String| -> String { inputs[1..].iter().map(|x| each(x)).collect() };
    values.set("other_inputs", others(&|x| format!(", {x}: Self")));
    values.set("others", others(&|x| format!(", {x}")));
    values.set("named_inputs", named(inputs));
    values.set("named_grads", named(&grads));
    let shapes = list(&inputs[1..], &|x| format!("(\"{x}\", {x}.shape())"));
    values.set("named_shapes", format!("(\"{}\", self.shape()), {shapes}", inputs[0]));
    values.set(
        "unpack_inputs",
        one_or(
            one_input,
            "let x = x.into_dispatch();",
            format!("let [{0}] = [{0}].map(Tensor::into_dispatch);", inputs.join(", ")),
        ),
    );
    let check_grads = list(&grads, &|grad| grad.to_owned());
    values.set(
        "check_grads",
        one_or(one_output, "grad: Tensor<D>", format!("[{check_grads}]: [Tensor<D>; {m}]")),
    );

    // Formulas.
    let applied = format!("<Autodiff<Self> as {ops}>::{name}({})", inputs.join(", "));
    values.set(
        "applied_on_autodiff",
        if one_output { format!("[{applied}]") } else { format!("{applied}.into_array()") },
    );
    let spec_formula = |(k, y): (usize, &String)| {
        let power = |x: &str, power| product(&format!("&{x}"), power);
        format!("let {y} = {};", formulas.code(k, power, |factor| format!("{factor}.0")))
    };
    let spec_formulas: Vec<_> = outputs.iter().enumerate().map(spec_formula).collect();
    values.set("spec_formulas", spec_formulas.join("\n"));
    let zeros = inputs.iter().zip(&gradients);
    let zeros = zeros.map(|(x, dx)| format!("{dx}.then(|| {x}.zeros_like())"));
    values.set("zero_gradients", zeros.collect::<Vec<_>>().join(", "));
    values.set("grads_together", one_or(one_output, "grad", format!("({})", grads.join(", "))));
    kernel_values(&mut values, &formulas);

    // Text.
    values.set("definition", formulas.definition());
    values.set("derivatives", formulas.gradients().join(", "));
    let gradient_list = formulas.gradients().into_iter().map(|line| format!("/// - {line}"));
    values.set("gradient_list", gradient_list.collect::<Vec<_>>().join("\n"));
    values.set("derivatives_inline", formulas.gradients_inline());
    values.set("saved", formulas.saved());
    let recomputed = " Under gradient checkpointing the output is recomputed.";
    values.set("recomputed", if one_output { recomputed } else { "" });
    let formula_files =
        if arguments.kernel { "`spec.rs`, `kernel.rs` and `cube.rs`" } else { "`spec.rs`" };
    values.set("formula_files", formula_files);
    values.set(
        "shapes",
        match (one_input, one_output) {
            (true, true) => "; the output has the input's",
            (true, false) => "; each output has the input's",
            (false, true) => ", the same for every input; the output has it, too",
            (false, false) => ", the same for every input; each output has it, too",
        },
    );
    let one_shape = "tensors of one shape, data type and device";
    values.set("takes", if one_input { "a tensor of any shape" } else { one_shape });
    values.set(
        "gives",
        one_or(
            one_output,
            "one of the same shape, data type and device",
            format!("{m} like {}", if one_input { "it" } else { "them" }),
        ),
    );
    let differ = "the arguments differ in shape, data type or device, or ";
    values.set("refused", if one_input { "" } else { differ });
    let gradients_refused = "; and if the arguments differ in shape, data type or device";
    values.set("gradients_refused", if one_input { gradients_refused } else { "" });
    values.set("each_input", if one_input { "`x`" } else { "each input" });
    let pairs =
        grads.iter().enumerate().map(|(k, grad)| format!("`{grad}` is {}", formulas.grad(k)));
    values.set("grads_are", pairs.collect::<Vec<_>>().join(", "));
    values.set("of_first", if one_input { "" } else { " of the first input" });
    example_values(&mut values, &formulas);
    values
}

fn kernel_values(values: &mut Values, formulas: &Formulas) {
    let (inputs, outputs) = (&formulas.inputs, &formulas.outputs);
    let joined = |lines: Vec<String>| lines.join("\n");
    let maps: Vec<String> = match formulas.one_output() {
        true => vec!["Forward".to_owned()],
        false => (1..=outputs.len()).map(|k| format!("Output{k}")).collect(),
    };
    let map = |(k, map): (usize, &String)| {
        let code = formulas.code(k, product, |factor| format!("T::from_f64({factor}.0)"));
        let (n, arguments) = (inputs.len(), inputs.join(", "));
        format!(
            "\n/// ({arguments}) ↦ {}.\n#[derive(Clone, Copy)]\npub(super) struct {map};\n\n\
             impl Map<{n}> for {map} {{\n#[inline(always)]\n\
             fn apply<T: Real>(self, [{arguments}]: [T; {n}]) -> T {{\n{code}\n}}\n}}",
            formulas.text(k)
        )
    };
    values.set("kernel_maps", joined(maps.iter().enumerate().map(map).collect()));
    let calls = maps.iter().map(|map| format!("map({map}, inputs.clone())"));
    values.set("map_calls", calls.collect::<Vec<_>>().join(", "));
    let results = outputs.iter().map(|y| format!("Ok({y})"));
    values.set("map_results", results.collect::<Vec<_>>().join(", "));
    let names = maps.join(", ");
    values.set("map_names", if maps.len() == 1 { names } else { format!("{{{names}}}") });

    let lines = |names: &[String], line: &dyn Fn(&str) -> String| {
        joined(names.iter().map(|name| line(name)).collect())
    };
    let view = |x: &str| format!("{x}: LinearView<'_, Vector<F, N>>,");
    values.set("cube_inputs", lines(inputs, &view));
    let view = |y: &str| format!("mut {y}: LinearViewMut<'_, Vector<F, N>>,");
    values.set("cube_outputs", lines(outputs, &view));
    let value = |x: &str| x.replace('x', "a");
    let read = |x: &str| format!("let {} = {x}.read(ABSOLUTE_POS);", value(x));
    values.set("cube_reads", lines(inputs, &read));
    let write = |(k, y): (usize, &String)| {
        let code = formulas.code(
            k,
            |x, power| product(&value(x), power),
            |factor| format!("Vector::new(F::new({factor}.0))"),
        );
        format!("{y}.write(ABSOLUTE_POS, {code});")
    };
    values.set("cube_writes", joined(outputs.iter().enumerate().map(write).collect()));
    let first = &inputs[0];
    let allocation = |y: &str| format!("let {y} = cube::empty_like(&{first}, shape.clone());");
    values.set("cube_allocations", lines(outputs, &allocation));
    let like = &outputs[0];
    let input = |x: &str| format!("{x}.into_linear_view_like(&{like}),");
    let output = |y: &str| format!("{y}.clone().into_linear_view(),");
    let arguments = [lines(inputs, &input), lines(outputs, &output)];
    values.set("cube_arguments", arguments.join("\n"));
}

/// The examples of the documentation, at x = 1 and x = −2.
fn example_values(values: &mut Values, formulas: &Formulas) {
    const POINTS: [f64; 2] = [1.0, -2.0];
    let (n, m) = (formulas.inputs.len(), formulas.outputs.len());
    let x = |i: usize| if i + 1 == n { "x" } else { "x.clone()" };
    let input = |i: usize| if i == 0 { x(i).to_owned() } else { format!("{} * 2.0", x(i)) };
    values.set("example_inputs", (0..n).map(input).collect::<Vec<_>>().join(", "));
    let pattern = |names: &[String]| match names {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let assertions = |names: &[String], value: &dyn Fn(usize, f64) -> f64| {
        let assertion = |(index, name): (usize, &String)| {
            let expected = POINTS.map(|x| format!("{:?}", value(index, x))).join(", ");
            format!("/// assert_eq!({name}.to_data().try_to_vec::<f32>().unwrap(), [{expected}]);")
        };
        names.iter().enumerate().map(assertion).collect::<Vec<_>>().join("\n")
    };
    values.set("example_outputs", pattern(&formulas.outputs));
    values.set("example_asserts", assertions(&formulas.outputs, &|k, x| formulas.value(k, x)));
    let gradients: Vec<String> = formulas.inputs.iter().map(|x| format!("d{x}")).collect();
    values.set("example_gradients", pattern(&gradients));
    values.set("example_gradient_asserts", assertions(&gradients, &|i, x| formulas.slope(i, x)));
    let grads: Vec<_> = (1..=m).map(|k| if k == m { "grad" } else { "grad.clone()" }).collect();
    values.set("example_grads", grads.join(", "));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{
        Arguments, Place, REGISTRIES, begins, fill_comments, insert, insert_into_list, plan,
        refuse_taken, register, render, values,
    };
    use crate::process::root;
    use crate::template;

    fn arguments(name: &str, inputs: u8, outputs: u8, kernel: bool) -> Arguments {
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
    fn the_formulas_agree_with_their_derivatives() {
        for (inputs, outputs) in [(1, 1), (2, 1), (1, 3), (8, 4)] {
            let formulas = super::Formulas::new(&arguments("soft_plus", inputs, outputs, false));
            let sum = |x| (0..outputs.into()).map(|k| formulas.value(k, x)).sum::<f64>();
            // The first input is x, the others are 2·x.
            let slope: f64 = (0..inputs.into())
                .map(|i| if i == 0 { 1.0 } else { 2.0 } * formulas.slope(i, 1.5))
                .sum();
            let h = 1e-4;
            let numeric = (sum(1.5 + h) - sum(1.5 - h)) / (2.0 * h);
            assert!((numeric / slope - 1.0).abs() < 1e-6, "{inputs} {outputs}: {numeric} {slope}");
        }
        let formulas = super::Formulas::new(&arguments("soft_plus", 2, 1, false));
        assert_eq!(formulas.definition(), "y = x₁² + 2·x₂²");
        assert_eq!(formulas.gradients(), ["x̄₁ = 2·ȳ·x₁", "x̄₂ = 4·ȳ·x₂"]);
        assert_eq!((formulas.value(0, -2.0), formulas.slope(1, -2.0)), (36.0, -16.0));
    }

    #[test]
    fn a_new_operation_stands_in_every_registry() {
        let arguments = arguments("soft_plus", 2, 1, false);
        let files = plan(&root(), &arguments).unwrap();
        assert_eq!(files.len(), 5 + REGISTRIES.len());
        for (file, lines) in [
            (
                "burn-autograd-ops/src/lib.rs",
                &["pub mod soft_plus;", "    pub use crate::soft_plus::TensorSoftPlus;"][..],
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
            ("burn-autograd/src/lib.rs", &["    pub use burn_autograd_ops::soft_plus::soft_plus;"]),
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
            (3, "    pub use burn_autograd_ops::"),
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

    #[test]
    fn lines_go_where_they_belong() {
        let text = "a\nuse b;\n#[x]\nuse d;\nz\n";
        let at = |place, line| insert("file", text, place, line, begins("use ")).unwrap();
        assert_eq!(at(Place::Before, "use c;"), "a\nuse c;\nuse b;\n#[x]\nuse d;\nz\n");
        assert_eq!(at(Place::Sorted, "use c;"), "a\nuse b;\nuse c;\n#[x]\nuse d;\nz\n");
        assert_eq!(at(Place::Sorted, "use e;"), "a\nuse b;\n#[x]\nuse d;\nuse e;\nz\n");
        assert_eq!(at(Place::After, "use a;"), "a\nuse b;\n#[x]\nuse d;\nuse a;\nz\n");
        let list = insert_into_list("file", "x\nall!(\n    A,\n    C\n);\ny\n", "all!(\n", "B");
        assert_eq!(list.unwrap(), "x\nall!(\n    A,\n    B,\n    C\n);\ny\n");
    }

    #[test]
    fn long_comments_are_filled_and_code_is_not() {
        let words = "word ".repeat(30);
        let words = words.trim();
        let text = format!(
            "//! - {words}\n//!   end.\n//! - short\n//!   one\n//!\n/// ```\n/// {words}\n/// ```\n\
             let x = \"{words}\";\n    // {words}\n"
        );
        let filled = fill_comments(&text);
        let long = |words: usize| "word ".repeat(words).trim().to_owned();
        let expected = format!(
            "//! - {}\n//!   {} end.\n//! - short\n//!   one\n//!\n/// ```\n/// {words}\n/// ```\n\
             let x = \"{words}\";\n    // {}\n    // {}\n",
            long(19),
            long(11),
            long(18),
            long(12)
        );
        assert_eq!(filled, expected);
        // Once is enough.
        assert_eq!(fill_comments(&filled), filled);
    }

    #[test]
    fn every_template_finds_its_values() {
        let values = values(&arguments("soft_plus", 2, 2, true));
        for (file, text, _) in super::TEMPLATES {
            let rendered =
                values.render(&text.replace("{{backend}}", "").replace("{{support}}", ""));
            assert!(rendered.is_ok_and(|text| !text.contains("{{")), "{file}");
        }
    }
}
