//! The formula that a new operation has until its own is filled in, and its derivative.

use super::Arguments;

/// What the operation of the templates computes: output k is Σᵢ i·xᵢᵏ⁺¹, counted from 1.
pub(super) struct Formulas {
    pub(super) inputs: Vec<String>,
    pub(super) outputs: Vec<String>,
}

impl Formulas {
    pub(super) fn new(arguments: &Arguments) -> Self {
        Self { inputs: numbered("x", arguments.inputs), outputs: numbered("y", arguments.outputs) }
    }

    pub(super) fn one_input(&self) -> bool {
        self.inputs.len() == 1
    }

    pub(super) fn one_output(&self) -> bool {
        self.outputs.len() == 1
    }

    /// The formula of output `k`, as code: `power` is that of an input, `factor` a number.
    pub(super) fn code(
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
    pub(super) fn text(&self, k: usize) -> String {
        let term = |i: usize| {
            let factor = if i == 0 { String::new() } else { format!("{}·", i + 1) };
            format!("{factor}{}{}", self.x(i), exponent(k + 2))
        };
        (0..self.inputs.len()).map(term).collect::<Vec<_>>().join(" + ")
    }

    /// The gradient of input `i` in mathematics.
    pub(super) fn gradient(&self, i: usize) -> String {
        let term = |k: usize| {
            format!("{}·{}·{}{}", (k + 2) * (i + 1), self.grad(k), self.x(i), exponent(k + 1))
        };
        (0..self.outputs.len()).map(term).collect::<Vec<_>>().join(" + ")
    }

    pub(super) fn x(&self, i: usize) -> String {
        if self.one_input() { "x".to_owned() } else { format!("x{}", subscript(i + 1)) }
    }

    pub(super) fn y(&self, k: usize) -> String {
        if self.one_output() { "y".to_owned() } else { format!("y{}", subscript(k + 1)) }
    }

    /// ȳ.
    pub(super) fn grad(&self, k: usize) -> String {
        self.y(k).replace('y', "ȳ")
    }

    /// x̄.
    pub(super) fn dx(&self, i: usize) -> String {
        self.x(i).replace('x', "x\u{304}")
    }

    /// In full where that fits on a line.
    pub(super) fn definition(&self) -> String {
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

    pub(super) fn gradients(&self) -> Vec<String> {
        (0..self.inputs.len()).map(|i| format!("{} = {}", self.dx(i), self.gradient(i))).collect()
    }

    pub(super) fn gradients_inline(&self) -> String {
        if self.inputs.len() * self.outputs.len() > 4 {
            let (i, factor) = if self.one_input() { ("", "") } else { ("ᵢ", "i·") };
            return match self.one_output() {
                true => format!("x\u{304}{i} = 2·{factor}ȳ·x{i}"),
                false => format!("x\u{304}{i} = Σₖ (k + 1)·{factor}ȳₖ·x{i}ᵏ"),
            };
        }
        self.gradients().join(", ")
    }

    pub(super) fn short(&self) -> &'static str {
        match (self.one_input(), self.one_output()) {
            (true, true) => "x²",
            (true, false) => "xᵏ⁺¹",
            (false, true) => "Σᵢ i·xᵢ²",
            (false, false) => "Σᵢ i·xᵢᵏ⁺¹",
        }
    }

    pub(super) fn short_derivative(&self) -> &'static str {
        match (self.one_input(), self.one_output()) {
            (true, true) => "2·x",
            (true, false) => "(k + 1)·xᵏ",
            (false, true) => "2·i·xᵢ",
            (false, false) => "(k + 1)·i·xᵢᵏ",
        }
    }

    pub(super) fn saved(&self) -> &'static str {
        if self.one_input() { "the input" } else { "the inputs" }
    }

    /// Output `k` where the first input is x and the others are 2·x.
    pub(super) fn value(&self, k: usize, x: f64) -> f64 {
        let input = |i: usize| if i == 0 { x } else { 2.0 * x };
        let power = i32::try_from(k + 2).unwrap_or(i32::MAX);
        (0..self.inputs.len()).map(|i| (i + 1) as f64 * input(i).powi(power)).sum()
    }
}

/// `x`, or `x1`, `x2`, ….
pub(super) fn numbered(name: &str, count: u8) -> Vec<String> {
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
pub(super) fn product(name: &str, power: usize) -> String {
    vec![name; power].join(" * ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::new_op::tests::arguments;

    #[test]
    fn the_formulas_have_their_derivatives_beside_them() {
        let formulas = Formulas::new(&arguments("soft_plus", 2, 1, false));
        assert_eq!(formulas.definition(), "y = x₁² + 2·x₂²");
        assert_eq!(formulas.gradients(), ["x̄₁ = 2·ȳ·x₁", "x̄₂ = 4·ȳ·x₂"]);
        assert_eq!(formulas.value(0, -2.0), 36.0);
    }
}
