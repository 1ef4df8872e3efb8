//! On Burn's remote devices and in captured graphs the determinants are products of what the
//! factorisation gives, which is sent, or recorded, as one operation.

use burn_router::{BackendRouter, RouterChannel};

use super::DetOps;

impl<C: RouterChannel> DetOps for BackendRouter<C> {}
