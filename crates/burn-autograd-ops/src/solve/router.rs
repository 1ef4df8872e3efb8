//! On Burn's remote devices and in captured graphs the product is made of the factorisation and of
//! solutions with it, which are sent, or recorded, as operations by themselves.

use burn_router::{BackendRouter, RouterChannel};

use super::SolveOps;

impl<C: RouterChannel> SolveOps for BackendRouter<C> {}
