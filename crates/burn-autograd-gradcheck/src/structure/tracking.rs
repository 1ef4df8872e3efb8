//! Which inputs are tracked: the outputs and the other inputs' gradients do not depend on it.

use super::Ground;
use crate::SplitMix64;
use crate::draft::Draft;
use crate::evaluate::{Mode, Panicked};
use crate::record::{Record, Verdict};

impl Ground<'_> {
    /// Tracking changes nothing in the outputs.
    pub(super) fn forward(&self) -> Record {
        let exact = self.declared.exact_forward;
        let mut draft = Draft::new("forward");
        match self.place.forward(self.inputs) {
            Ok(plain) => {
                let what = "with tracked inputs";
                self.same_outputs(&mut draft, what, &plain, &self.base.outputs, exact);
            }
            Err(Panicked(text)) => draft.lower(Verdict::Invalid, format!("it panicked: {text}")),
        }
        draft.finish()
    }

    /// Subsets of tracked inputs: the same gradients for these, none for the others.
    pub(super) fn subsets(&self, name: &str, checkpointing: bool, subsets: &[Vec<bool>]) -> Record {
        let mut draft = Draft::new(name);
        for tracked in subsets {
            let names: Vec<_> = (0..tracked.len()).filter(|&i| tracked[i]).collect();
            let what = format!("tracked inputs {names:?}");
            let mode = Mode { checkpointing, ..Mode::plain(tracked) };
            let Some(pass) = self.run(&mut draft, &what, &self.cotangents, mode) else { continue };
            if !tracked.contains(&true) && pass.output_tracked.contains(&true) {
                draft.lower(Verdict::Fail, "no input is tracked, but an output is");
            }
            for (input, gradient) in pass.gradients.iter().enumerate() {
                if gradient.is_some() && !tracked[input] {
                    draft.lower(
                        Verdict::Fail,
                        format!("{what}: input {input} is not tracked, but has a gradient"),
                    );
                }
            }
            self.same_outputs(&mut draft, &what, &self.base.outputs, &pass.outputs, false);
            let expected: Vec<_> = self
                .base
                .gradients
                .iter()
                .zip(tracked)
                .map(|(gradient, &tracked)| gradient.clone().filter(|_| tracked))
                .collect();
            self.compare(&mut draft, &what, &expected, &pass.gradients, false);
        }
        self.finish(draft)
    }
}

/// Subsets of so many inputs: all of them, up to four inputs. Beyond that none, all, each alone and each
/// missing, which is every combination of any three inputs; and random ones, of about half of them, until
/// every combination of any two stands among these as well.
pub(super) fn subsets(count: usize, random: &mut SplitMix64) -> Vec<Vec<bool>> {
    if count <= 4 {
        let of =
            |mask: usize| -> Vec<bool> { (0..count).map(|input| mask >> input & 1 == 1).collect() };
        return (0..1 << count).map(of).collect();
    }
    let but = |one: usize, tracked: bool| -> Vec<bool> {
        (0..count).map(|input| (input == one) == tracked).collect()
    };
    let mut subsets: Vec<Vec<bool>> =
        (0..count).flat_map(|one| [but(one, true), but(one, false)]).collect();
    subsets.extend([vec![false; count], vec![true; count]]);
    // Which of its four combinations each pair still lacks, as bits.
    let pairs: Vec<(usize, usize)> =
        (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b))).collect();
    let mut lacking = vec![0b1111u8; pairs.len()];
    while lacking.iter().any(|&lacks| lacks != 0) {
        let tracked: Vec<bool> = (0..count).map(|_| random.next_u64() >> 63 == 1).collect();
        for (lacks, &(a, b)) in lacking.iter_mut().zip(&pairs) {
            *lacks &= !(1u8 << (2 * u8::from(tracked[a]) + u8::from(tracked[b])));
        }
        subsets.push(tracked);
    }
    subsets
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::subsets;
    use crate::SplitMix64;

    /// The combinations in which these inputs stand.
    fn combinations(subsets: &[Vec<bool>], inputs: &[usize]) -> usize {
        let of = |tracked: &Vec<bool>| inputs.iter().map(|&i| tracked[i]).collect::<Vec<_>>();
        subsets.iter().map(of).collect::<BTreeSet<_>>().len()
    }

    #[test]
    fn few_inputs_are_tracked_in_every_combination() {
        for count in 1..=4 {
            let found = subsets(count, &mut SplitMix64::new(1));
            let all: Vec<usize> = (0..count).collect();
            assert_eq!((found.len(), combinations(&found, &all)), (1 << count, 1 << count));
        }
    }

    #[test]
    fn many_inputs_are_tracked_in_every_combination_of_three() {
        for count in [5, 9, 65] {
            let found = subsets(count, &mut SplitMix64::new(1));
            assert!(found.iter().all(|tracked| tracked.len() == count));
            for (a, b) in (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b))) {
                // Beyond what is made by rule.
                assert_eq!(combinations(&found[2 * count + 2..], &[a, b]), 4, "{a} and {b}");
                for c in b + 1..count.min(9) {
                    assert_eq!(combinations(&found, &[a, b, c]), 8, "{a}, {b} and {c}");
                }
            }
            assert!(found.len() <= 2 * count + 2 + 80, "{} of {count}", found.len());
        }
    }
}
