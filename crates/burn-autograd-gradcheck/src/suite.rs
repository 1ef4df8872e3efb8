//! A gradient-check suite: many cases, on several backends, with one report.
//!
//! A crate of operations describes its [`Case`]s as data and runs them with [`Suite::run`].

use std::cell::OnceCell;
use std::collections::HashMap;

use burn::tensor::{DType, Device};
use serde::{Deserialize, Serialize};

use crate::api::{Idle, assert_coverage, assert_step, covered, prove};
use crate::calibrate::{Calibration, Intrinsic};
use crate::evaluate::Place;
use crate::jacobian::{self, Settings};
use crate::lower::is_lower;
use crate::numeric::Precision;
use crate::projection::ENTRIES;
use crate::proven::Proven;
use crate::record::{Record, Verdict};
use crate::structure::Declared;
use crate::{Array, Report, SplitMix64, Subject, integers, line, parity, structure};

/// A function at a point.
#[derive(Debug, Clone)]
pub struct Case {
    /// The operation's name.
    pub op: String,
    /// The case's name, unique within the operation.
    pub name: String,
    function: Subject,
    vjp: Option<Subject>,
    inputs: Vec<Array>,
    first_step: f64,
    intrinsics: Vec<Intrinsic>,
    roundings: f64,
    exact: bool,
    exact_forward: bool,
    batch: Vec<bool>,
    coverage: f64,
    nondeterminism: f64,
    entries: usize,
    steps: bool,
    constant: bool,
    exceptions: Vec<(String, String)>,
}

impl Case {
    /// A case of `op` at `inputs`. Draw the inputs with [`SplitMix64::uniform`], so that `f32` holds
    /// them exactly.
    pub fn new(
        op: impl Into<String>,
        name: impl Into<String>,
        function: Subject,
        inputs: Vec<Array>,
    ) -> Self {
        Self {
            op: op.into(),
            name: name.into(),
            function,
            vjp: None,
            inputs,
            first_step: 0.25,
            intrinsics: Vec::new(),
            roundings: 0.0,
            exact: false,
            exact_forward: true,
            batch: Vec::new(),
            coverage: 1.0,
            nondeterminism: 0.0,
            entries: ENTRIES,
            steps: false,
            constant: false,
            exceptions: Vec::new(),
        }
    }

    /// The vector-Jacobian product, for second order; see [`Subject::product`].
    #[must_use]
    pub fn vjp(mut self, vjp: Subject) -> Self {
        self.vjp = Some(vjp);
        self
    }

    /// The largest step: less than the distance to a kink or to the end of the domain.
    ///
    /// # Panics
    ///
    /// If it is not a finite number above 0.
    #[must_use]
    pub fn first_step(mut self, step: f64) -> Self {
        assert_step(step);
        self.first_step = step;
        self
    }

    /// Which of a device's built-in functions the operation uses. How accurate an adapter's are is
    /// measured and allowed for.
    #[must_use]
    pub fn intrinsics(mut self, functions: &[Intrinsic]) -> Self {
        self.intrinsics = functions.to_vec();
        self
    }

    /// Declares that the function is a polynomial of degree two at most in each element of its inputs:
    /// it is then also checked at small integers, without any tolerance.
    #[must_use]
    pub fn exact(mut self) -> Self {
        self.exact = true;
        self
    }

    /// Declares that the outputs may be rounded otherwise where an input is tracked, because another
    /// kernel computes them then; if not, they have to be the same to the last bit.
    #[must_use]
    pub fn rounded_forward(mut self) -> Self {
        self.exact_forward = false;
        self
    }

    /// Declares which inputs have a batch as their first dimension; the outputs then have it too. Each
    /// entry of the batch must give the same alone.
    #[must_use]
    pub fn batch(mut self, inputs: &[bool]) -> Self {
        self.batch = inputs.to_vec();
        self
    }

    /// How many roundings of terms as large as the largest result stand between the inputs and a
    /// result, where such terms cancel; 0 by default. In `f32` an entry may then be off by that many
    /// half-units in the last place of the largest one, and smaller mistakes are not seen: the report
    /// says so.
    #[must_use]
    pub fn roundings(mut self, roundings: f64) -> Self {
        self.roundings = roundings;
        self
    }

    /// Which part of the entries must be checked for a pass; see
    /// [`Gradcheck::coverage`](crate::Gradcheck::coverage).
    ///
    /// # Panics
    ///
    /// If it is not above 0 and at most 1.
    #[must_use]
    pub fn coverage(mut self, part: f64) -> Self {
        assert_coverage(part);
        self.coverage = part;
        self
    }

    /// Declares that gradients may vary from run to run by so many units in the last place, as those
    /// of a reduction with atomic additions do.
    #[must_use]
    pub fn nondeterministic(mut self, ulps: f64) -> Self {
        self.nondeterminism = ulps;
        self
    }

    /// Up to how many entries the full Jacobian is checked; see
    /// [`Gradcheck::full_jacobian`](crate::Gradcheck::full_jacobian).
    #[must_use]
    pub fn full_jacobian(mut self, entries: usize) -> Self {
        self.entries = entries;
        self
    }

    /// Shows in the record how the numeric derivative of the entry that fits worst was found; see
    /// [`Gradcheck::steps`](crate::Gradcheck::steps).
    #[must_use]
    pub fn steps(mut self) -> Self {
        self.steps = true;
        self
    }

    /// Declares that no output depends on any input near the point, as those of `floor` do not: the check
    /// is then that the gradient is zero. Otherwise an operation of whose cases none depends
    /// on an input is unchecked.
    #[must_use]
    pub fn constant(mut self) -> Self {
        self.constant = true;
        self
    }

    /// Declares that the case cannot be checked on a backend, and why. The report then says so: the
    /// case is unchecked there, by declaration.
    #[must_use]
    pub fn except(mut self, backend: impl Into<String>, reason: impl Into<String>) -> Self {
        self.exceptions.push((backend.into(), reason.into()));
        self
    }
}

/// A backend to check on.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Backend {
    /// Its name in the report.
    pub name: String,
    /// Where its tensors live.
    pub device: Device,
    /// The data types to check, of `f64` and `f32`.
    pub dtypes: Vec<DType>,
    /// Whether `exp`, `sin` and the like are an adapter's, which may be less accurate.
    pub adapter: bool,
}

impl Backend {
    /// A backend whose functions are not an adapter's. [`adapter`](Self::adapter) is false until it is set.
    pub fn new(name: impl Into<String>, device: Device, dtypes: impl Into<Vec<DType>>) -> Self {
        Self { name: name.into(), device, dtypes: dtypes.into(), adapter: false }
    }
}

/// A check's record, and what it is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// The operation.
    pub op: String,
    /// The case.
    pub case: String,
    /// The backend.
    pub backend: String,
    /// `f64` or `f32`.
    pub dtype: String,
    /// 1 for the gradient, 2 for the gradient of the gradient.
    pub order: u8,
    /// Whether the case was declared not to be checkable on this backend.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub declared: bool,
    /// What was found.
    #[serde(flatten)]
    pub record: Record,
}

/// Cases and how to run them.
#[derive(Debug, Clone)]
pub struct Suite {
    cases: Vec<Case>,
    orders: Vec<u8>,
    seed: u64,
    reference: Option<Device>,
    repeat: fn(&Entry, u64) -> String,
}

/// How to run a case again, where a test runs the suite: by the test's name, which its thread has too.
pub fn repeat(entry: &Entry, seed: u64) -> String {
    let Entry { op, case, backend, dtype, order, .. } = entry;
    let what = format!("{op}, case '{case}' on {backend} in {dtype}, order {order}, seed {seed}");
    let thread = std::thread::current();
    match thread.name() {
        Some(test) if test != "main" => format!("cargo test {test} -- --exact, for {what}"),
        _ => what,
    }
}

/// The report of a test: how to repeat what it says begins with the test's name.
#[doc(hidden)]
pub fn of_test(mut report: Report, test: &str) -> Report {
    for repeat in report.records.iter_mut().filter_map(|record| record.repeat.as_mut()) {
        *repeat = format!("cargo test {test}, for {repeat}");
    }
    report
}

/// What the proof of a case on the reference gave.
#[derive(Default)]
struct Reference {
    proven: Option<Proven>,
    /// Whether the function computes in less than `f64` there.
    lower: bool,
}

/// What a case is at one order: the function that is checked, and where.
struct Stage<'a> {
    case: &'a Case,
    order: u8,
    subject: &'a Subject,
    inputs: Vec<Array>,
}

impl Suite {
    /// A suite of these cases, to first and second order, with seed 42 and without a reference.
    pub fn new(cases: Vec<Case>) -> Self {
        Self { cases, orders: vec![1, 2], seed: 42, reference: None, repeat }
    }

    /// The orders to check: 1, 2 or both.
    #[must_use]
    pub fn orders(mut self, orders: impl Into<Vec<u8>>) -> Self {
        self.orders = orders.into();
        self
    }

    /// The seed of the random cotangents.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// A device that computes in `f64`. What is checked in `f32` is compared with the
    /// gradient that is verified there.
    #[must_use]
    pub fn reference(mut self, device: &Device) -> Self {
        self.reference = Some(device.clone());
        self
    }

    /// How to make the line that says how to run an entry's case again, from the entry and the seed. By
    /// default it is [`repeat`](fn@repeat), which names a test.
    #[must_use]
    pub fn repeat(mut self, line: fn(&Entry, u64) -> String) -> Self {
        self.repeat = line;
        self
    }

    /// Runs every case on every backend, in the order of the backends, and gives each record as soon
    /// as it is there.
    pub fn run(&self, backends: &[Backend], mut report: impl FnMut(Entry)) {
        // What was verified on the reference, to be used for every `f32` backend.
        let mut proven: HashMap<(usize, u8), Reference> = HashMap::new();
        for backend in backends {
            let calibration = OnceCell::new();
            for &dtype in &backend.dtypes {
                // Why the checks of an operation say nothing, as long as that is so of each case.
                let mut idle: HashMap<(&str, u8), Option<Idle>> = HashMap::new();
                for (number, case) in self.cases.iter().enumerate() {
                    for &order in &self.orders {
                        let exception =
                            case.exceptions.iter().find(|(name, _)| *name == backend.name);
                        let mut emit = |record: Record| {
                            let mut entry = Entry {
                                op: case.op.clone(),
                                case: case.name.clone(),
                                backend: backend.name.clone(),
                                dtype: if dtype == DType::F64 { "f64" } else { "f32" }.to_owned(),
                                order,
                                declared: exception.is_some(),
                                record,
                            };
                            if entry.record.verdict != Verdict::Pass && exception.is_none() {
                                entry.record.repeat = Some((self.repeat)(&entry, self.seed));
                            }
                            report(entry);
                        };
                        let found = if let Some((_, reason)) = exception {
                            emit(Record::unchecked("case", reason.clone()));
                            None
                        } else if let Some(stage) =
                            self.stage(case, order, &backend.device, dtype, &mut emit)
                        {
                            let place =
                                Place { subject: stage.subject, device: &backend.device, dtype };
                            if dtype == DType::F64 {
                                self.double(&stage, &place, &mut emit)
                            } else {
                                let known = proven.entry((number, order)).or_insert_with(|| {
                                    let Some(device) = &self.reference else {
                                        return Reference::default();
                                    };
                                    let place =
                                        Place { subject: stage.subject, device, dtype: DType::F64 };
                                    let (record, proven) = self.prove(&stage, &place);
                                    Reference { proven, lower: is_lower(&record) }
                                });
                                let ulps = match case.intrinsics.as_slice() {
                                    functions if backend.adapter && !functions.is_empty() => {
                                        calibration
                                            .get_or_init(|| Calibration::of(&backend.device))
                                            .allowance(functions)
                                    }
                                    _ => 0.0,
                                };
                                self.single(&stage, &place, known, ulps, &mut emit)
                            }
                        } else {
                            None
                        };
                        let all = idle.entry((case.op.as_str(), order)).or_insert(found);
                        *all = all.and(found);
                        let last = self.cases.iter().rposition(|other| other.op == case.op);
                        if let Some(idle) = *all
                            && last == Some(number)
                        {
                            emit(idle.record());
                        }
                    }
                }
            }
        }
    }

    fn declared(stage: &Stage<'_>) -> Declared {
        Declared {
            exact_forward: stage.order == 1 && stage.case.exact_forward,
            roundings: stage.case.roundings,
            nondeterminism: stage.case.nondeterminism,
            batch: if stage.order == 1 { stage.case.batch.clone() } else { Vec::new() },
        }
    }

    fn settings(&self, stage: &Stage<'_>, dtype: DType) -> Settings {
        Settings {
            precision: if dtype == DType::F64 { Precision::F64 } else { Precision::F32 },
            first_step: stage.case.first_step,
            seed: self.seed,
            intrinsic_ulps: 0.0,
            roundings: stage.case.roundings,
            companion: false,
            steps: stage.case.steps,
        }
    }

    /// The check in double precision, and what it established if that suffices.
    fn prove(&self, stage: &Stage<'_>, place: &Place<'_>) -> (Record, Option<Proven>) {
        let settings = self.settings(stage, DType::F64);
        let (record, proven) = prove(place, &stage.inputs, &settings, stage.case.entries);
        let record = covered(record, stage.case.coverage);
        let proven = proven.filter(|_| record.verdict == Verdict::Pass);
        (record, proven)
    }

    /// Why a pass of the stage would say nothing, if that is not declared.
    fn idle(stage: &Stage<'_>, proven: &Proven) -> Option<Idle> {
        let idle = Idle::of(stage.subject, &stage.inputs, proven);
        idle.filter(|idle| *idle != Idle::Constant || !stage.case.constant)
    }

    /// The function to check. At order 2 that is the vector-Jacobian product, once it is known to
    /// agree with the backward pass.
    fn stage<'a>(
        &self,
        case: &'a Case,
        order: u8,
        device: &Device,
        dtype: DType,
        emit: &mut impl FnMut(Record),
    ) -> Option<Stage<'a>> {
        let mut inputs = case.inputs.clone();
        if order == 1 {
            return Some(Stage { case, order, subject: &case.function, inputs });
        }
        let Some(vjp) = &case.vjp else {
            emit(Record::unchecked("case", "no vector-Jacobian product is given"));
            return None;
        };
        let place = Place { subject: &case.function, device, dtype };
        let (record, cotangents) = structure::consistency(&place, vjp, &inputs, self.seed);
        emit(record);
        inputs.extend(cotangents?);
        Some(Stage { case, order, subject: vjp, inputs })
    }

    fn double(
        &self,
        stage: &Stage<'_>,
        place: &Place<'_>,
        emit: &mut impl FnMut(Record),
    ) -> Option<Idle> {
        let (record, proven) = self.prove(stage, place);
        emit(record);
        let proven = proven?;
        self.structure(stage, place, &proven, emit);
        Self::idle(stage, &proven)
    }

    fn structure(
        &self,
        stage: &Stage<'_>,
        place: &Place<'_>,
        proven: &Proven,
        emit: &mut impl FnMut(Record),
    ) {
        let seed = self.seed ^ u64::from(stage.order);
        let declared = Self::declared(stage);
        structure::checks(place, &stage.inputs, proven, seed, &declared)
            .into_iter()
            .for_each(&mut *emit);
        if stage.case.exact && stage.order == 1 {
            emit(integers::check(place, &stage.inputs, seed));
        }
    }

    fn single(
        &self,
        stage: &Stage<'_>,
        place: &Place<'_>,
        known: &Reference,
        intrinsic_ulps: f64,
        emit: &mut impl FnMut(Record),
    ) -> Option<Idle> {
        let settings = Settings { intrinsic_ulps, ..self.settings(stage, DType::F32) };
        let (Some(proven), Some(device)) = (&known.proven, &self.reference) else {
            if known.lower {
                // It computes in f32 on the reference as well: there is no more to compare with than on a
                // device that has no other data type.
                let record = line::check(place, &stage.inputs, &settings);
                let passed = record.verdict == Verdict::Pass;
                emit(record);
                if passed && let Some(scale) = jacobian::scale(place, &stage.inputs, &settings) {
                    self.structure(stage, place, &scale, emit);
                    return Self::idle(stage, &scale);
                }
                return None;
            }
            let reason = match self.reference {
                Some(_) => "the f64 gradient that it would be compared with did not pass",
                None => "there is no backend with f64 to compare with",
            };
            emit(Record::unchecked("parity", reason));
            return None;
        };
        let reference = Place { subject: stage.subject, device, dtype: DType::F64 };
        let parity = parity::check(place, &reference, &stage.inputs, proven, &settings);
        emit(covered(parity, stage.case.coverage));
        self.structure(stage, place, proven, emit);
        Self::idle(stage, proven)
    }
}

/// How often [`draw`] tries to find a value.
const DRAWS: usize = 100_000;

/// Inputs for a case: uniform in [`low`, `high`), at least `margin` away from each of the `avoid`ed
/// values.
///
/// # Panics
///
/// If nothing of the range is as far from those, or so little that 100,000 draws do not find it.
pub fn draw(
    random: &mut SplitMix64,
    shapes: &[&[usize]],
    (low, high): (f64, f64),
    avoid: &[f64],
    margin: f64,
) -> Vec<Array> {
    let far = |value: &f64| avoid.iter().all(|point| (value - point).abs() >= margin);
    let mut value = || {
        let drawn = (0..DRAWS).map(|_| random.uniform(low, high)).find(far);
        drawn.unwrap_or_else(|| {
            panic!(
                "draw: argument `margin`: expected one that leaves a value between {low} and {high} \
                 outside of it around {avoid:?}, got {margin}"
            )
        })
    };
    shapes.iter().map(|shape| Array::from_fn(shape.to_vec(), &mut value)).collect()
}

/// Makes a test of every case on every backend: a module for each backend, in it a test for each case,
/// named as they are here. In each a function makes the [`Gradcheck`](crate::Gradcheck), the subject and
/// the inputs on a device.
///
/// ```
/// # #[cfg(feature = "flex")] {
/// use burn::tensor::{DType, Device, Tensor};
/// use burn_autograd_gradcheck::{Gradcheck, Subject, gradcheck_suite};
///
/// gradcheck_suite! {
///     backends {
///         flex: Device::flex(),
///     }
///     cases {
///         sine: |device: &Device| {
///             let x = Tensor::<1>::from_data([0.5, -1.25], (device, DType::F64));
///             Gradcheck::new().run(&Subject::new(|x: Tensor<1>| x.sin()), x)
///         },
///         product: |device: &Device| {
///             let a = Tensor::<2>::from_data([[0.5, -1.25]], (device, DType::F64));
///             let b = Tensor::<2>::from_data([[1.5], [2.5]], (device, DType::F64));
///             let function = |(a, b): (Tensor<2>, Tensor<2>)| a.matmul(b);
///             Gradcheck::new().exact().run(&Subject::new(function), (a, b))
///         },
///     }
/// }
/// // The tests are `flex::sine` and `flex::product`.
/// # }
/// ```
#[macro_export]
macro_rules! gradcheck_suite {
    (
        backends { $($backend:ident: $device:expr),+ $(,)? }
        cases $cases:tt
    ) => {
        $(
            $crate::gradcheck_suite!(@backend $backend, $device, $cases);
        )+
    };
    (@backend $backend:ident, $device:expr, { $($case:ident: $check:expr),+ $(,)? }) => {
        mod $backend {
            #[allow(unused_imports, reason = "what the expressions name")]
            use super::*;
            $(
                #[test]
                fn $case() {
                    let device = $device;
                    let report: $crate::Report = ($check)(&device);
                    let test = concat!(stringify!($backend), "::", stringify!($case));
                    $crate::suite::of_test(report, test).assert_pass();
                }
            )+
        }
    };
}
