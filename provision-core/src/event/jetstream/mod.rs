//! NATS JetStream: events out, commands in. Feature `nats`.

mod commands;
mod connection;
mod sink;
mod subject;

pub use commands::{CommandsReport, JetStreamCommands, JetStreamCommandsOptions};
pub use connection::{JetStream, JetStreamLogin, JetStreamOptions};
pub use sink::{JetStreamSink, JetStreamSinkOptions};
