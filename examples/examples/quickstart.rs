//! Three days of an HR file become accounts on two targets: `cargo run --example quickstart`.
//!
//! State is kept in `$PROVISION_STATE_DIR`, or in `./quickstart-state`. The code is in `examples/src/quickstart/`,
//! the data in `examples/data/`.

use std::path::PathBuf;
use std::process::ExitCode;

use provision_examples::quickstart;
use provision_examples::screen::{Screen, warn};

#[tokio::main]
async fn main() -> ExitCode {
    let state = std::env::var_os("PROVISION_STATE_DIR").map(PathBuf::from);
    let state = state.unwrap_or_else(|| PathBuf::from("quickstart-state"));
    match quickstart::run(&state, Screen::stdout()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            warn(error.report());
            ExitCode::FAILURE
        }
    }
}
