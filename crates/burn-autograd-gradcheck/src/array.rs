use approx::{AbsDiffEq, RelativeEq};

/// Numbers on the host, in row-major order.
///
/// The macros of the crate approx compare arrays: they are close if their shapes are equal and all elements
/// are close.
///
/// ```
/// use approx::{assert_abs_diff_eq, assert_relative_eq};
/// use burn_autograd_gradcheck::Array;
///
/// let third = Array::new([2], [1.0 / 3.0, 2.0 / 3.0]);
/// // Rounded to four digits, so off by at most half a unit of the last.
/// let rounded = Array::new([2], [0.3333, 0.6667]);
/// assert_abs_diff_eq!(third, rounded, epsilon = 0.5e-4);
/// assert_relative_eq!(third, rounded, epsilon = 0.0, max_relative = 2e-4);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Array {
    /// The sizes.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Vec<f64>,
}

impl Array {
    /// An array. Panics if the number of elements is not that of the shape.
    pub fn new(shape: impl Into<Vec<usize>>, data: impl Into<Vec<f64>>) -> Self {
        let (shape, data) = (shape.into(), data.into());
        assert_eq!(shape.iter().product::<usize>(), data.len(), "one number for each place");
        Self { shape, data }
    }

    /// An array whose elements are made one after the other.
    pub fn from_fn(shape: impl Into<Vec<usize>>, mut element: impl FnMut() -> f64) -> Self {
        let shape = shape.into();
        let data = (0..shape.iter().product()).map(|_| element()).collect();
        Self { shape, data }
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The place of the element at a position in row-major order.
    pub fn index(&self, position: usize) -> Vec<usize> {
        let mut rest = position;
        let mut index: Vec<usize> = self
            .shape
            .iter()
            .rev()
            .map(|&size| {
                let place = rest % size.max(1);
                rest /= size.max(1);
                place
            })
            .collect();
        index.reverse();
        index
    }
}

impl AbsDiffEq for Array {
    type Epsilon = f64;

    fn default_epsilon() -> f64 {
        f64::default_epsilon()
    }

    fn abs_diff_eq(&self, other: &Self, epsilon: f64) -> bool {
        self.shape == other.shape && self.data[..].abs_diff_eq(&other.data[..], epsilon)
    }
}

impl RelativeEq for Array {
    fn default_max_relative() -> f64 {
        f64::default_max_relative()
    }

    fn relative_eq(&self, other: &Self, epsilon: f64, max_relative: f64) -> bool {
        self.shape == other.shape
            && self.data[..].relative_eq(&other.data[..], epsilon, max_relative)
    }
}
