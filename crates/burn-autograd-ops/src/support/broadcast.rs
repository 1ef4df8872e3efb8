//! Walking several broadcast operands in step, in long runs.

use std::ops::Range;

/// Elements per segment: small enough that the operands of a segment stay in the first-level cache
/// while several results are computed from them, so that memory is passed once.
const SEGMENT: usize = 2048;

/// How `K` row-major operands of equal rank broadcast to their common shape.
///
/// Neighbouring dimensions in which the same operands are broadcast are merged, so that the common
/// cases (equal shapes, a bias per row, a scalar) become one or two long loops.
#[derive(Debug, Clone)]
pub(crate) struct Broadcast<const K: usize> {
    /// Elements of the common shape.
    pub(crate) len: usize,
    /// Elements of each operand.
    pub(crate) lens: [usize; K],
    /// Whether an operand is broadcast in any dimension. Not a matter of lengths: [1, 0] and [3, 0]
    /// have one length.
    pub(crate) broadcast: [bool; K],
    /// Size of the innermost merged dimension.
    inner: usize,
    /// Whether an operand stands still along it.
    pub(crate) still: [bool; K],
    /// The other merged dimensions, outermost first: size, and each operand's stride.
    outer: Vec<(usize, [usize; K])>,
}

/// A run of consecutive elements of the common shape, along which each operand advances by one
/// element or stands still.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<const K: usize> {
    /// The first element, counted in the common shape.
    pub(crate) start: usize,
    /// How many.
    pub(crate) len: usize,
    /// The first element, counted in each operand.
    pub(crate) offsets: [usize; K],
}

impl<const K: usize> Broadcast<K> {
    /// The operands' shapes must broadcast.
    pub(crate) fn new(shapes: [&[usize]; K]) -> Self {
        let rank = shapes[0].len();
        let common = |dim: usize| {
            let sizes = shapes.map(|shape| shape[dim]);
            sizes.into_iter().find(|&size| size != 1).unwrap_or(1)
        };
        // Innermost first: size of the merged dimension, and who is broadcast along it.
        let mut merged: Vec<(usize, [bool; K])> = Vec::new();
        for dim in (0..rank).rev() {
            let size = common(dim);
            if size == 1 {
                continue;
            }
            let still = shapes.map(|shape| shape[dim] == 1);
            match merged.last_mut() {
                Some((total, pattern)) if *pattern == still => *total *= size,
                _ => merged.push((size, still)),
            }
        }
        let len = merged.iter().map(|(size, _)| size).product();
        let mut merged = merged.into_iter();
        let (inner, still) = merged.next().unwrap_or((1, [false; K]));
        let mut strides = still.map(|still| if still { 1 } else { inner });
        let mut outer: Vec<_> = merged
            .map(|(size, still)| {
                let stride = std::array::from_fn(|k| if still[k] { 0 } else { strides[k] });
                for k in 0..K {
                    if !still[k] {
                        strides[k] *= size;
                    }
                }
                (size, stride)
            })
            .collect();
        outer.reverse();
        let lens = shapes.map(|shape| shape.iter().product());
        let broadcast = shapes.map(|shape| (0..rank).any(|dim| shape[dim] != common(dim)));
        Self { len, lens, broadcast, inner, still, outer }
    }

    /// Visits `range` of the common shape's elements in order.
    pub(crate) fn segments(&self, range: Range<usize>, mut visit: impl FnMut(Segment<K>)) {
        let mut start = range.start;
        while start < range.end {
            let (mut row, column) = (start / self.inner, start % self.inner);
            let mut offsets = [0; K];
            for (size, strides) in self.outer.iter().rev() {
                let index = row % size;
                row /= size;
                for k in 0..K {
                    offsets[k] += index * strides[k];
                }
            }
            let end = range.end.min(start - column + self.inner);
            while start < end {
                let len = SEGMENT.min(end - start);
                let column = start % self.inner;
                let offsets =
                    std::array::from_fn(|k| offsets[k] + if self.still[k] { 0 } else { column });
                visit(Segment { start, len, offsets });
                start += len;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Broadcast;

    /// Every element's place in every operand, by the definition of broadcasting.
    fn places<const K: usize>(shapes: [&[usize]; K], common: &[usize]) -> Vec<[usize; K]> {
        let len: usize = common.iter().product();
        (0..len)
            .map(|linear| {
                shapes.map(|shape| {
                    let (mut rest, mut place, mut stride) = (linear, 0, 1);
                    for dim in (0..common.len()).rev() {
                        let index = rest % common[dim];
                        rest /= common[dim];
                        if shape[dim] != 1 {
                            place += index * stride;
                        }
                        stride *= shape[dim];
                    }
                    place
                })
            })
            .collect()
    }

    #[test]
    fn segments_visit_every_element_once_at_its_place() {
        let cases: [([&[usize]; 3], &[usize]); 8] = [
            ([&[2, 3], &[2, 3], &[2, 3]], &[2, 3]),
            ([&[2, 3], &[1, 3], &[2, 1]], &[2, 3]),
            ([&[1], &[1], &[5000]], &[5000]),
            ([&[1, 1, 4], &[3, 1, 4], &[1, 5, 1]], &[3, 5, 4]),
            ([&[2, 1, 3, 1], &[2, 7, 1, 5], &[1, 1, 1, 1]], &[2, 7, 3, 5]),
            ([&[1, 1], &[1, 1], &[1, 1]], &[1, 1]),
            ([&[0, 3], &[1, 3], &[0, 1]], &[0, 3]),
            ([&[], &[], &[]], &[]),
        ];
        for (shapes, common) in cases {
            let plan = Broadcast::new(shapes);
            let expected = places(shapes, common);
            assert_eq!(plan.len, expected.len());
            for cut in [0, plan.len / 3, plan.len / 2, plan.len] {
                let mut found = Vec::new();
                for range in [0..cut, cut..plan.len] {
                    plan.segments(range, |segment| {
                        assert_eq!(segment.start, found.len());
                        for step in 0..segment.len {
                            found.push(std::array::from_fn(|k| {
                                segment.offsets[k] + if plan.still[k] { 0 } else { step }
                            }));
                        }
                    });
                }
                assert_eq!(found, expected, "{shapes:?}");
            }
        }
    }
}
