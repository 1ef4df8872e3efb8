//! The operations of ordinary tensor code, as text and as pictures: what PyTorch shows by `grad_fn` and
//! `next_functions`, for a small network of Burn's with a custom function behind it.
//!
//! `cargo run --example graph -- --svg network.svg --dot network.dot`
//!
//! The exit code tells whether the graph is the expected one.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::path::PathBuf;
use std::process::ExitCode;

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Distribution, Tensor, activation};
use burn_autograd::Graph;
use burn_autograd::prelude::*;
use clap::Parser;

/// Records a network, and shows its operations.
#[derive(Debug, Parser)]
struct Arguments {
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
    let device = Device::flex().autodiff();
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
    for (file, content) in [(arguments.svg, shown.to_svg()), (arguments.dot, shown.to_dot())] {
        if let Some(file) = file
            && let Err(error) = std::fs::write(&file, content)
        {
            eprintln!("cannot write {}: {error}", file.display());
            return ExitCode::from(2);
        }
    }
    let names: Vec<_> = shown.operations().iter().map(|operation| operation.name()).collect();
    let layers = ["matmul", "reshape", "add", "tanh", "matmul", "reshape", "add"];
    // Inside: 1 ÷ (1 + e⁻ˣ), and the product.
    let swish: &[&str] =
        if arguments.expand { &["neg", "exp", "add_scalar", "recip", "mul"] } else { &["Swish"] };
    let tracked = shown.outputs().iter().all(|output| shown.tensors()[*output].is_tracked());
    if tracked && names == [&layers, swish].concat() {
        ExitCode::SUCCESS
    } else {
        eprintln!("that is not the expected graph");
        ExitCode::FAILURE
    }
}
