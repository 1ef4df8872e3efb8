use burn_cubecl::CubeBackend;

use super::TraceInverseOps;

impl TraceInverseOps for CubeBackend {}
