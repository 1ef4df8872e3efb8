//! What the names in double braces in the templates stand for.

use super::formulas::{Formulas, numbered, product};
use super::{Arguments, Types};
use crate::template::Values;

pub(super) fn values(arguments: &Arguments) -> Values {
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
    let one_or = |one: bool, single: &str, several: String| {
        if one { single.to_owned() } else { several }
    };

    let mut values = Values::default();
    values.flag("kernel", arguments.kernel);
    values.flag("one_input", one_input);
    values.flag("one_output", one_output);
    // Clippy's limit is seven; a kernel has arguments for the outputs and the data type, too.
    let of_kernel = if arguments.kernel { m + 1 } else { 0 };
    values.flag("wide", n + of_kernel > 7);
    values.set("name", name);
    values.set("rule", rule);
    values.set("ops", ops);
    values.set("method", method);
    values.set("n", n.to_string());
    values.set("m", m.to_string());
    values.set("floats_output", if one_output { "" } else { "Floats, " });
    values.set("floats", if one_output && !arguments.kernel { "" } else { "Floats, " });

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
    values.set("tensor_inputs", typed(inputs, "Tensor<D>"));
    values.set("spec_inputs", typed(inputs, "FloatTensor<B>"));
    let primitive_outputs = if one_output { "FloatTensor<Self>" } else { "Floats<Self>" };
    values.set("primitive_outputs", primitive_outputs);
    values.set("spec_outputs", if one_output { "FloatTensor<B>" } else { "Floats<B>" });
    values.set("tensor_outputs", one_or(one_output, "Tensor<D>", format!("[Tensor<D>; {m}]")));
    values.set("case_inputs", one_or(one_input, "Tensor<D>", format!("[Tensor<D>; {n}]")));
    values.set("method_outputs", one_or(one_output, "Self", format!("[Self; {m}]")));
    values.set("sized", if one_output { "" } else { ": Sized" });
    let others =
        |each: &dyn Fn(&str) -> String| -> String { inputs[1..].iter().map(|x| each(x)).collect() };
    values.set("other_inputs", others(&|x| format!(", {x}: Self")));
    values.set("others", others(&|x| format!(", {x}")));
    values.set("named_inputs", list(inputs, &|x| format!("(\"{x}\", &{x})")));
    values.set("tensor_shapes", list(inputs, &|x| format!("(\"{x}\", {x}.shape())")));
    let own = |x: &str| if x == inputs[0] { "self".to_owned() } else { x.to_owned() };
    values.set("named_vars", list(inputs, &|x| format!("(\"{x}\", &{})", own(x))));
    values.set("var_shapes", list(inputs, &|x| format!("(\"{x}\", {}.shape())", own(x))));
    values.set(
        "unpack_inputs",
        one_or(
            one_input,
            "let x = x.into_dispatch();",
            format!("let [{0}] = [{0}].map(Tensor::into_dispatch);", inputs.join(", ")),
        ),
    );

    // Formulas.
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

/// The example of the documentation, at x = 1 and x = −2.
fn example_values(values: &mut Values, formulas: &Formulas) {
    const POINTS: [f64; 2] = [1.0, -2.0];
    let n = formulas.inputs.len();
    let x = |i: usize| if i + 1 == n { "x" } else { "x.clone()" };
    let input = |i: usize| if i == 0 { x(i).to_owned() } else { format!("{} * 2.0", x(i)) };
    values.set("example_inputs", (0..n).map(input).collect::<Vec<_>>().join(", "));
    let pattern = match &*formulas.outputs {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    values.set("example_outputs", pattern);
    let assertion = |(k, y): (usize, &String)| {
        let expected = POINTS.map(|x| format!("{:?}", formulas.value(k, x))).join(", ");
        format!("/// assert_eq!({y}.to_data().try_to_vec::<f32>().unwrap(), [{expected}]);")
    };
    let assertions: Vec<_> = formulas.outputs.iter().enumerate().map(assertion).collect();
    values.set("example_asserts", assertions.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::new_op::TEMPLATES;
    use crate::new_op::tests::arguments;

    #[test]
    fn every_template_finds_its_values() {
        let values = values(&arguments("soft_plus", 2, 2, true));
        for (file, text, _) in TEMPLATES {
            let rendered =
                values.render(&text.replace("{{backend}}", "").replace("{{support}}", ""));
            assert!(rendered.is_ok_and(|text| !text.contains("{{")), "{file}");
        }
    }
}
