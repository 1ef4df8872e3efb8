//! The operations on Burn's remote devices, and in captured graphs.
//!
//! A client sends an operation by its name; the server runs it with its own kernels, once it has been
//! told how. The gradient graph stays the client's.
//!
//! ```
//! # #[cfg(all(feature = "remote", feature = "flex"))] {
//! use burn::backend::Flex;
//! use burn_autograd_ops::remote::registry;
//!
//! // `burn::server::RemoteServer::new([Device::flex()]).with_custom_ops(registry::<Flex>())`
//! let _: burn_router::CustomOpRegistry<Flex> = registry();
//! # }
//! ```

use burn::backend::ir::BackendIr;
use burn_router::CustomOpRegistry;

use crate::cross_entropy::CrossEntropyOps;
use crate::det::DetOps;
use crate::exp::ExpOps;
use crate::inverse::InverseOps;
use crate::legendre_p3::LegendreP3Ops;
use crate::linear::LinearOps;
use crate::lu::LuOps;
use crate::multiply_add::MultiplyAddOps;
use crate::polynomial::PolynomialOps;
use crate::relu::ReluOps;
use crate::sum_squared_error::SumSquaredErrorOps;
use crate::trace::TraceOps;
use crate::trace_inverse::TraceInverseOps;

macro_rules! all_ops {
    ($($ops:ident),+) => {
        /// A backend with every operation.
        pub trait AllOps: $($ops +)+ {}

        impl<B: $($ops +)+> AllOps for B {}
    };
}

all_ops!(
    CrossEntropyOps,
    DetOps,
    ExpOps,
    InverseOps,
    LegendreP3Ops,
    LinearOps,
    LuOps,
    MultiplyAddOps,
    PolynomialOps,
    ReluOps,
    SumSquaredErrorOps,
    TraceInverseOps,
    TraceOps
);

/// Adds every operation to what a server, or an interpreter of captured graphs, can run on `B`.
pub fn register<B: BackendIr + AllOps>(registry: &mut CustomOpRegistry<B>) {
    crate::cross_entropy::router::register(registry);
    crate::det::router::register(registry);
    crate::exp::router::register(registry);
    crate::inverse::router::register(registry);
    crate::legendre_p3::router::register(registry);
    crate::linear::router::register(registry);
    crate::lu::router::register(registry);
    crate::multiply_add::router::register(registry);
    crate::polynomial::router::register(registry);
    crate::relu::router::register(registry);
    crate::sum_squared_error::router::register(registry);
    crate::trace::router::register(registry);
    crate::trace_inverse::router::register(registry);
}

/// A registry of every operation, for `RemoteServer::with_custom_ops`.
#[must_use]
pub fn registry<B: BackendIr + AllOps>() -> CustomOpRegistry<B> {
    let mut registry = CustomOpRegistry::new();
    register(&mut registry);
    registry
}
