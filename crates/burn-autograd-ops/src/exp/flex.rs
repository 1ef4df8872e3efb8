use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;

use super::kernel::{Backward, Forward};
use super::{ExpOps, spec};
use crate::support::flex;

impl ExpOps for Flex {
    fn exp(x: FloatTensor<Self>) -> FloatTensor<Self> {
        flex::map(Forward, [x]).unwrap_or_else(|[x]| spec::forward::<Self>(x))
    }

    fn exp_backward(y: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        flex::map(Backward, [y, grad]).unwrap_or_else(|[y, grad]| spec::backward::<Self>(y, grad))
    }
}
