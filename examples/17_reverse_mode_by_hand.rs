//! Reverse accumulation in plain Rust: y·(x² − x·y + y) at x = 3 and y = 2, with its two partial
//! derivatives.
//!
//! This is what every autograd does, on numbers instead of tensors. Forward, each operation writes
//! down what it read and what it made: the tape. Backward, the tape is read from its end. Each step
//! hands its own derivative on to what it read, times what it was given, and what is handed to the same
//! place is added up. So each step is visited once, however often its value was used. At the end the
//! library's tape is asked for the same, on a backend.
//!
//! PyTorch's construct: none; it is what happens inside `backward()`.
//!
//! `cargo run --example 17_reverse_mode_by_hand -- --backend ndarray`
//!
//! Exit code: 0 if the numbers came out, 1 if not, 2 for wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn_autograd::prelude::*;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::Place;
use shared::values::{number, vector};

/// Reverse accumulation by hand, and by the library.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
}

/// A number on the tape: at which step it was made.
#[derive(Debug, Clone, Copy)]
struct Number(usize);

/// How a number was made.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Variable,
    Multiply(Number, Number),
    Plus(Number, Number),
    Minus(Number, Number),
}

/// Every step of a computation, with its value.
#[derive(Debug, Default)]
struct Tape(Vec<(Operation, f64)>);

impl Tape {
    fn push(&mut self, operation: Operation, value: f64) -> Number {
        self.0.push((operation, value));
        Number(self.0.len() - 1)
    }

    fn value(&self, number: Number) -> f64 {
        self.0[number.0].1
    }

    fn variable(&mut self, value: f64) -> Number {
        self.push(Operation::Variable, value)
    }

    fn multiply(&mut self, lhs: Number, rhs: Number) -> Number {
        let value = self.value(lhs) * self.value(rhs);
        self.push(Operation::Multiply(lhs, rhs), value)
    }

    fn plus(&mut self, lhs: Number, rhs: Number) -> Number {
        let value = self.value(lhs) + self.value(rhs);
        self.push(Operation::Plus(lhs, rhs), value)
    }

    fn minus(&mut self, lhs: Number, rhs: Number) -> Number {
        let value = self.value(lhs) - self.value(rhs);
        self.push(Operation::Minus(lhs, rhs), value)
    }

    /// The derivative of `result` with respect to every number on the tape.
    fn derivatives(&self, result: Number) -> Vec<f64> {
        let mut derivatives = vec![0.0; self.0.len()];
        derivatives[result.0] = 1.0;
        for step in (0..self.0.len()).rev() {
            let given = derivatives[step];
            match self.0[step].0 {
                Operation::Variable => {}
                Operation::Multiply(lhs, rhs) => {
                    derivatives[lhs.0] += given * self.value(rhs);
                    derivatives[rhs.0] += given * self.value(lhs);
                }
                Operation::Plus(lhs, rhs) => {
                    derivatives[lhs.0] += given;
                    derivatives[rhs.0] += given;
                }
                Operation::Minus(lhs, rhs) => {
                    derivatives[lhs.0] += given;
                    derivatives[rhs.0] -= given;
                }
            }
        }
        derivatives
    }
}

fn main() -> ExitCode {
    let (device, _) = Arguments::parse().place.open();
    let mut checks = Checks::new();

    let mut tape = Tape::default();
    let x = tape.variable(3.0);
    let y = tape.variable(2.0);
    let xx = tape.multiply(x, x);
    let xy = tape.multiply(x, y);
    let difference = tape.minus(xx, xy);
    let sum = tape.plus(difference, y);
    let result = tape.multiply(y, sum);

    let derivatives = tape.derivatives(result);
    for (step, ((operation, value), derivative)) in tape.0.iter().zip(&derivatives).enumerate() {
        println!("{step}  {:<18}  value {value:>2}  partial {derivative:>2}", show(*operation));
    }
    println!("func value: {}", tape.value(result));
    println!("partial x: {}", derivatives[x.0]);
    println!("partial y: {}", derivatives[y.0]);
    checks.expect("value", tape.value(result), 10.0, 0.0);
    checks.expect("partial x", derivatives[x.0], 8.0, 0.0);
    checks.expect("partial y", derivatives[y.0], 1.0, 0.0);

    let [x, y] = [3.0, 2.0].map(|number| vector(&[number], &device));
    let polynomial = |[x, y]: [Var; 2]| &y * (&x * &x - &x * &y + &y);
    let (value, partials) = value_and_grad(polynomial, [x, y]);
    let partials = partials.each_ref().map(number);
    println!("the library: {}, {partials:?}", number(&value));
    checks.expect("value by the library", number(&value), 10.0, 0.0);
    checks.expect_all("partials by the library", &partials, &[8.0, 1.0], 0.0);

    checks.finish("The value is 10, the partial derivatives are 8 and 1.")
}

fn show(operation: Operation) -> String {
    match operation {
        Operation::Variable => "variable".to_owned(),
        Operation::Multiply(lhs, rhs) => format!("multiply {} and {}", lhs.0, rhs.0),
        Operation::Plus(lhs, rhs) => format!("add {} and {}", lhs.0, rhs.0),
        Operation::Minus(lhs, rhs) => format!("from {} subtract {}", lhs.0, rhs.0),
    }
}
