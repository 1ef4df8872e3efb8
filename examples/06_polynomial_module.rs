//! A module of one's own: y = a + b·x + c·x² + d·x³ with four parameters, shown as its formula, trained
//! by SGD, saved and loaded again.
//!
//! PyTorch's counterpart is a `torch.nn.Module` with four `nn.Parameter`s and a method `string`,
//! `optim.SGD(model.parameters(), lr=1e-6)` and `MSELoss(reduction='sum')`. In Burn the parameters are
//! fields of type `Param`, which the derived `Module` finds; the formula is what `{}` prints, by
//! `ModuleDisplay`; and `save_file` and `try_load_file` come with the derive.
//!
//! The library has this model with one fused operation instead of six, as
//! `ops::polynomial::Polynomial3`; it gives the same curve, and `{}` prints its formula too.
//!
//! `cargo run --example 06_polynomial_module -- --backend ndarray --plot module.png`
//!
//! Exit code: 0 if the numbers of `01_by_hand` came out, and came back from the file; 1 if not; 2 for
//! wrong arguments.
#![allow(clippy::print_stdout, reason = "a program")]

use std::process::ExitCode;

use burn::module::{DisplaySettings, Module, ModuleDisplay, Param};
use burn::nn::loss::{MseLoss, Reduction};
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::{Device, Tensor};
use burn_autograd::ops::polynomial;
use clap::Parser;

mod shared;
use shared::check::Checks;
use shared::cli::{Place, leave};
use shared::cubic::{FROM_ZERO, LEARNING_RATE, curve, formula};
use shared::fit::{Progress, STEPS, grid, sine};
use shared::plot::{Picture, Plot};
use shared::values::{number, numbers, vector};

/// Fits a cubic polynomial to sin(x), as a module with four parameters.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    plot: Plot,
}

/// y = a + b·x + c·x² + d·x³.
#[derive(Module, Debug)]
#[module(custom_display)]
struct Polynomial3 {
    a: Param<Tensor<1>>,
    b: Param<Tensor<1>>,
    c: Param<Tensor<1>>,
    d: Param<Tensor<1>>,
}

impl Polynomial3 {
    fn new(coefficients: [f64; 4], device: &Device) -> Self {
        let [a, b, c, d] = coefficients.map(|value| Param::from_tensor(vector(&[value], device)));
        Self { a, b, c, d }
    }

    fn forward(&self, x: Tensor<1>) -> Tensor<1> {
        self.a.val()
            + self.b.val() * x.clone()
            + self.c.val() * x.clone().powi_scalar(2)
            + self.d.val() * x.powi_scalar(3)
    }

    fn coefficients(&self) -> [f64; 4] {
        [&self.a, &self.b, &self.c, &self.d].map(|parameter| number(&parameter.val()))
    }
}

impl ModuleDisplay for Polynomial3 {
    fn format(&self, _: DisplaySettings) -> String {
        formula(self.coefficients())
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (device, precision) = arguments.place.open();
    let device = device.autodiff();
    let (points, values) = (grid(), sine(&grid()));
    let (x, y) = (vector(&points, &device), vector(&values, &device));

    let mut model = Polynomial3::new(FROM_ZERO.start, &device);
    println!("Start: {model}, {} parameters", model.num_params());
    let mut sgd = SgdConfig::new().init();
    let mut progress = Progress::new(STEPS);
    for step in 0..STEPS {
        let loss = MseLoss::new().forward(model.forward(x.clone()), y.clone(), Reduction::Sum);
        progress.step(step, || number(&loss));
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = sgd.step(LEARNING_RATE, model, gradients);
    }
    let losses = progress.finish();
    let coefficients = model.coefficients();
    println!("Result: {model}");

    // Through a file, into a model that starts elsewhere. The name is this process's own.
    let file = std::env::temp_dir().join(format!("polynomial3-{}.bpk", std::process::id()));
    let loaded = model
        .clone()
        .save_file(&file)
        .and_then(|()| Polynomial3::new([1.0; 4], &device).try_load_file(&file))
        .unwrap_or_else(|error| leave(&format!("{}: {error}", file.display())));
    println!("Loaded: {loaded}");

    arguments.plot.draw(&Picture {
        title: "A polynomial as a module, fitted to sin(x)",
        x: &points,
        data: ("sin(x)", &values),
        curves: &[("the model", curve(coefficients, &points))],
        losses: &[("sum of squared errors", &losses)],
    });

    let mut checks = Checks::new();
    FROM_ZERO.expect(&mut checks, &losses, coefficients, precision);
    checks.expect_equal("number of parameters", model.num_params(), 4);
    checks.expect_equal("formula", model.to_string(), formula(coefficients));
    checks.expect_equal("loaded coefficients", loaded.coefficients(), coefficients);

    // Rounded in another order: values up to 3 from terms up to 3, each rounded a few times.
    let fused = polynomial::Polynomial3::new(coefficients, &device);
    let rounding = precision.pick(1e-14, 1e-5);
    let (ours, fused) = (numbers(&loaded.forward(x.clone())), numbers(&fused.forward(x)));
    checks.expect_all("the library's curve", &fused, &ours, rounding);
    // Not before: what is loaded is read from the file when it is needed. Whether or not it can be
    // removed, it has served.
    let _ = std::fs::remove_file(&file);
    checks.finish("These are the numbers of 01_by_hand, before and after the file.")
}
