//! A graph as Graphviz DOT, and as a picture.

use std::fmt::Write;

use super::layout::layout;
use super::{Graph, Role};

/// What a box stands for, which decides its colours.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Input,
    Parameter,
    Constant,
    Operation,
    Function,
    Output,
}

impl Kind {
    /// Fill and border. They differ in lightness as well as in hue.
    fn colours(self) -> (&'static str, &'static str) {
        match self {
            Self::Input => ("#d6eaf8", "#1f618d"),
            Self::Parameter => ("#fdebd0", "#b9770e"),
            Self::Constant => ("#f4f6f6", "#909497"),
            Self::Operation => ("#ffffff", "#424949"),
            Self::Function => ("#e8daef", "#6c3483"),
            Self::Output => ("#d5f5e3", "#1e8449"),
        }
    }
}

#[derive(Debug)]
struct Item {
    kind: Kind,
    lines: Vec<String>,
    tracked: bool,
    function: Option<usize>,
}

impl Graph {
    /// The boxes of a picture, and its edges with whether a gradient flows along them.
    fn items(&self) -> (Vec<Item>, Vec<(usize, usize, bool)>) {
        let mut items = Vec::new();
        // Which box makes a tensor.
        let mut maker = vec![None; self.tensors.len()];
        for (index, tensor) in self.tensors.iter().enumerate().filter(|(_, t)| t.is_leaf()) {
            maker[index] = Some(items.len());
            let kind = match tensor.role() {
                Role::Input(_) => Kind::Input,
                Role::Parameter(_) => Kind::Parameter,
                _ => Kind::Constant,
            };
            let title = match tensor.role() {
                Role::Parameter(path) => path.clone(),
                _ => tensor.title(),
            };
            let lines = vec![title, tensor.kind()];
            items.push(Item { kind, lines, tracked: tensor.is_tracked(), function: None });
        }
        let mut edges = Vec::new();
        for operation in &self.operations {
            let here = items.len();
            let mut lines = vec![operation.name.clone()];
            if !operation.attributes.is_empty() {
                lines.push(shorten(&operation.parameters().join(", ")));
            }
            lines.extend(operation.outputs.iter().map(|output| self.tensors[*output].kind()));
            let tracked = operation.outputs.iter().any(|output| self.tensors[*output].is_tracked());
            let kind = if operation.collapsed { Kind::Function } else { Kind::Operation };
            items.push(Item { kind, lines, tracked, function: operation.function });
            for input in &operation.inputs {
                if let Some(from) = maker[*input] {
                    edges.push((from, here, self.tensors[*input].is_tracked() && tracked));
                }
            }
            for output in &operation.outputs {
                maker[*output] = Some(here);
            }
        }
        for (position, output) in self.outputs.iter().enumerate() {
            let tensor = &self.tensors[*output];
            if let Some(from) = maker[*output] {
                edges.push((from, items.len(), tensor.is_tracked()));
            }
            items.push(Item {
                kind: Kind::Output,
                lines: vec![format!("output {position}"), tensor.kind()],
                tracked: tensor.is_tracked(),
                function: None,
            });
        }
        (items, edges)
    }

    /// The graph in Graphviz's language: `dot -Tpng`. Functions are clusters.
    pub fn to_dot(&self) -> String {
        let (items, edges) = self.items();
        let mut dot = String::from(
            "digraph {\n  rankdir=TB;\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\", fontsize=11];\n",
        );
        let node = |dot: &mut String, indent: &str, index: usize, item: &Item| {
            let (fill, border) = item.kind.colours();
            let label = item.lines.iter().map(|line| quote(line)).collect::<Vec<_>>().join("\\n");
            let width = if item.tracked { 2 } else { 1 };
            let _ = writeln!(
                dot,
                "{indent}n{index} [label=\"{label}\", fillcolor=\"{fill}\", color=\"{border}\", penwidth={width}];"
            );
        };
        for (function, name) in self.functions.iter().enumerate() {
            let members: Vec<_> = items
                .iter()
                .enumerate()
                .filter(|(_, item)| item.function == Some(function) && item.kind == Kind::Operation)
                .collect();
            if members.is_empty() {
                continue;
            }
            let _ = writeln!(dot, "  subgraph cluster_{function} {{");
            let _ =
                writeln!(dot, "    label=\"{}\"; style=rounded; color=\"#6c3483\";", quote(name));
            for (index, item) in members {
                node(&mut dot, "    ", index, item);
            }
            dot.push_str("  }\n");
        }
        for (index, item) in items.iter().enumerate() {
            if item.function.is_none() || item.kind == Kind::Function {
                node(&mut dot, "  ", index, item);
            }
        }
        for (from, to, tracked) in edges {
            let style = if tracked { "penwidth=2" } else { "style=dashed" };
            let _ = writeln!(dot, "  n{from} -> n{to} [{style}];");
        }
        dot.push_str("}\n");
        dot
    }

    /// The graph as a picture (SVG 1.1), drawn here. Thick lines: a gradient flows; dashed ones: none
    /// does. The operations of a function carry its name.
    pub fn to_svg(&self) -> String {
        const LINE: f64 = 15.0;
        const LETTER: f64 = 6.7;
        let (items, edges) = self.items();
        let label = |item: &Item| {
            let mut lines = item.lines.clone();
            if let (Some(function), Kind::Operation) = (item.function, item.kind) {
                lines[0] = format!("{} › {}", self.functions[function], lines[0]);
            }
            lines
        };
        let sizes: Vec<(f64, f64)> = items
            .iter()
            .map(|item| {
                let lines = label(item);
                let letters = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
                (letters as f64 * LETTER + 22.0, lines.len() as f64 * LINE + 12.0)
            })
            .collect();
        let pairs: Vec<_> = edges.iter().map(|(from, to, _)| (*from, *to)).collect();
        let layout = layout(&sizes, &pairs);

        let mut svg = String::new();
        let (width, height) = (layout.width.ceil(), layout.height.ceil());
        let _ = write!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"11\">\n\
             <title>{}</title>\n\
             <defs><marker id=\"a\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"9\" markerHeight=\"9\" \
             markerUnits=\"userSpaceOnUse\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#5d6d7e\"/></marker></defs>\n\
             <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n",
            escape(self.to_string().lines().next().unwrap_or_default())
        );
        for ((_, _, tracked), route) in edges.iter().zip(&layout.routes) {
            let mut path = String::new();
            for (step, (x, y)) in route.iter().enumerate() {
                match step.checked_sub(1).map(|before| route[before]) {
                    None => {
                        let _ = write!(path, "M{x:.1} {y:.1}");
                    }
                    Some((before_x, before_y)) => {
                        let middle = (before_y + y) / 2.0;
                        let _ = write!(
                            path,
                            "C{before_x:.1} {middle:.1} {x:.1} {middle:.1} {x:.1} {y:.1}"
                        );
                    }
                }
            }
            let style = if *tracked {
                "stroke-width=\"1.8\""
            } else {
                "stroke-width=\"1\" stroke-dasharray=\"4 3\""
            };
            let _ = writeln!(
                svg,
                "<path d=\"{path}\" fill=\"none\" stroke=\"#5d6d7e\" {style} marker-end=\"url(#a)\"/>"
            );
        }
        for ((item, place), (width, height)) in items.iter().zip(&layout.places).zip(&sizes) {
            let kind = match (item.kind, item.function) {
                (Kind::Operation, Some(_)) => Kind::Function,
                (kind, _) => kind,
            };
            let (fill, border) = kind.colours();
            let (x, y) = (place.x - width / 2.0, place.y);
            let stroke = if item.tracked { 1.8 } else { 1.0 };
            let radius =
                if matches!(item.kind, Kind::Operation | Kind::Function) { 4.0 } else { 12.0 };
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius}\" \
                 fill=\"{fill}\" stroke=\"{border}\" stroke-width=\"{stroke}\"/>"
            );
            for (number, line) in label(item).iter().enumerate() {
                let baseline = y + 6.0 + LINE * (number as f64 + 0.75);
                let weight = if number == 0 { " font-weight=\"bold\"" } else { "" };
                let colour = if number == 0 { "#17202a" } else { "#566573" };
                let _ = writeln!(
                    svg,
                    "<text x=\"{:.1}\" y=\"{baseline:.1}\" text-anchor=\"middle\" fill=\"{colour}\"{weight}>{}</text>",
                    place.x,
                    escape(line)
                );
            }
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn shorten(text: &str) -> String {
    const MOST: usize = 40;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST - 1).chain(['…']).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn quote(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}
