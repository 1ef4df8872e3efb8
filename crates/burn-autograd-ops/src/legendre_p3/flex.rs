use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;

use super::kernel::{Backward, Forward};
use super::{LegendreP3Ops, spec};
use crate::support::flex;

impl LegendreP3Ops for Flex {
    fn legendre_p3(x: FloatTensor<Self>) -> FloatTensor<Self> {
        flex::map(Forward, [x]).unwrap_or_else(|[x]| spec::forward::<Self>(x))
    }

    fn legendre_p3_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        flex::map(Backward, [x, grad]).unwrap_or_else(|[x, grad]| spec::backward::<Self>(x, grad))
    }
}
