//! The operations of ordinary tensor code, as text and as pictures: what PyTorch shows by `grad_fn` and
//! `next_functions`, for a small network of Burn's with a custom function behind it.
//!
//! In the picture the boxes are the leaves (arguments and parameters) and the functions, and an arrow
//! is a tensor on its way from the one that made it to the one that reads it. Where a gradient flows,
//! lines are thick.
//!
//! PyTorch's construct: the computation graph that its lessons draw, with tensors as nodes and
//! functions as edges.
//!
//! `cargo run --example 25_graph -- --svg network.svg --dot network.dot`
//!
//! Any browser opens the SVG; `dot -Tpng network.dot` makes a picture of the other.
//!
//! Exit code: 0 if the graph is the expected one, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::path::PathBuf;
use std::process::ExitCode;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Distribution, Tensor, activation};
use burn_autograd::Graph;
use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::{self, Place};

/// Records a network, and shows its operations.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Where to write a picture.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Where to write the graph in Graphviz's language.
    #[arg(long, value_name = "FILE")]
    dot: Option<PathBuf>,
    /// Show the operations within the custom function, too.
    #[arg(long)]
    expand: bool,
}

/// x·σ(x), with derivative σ(x)·(1 + x·(1 − σ(x))).
#[derive(Debug, Clone)]
struct Swish;

impl Function<1> for Swish {
    fn forward(&self, ctx: &mut Context, [x]: [Var; 1]) -> [Var; 1] {
        ctx.save([&x]);
        [&x * x.sigmoid()]
    }
    fn backward(&self, ctx: Saved, [g]: [Var; 1]) -> [Option<Var>; 1] {
        let [x] = ctx.tensors();
        let sigmoid = x.sigmoid();
        [Some(g * (&sigmoid * (1.0 + x * (1.0 - &sigmoid))))]
    }
}

#[derive(Module, Debug)]
struct Network {
    first: Linear,
    last: Linear,
}

impl Network {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let hidden = activation::tanh(self.first.forward(x));
        Swish.apply([self.last.forward(hidden)])
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (device, _) = arguments.place.open();
    let device = device.autodiff();
    let mut checks = Checks::new();

    let network = Network {
        first: LinearConfig::new(2, 8).init(&device),
        last: LinearConfig::new(8, 1).init(&device),
    };
    let x = Tensor::<2>::random([16, 2], Distribution::Default, &device);
    let forward = |network: &Network, x: Tensor<2>| network.forward(x);
    let graph = match Graph::record_module(&network, forward, x) {
        Ok(graph) => graph,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let shown = if arguments.expand { graph } else { graph.collapsed() };
    print!("{shown}");
    let (svg, dot) = (shown.to_svg(), shown.to_dot());
    for (option, file, content) in [("--svg", arguments.svg, &svg), ("--dot", arguments.dot, &dot)]
    {
        let Some(file) = file else { continue };
        match std::fs::write(&file, content) {
            Ok(()) => println!("Picture: {}", file.display()),
            Err(error) => cli::leave(&format!("{option} {}: {error}", file.display())),
        }
    }

    let operations = shown.operations();
    let names: Vec<_> = operations.iter().map(|operation| operation.name()).collect();
    let layers = ["matmul", "reshape", "add", "tanh", "matmul", "reshape", "add"];
    checks.expect_equal("operations of the layers", names.get(..layers.len()), Some(&layers[..]));
    let swish = names.get(layers.len()..).unwrap_or_default();
    if arguments.expand {
        // Of σ(x), and the product.
        checks.expect_that("Swish is made of several operations", swish.len() > 1);
        checks.expect_equal("the last operation of Swish", swish.last(), Some(&"mul"));
    } else {
        checks.expect_equal("the custom function", swish, ["Swish"]);
    }
    let tracked = shown.outputs().iter().all(|output| shown.tensors()[*output].is_tracked());
    checks.expect_that("a gradient flows to the output", tracked);

    // A box for each leaf, function and output, an arrow for each tensor that is read.
    let leaves = shown.tensors().iter().filter(|tensor| tensor.is_leaf()).count();
    let boxes = leaves + operations.len() + shown.outputs().len();
    let read: usize = operations.iter().map(|operation| operation.inputs().len()).sum();
    let arrows = read + shown.outputs().len();
    checks.expect_equal("boxes of the SVG", svg.matches("<rect x=").count(), boxes);
    checks.expect_equal("arrows of the SVG", svg.matches("marker-end").count(), arrows);
    checks.expect_equal("boxes of the DOT", dot.matches("[label=").count(), boxes);
    checks.expect_equal("arrows of the DOT", dot.matches(" -> ").count(), arrows);

    checks.finish("This is the graph of the network.")
}
