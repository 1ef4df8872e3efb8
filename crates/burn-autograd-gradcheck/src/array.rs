/// Numbers on the host, in row-major order.
#[derive(Debug, Clone, PartialEq)]
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
