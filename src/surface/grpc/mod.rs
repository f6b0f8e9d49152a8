//! gRPC, on the same listener as HTTP and under the same limits: it is HTTP/2, and whoever calls is known by the
//! same secret or certificate. What is spoken is defined in `proto/`.

mod deadline;
pub mod ext_authz;
