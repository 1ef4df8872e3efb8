use std::fmt;

use super::{Graph, GraphOperation, GraphTensor, Role};

fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

impl GraphTensor {
    /// `f32 [3, 4]`.
    pub(super) fn kind(&self) -> String {
        let shape: Vec<_> = self.shape.iter().map(ToString::to_string).collect();
        format!("{} [{}]", format!("{:?}", self.dtype).to_lowercase(), shape.join(", "))
    }

    /// What a leaf is called.
    pub(super) fn title(&self) -> String {
        match &self.role {
            Role::Input(position) => format!("input {position}"),
            Role::Parameter(path) => format!("parameter {path}"),
            Role::Constant => "constant".into(),
            Role::Intermediate => String::new(),
        }
    }

    fn state(&self) -> String {
        let leaf = self.is_leaf().then_some("leaf");
        let tracked = self.tracked.then_some("tracked");
        leaf.into_iter().chain(tracked).collect::<Vec<_>>().join(", ")
    }
}

impl GraphOperation {
    /// `dim=1`, `rhs=2`.
    pub(super) fn parameters(&self) -> Vec<String> {
        self.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }
}

impl Graph {
    /// One line for each tensor and operation, in order.
    pub fn to_text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters =
            self.tensors.iter().filter(|t| matches!(t.role, Role::Parameter(_))).count();
        let mut parts = vec![count(self.inputs.len(), "input")];
        if parameters > 0 {
            parts.push(count(parameters, "parameter"));
        }
        parts.push(count(self.operations.len(), "operation"));
        parts.push(count(self.outputs.len(), "output"));
        writeln!(f, "{}", parts.join(", "))?;

        let mut lines: Vec<(String, Option<&GraphTensor>)> = Vec::new();
        for (index, tensor) in self.tensors.iter().enumerate().filter(|(_, t)| t.is_leaf()) {
            lines.push((format!("%{index} = {}", tensor.title()), Some(tensor)));
        }
        for operation in &self.operations {
            let arguments: Vec<_> = operation
                .inputs
                .iter()
                .map(|input| format!("%{input}"))
                .chain(operation.parameters())
                .collect();
            let within = match operation.function {
                Some(function) if !operation.collapsed => {
                    format!("{} › ", self.functions[function])
                }
                _ => String::new(),
            };
            let outputs: Vec<_> =
                operation.outputs.iter().map(|output| format!("%{output}")).collect();
            let (name, arguments) = (&operation.name, arguments.join(", "));
            let text = format!("{} = {within}{name}({arguments})", outputs.join(", "));
            let mut made = operation.outputs.iter().map(|output| &self.tensors[*output]);
            lines.push((text, made.next()));
            lines.extend(made.map(|tensor| (String::new(), Some(tensor))));
        }
        let width = |text: &str| text.chars().count();
        let column = lines.iter().map(|(text, _)| width(text)).max().unwrap_or(0);
        let kinds = lines.iter().filter_map(|(_, tensor)| Some(width(&(*tensor)?.kind()))).max();
        for (text, tensor) in lines {
            let Some(tensor) = tensor else {
                writeln!(f, "  {text}")?;
                continue;
            };
            let kind = format!("{:<1$}", tensor.kind(), kinds.unwrap_or(0));
            let pad = " ".repeat(column - width(&text));
            let line = format!("  {text}{pad}  {kind}  {}", tensor.state());
            writeln!(f, "{}", line.trim_end())?;
        }
        for (position, output) in self.outputs.iter().enumerate() {
            writeln!(f, "  output {position} = %{output}")?;
        }
        Ok(())
    }
}
