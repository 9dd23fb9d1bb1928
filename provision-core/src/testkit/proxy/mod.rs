//! Proxies that make faults between a connector and a server. Feature `testkit-proxy`.
//!
//! Both listen on a free port of the loopback interface, in front of one upstream address, in the tokio runtime that
//! started them. Faults are chosen by rules: [`When`] says at which connections or requests, counted from 1. What
//! happened is kept and can be asserted. Dropping a proxy ends everything it started; `stop` also waits for that.
//!
//! Waiting goes through a [`Clock`]; give the proxies one that runs with the real sockets, like the default, rather
//! than a clock that jumps.

mod body;
mod exchange;
mod http;
mod listening;
mod pump;
mod tcp;

pub use http::{HttpFault, HttpOptions, HttpProxy, HttpRule, RetryAfter, Seen};
pub use tcp::{Connection, Direction, TcpFault, TcpOptions, TcpProxy, TcpRule};

pub use crate::memory::When;
#[cfg(doc)]
use crate::runtime::Clock;
