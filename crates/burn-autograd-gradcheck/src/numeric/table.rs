//! The ladder, for reading.

use std::fmt;

use super::Estimate;

/// How a derivative was found, step by step: [`Samples::table`](super::Samples::table).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StepTable {
    /// The steps, from large to small. Those at which the function is not finite, or which are lost
    /// in the rounding of the input, are left out.
    pub rows: Vec<StepRow>,
    /// What the function's values were taken to be off by.
    pub noise: f64,
    /// What came out.
    pub estimate: Estimate,
}

/// One step of the ladder.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct StepRow {
    /// The step, as it was realised.
    pub step: f64,
    /// The central difference.
    pub slope: f64,
    /// The derivative, extrapolated from this step and those above: the entry with the smallest
    /// bound, or the one that was chosen.
    pub value: f64,
    /// The bound on its error; infinite for the first two steps, which have nothing to compare
    /// with.
    pub bound: f64,
    /// Whether this is the answer.
    pub chosen: bool,
}

impl fmt::Display for StepTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>10}  {:>23}  {:>23}  {:>8}",
            "step", "central difference", "extrapolated", "bound"
        )?;
        for StepRow { step, slope, value, bound, chosen } in &self.rows {
            let mark = if *chosen { " *" } else { "" };
            writeln!(f, "{step:>10.3e}  {slope:>23.15e}  {value:>23.15e}  {bound:>8.1e}{mark}")?;
        }
        let Estimate { value, bound, nature, .. } = self.estimate;
        write!(f, "{value:.15e} ± {bound:.1e}, noise {:.1e}, {nature:?}", self.noise)
    }
}
