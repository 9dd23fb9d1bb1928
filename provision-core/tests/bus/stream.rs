//! The other side of the bus: a plain consumer, and a stream of the test's own.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, stream};
use futures_util::StreamExt;
use provision_core::event::EventMessage;
use provision_core::event::jetstream::{JetStream, JetStreamOptions};
use provision_core::testkit::peer::{Nats, shared_nats};

pub(crate) fn server() -> &'static Nats {
    shared_nats().unwrap()
}

pub(crate) fn bus(url: &str) -> JetStream {
    let mut options = JetStreamOptions::new([url]);
    options.require_tls = false;
    options.timeout = Duration::from_secs(2);
    JetStream::new(options)
}

pub(crate) async fn plain(url: &str) -> jetstream::Context {
    jetstream::new(async_nats::connect(url).await.unwrap())
}

/// Everything in a stream: subject, `Nats-Msg-Id`, message.
pub(crate) async fn read(url: &str, name: &str) -> Vec<(String, String, EventMessage)> {
    let context = plain(url).await;
    let mut stream = context.get_stream(name).await.unwrap();
    let count = usize::try_from(stream.info().await.unwrap().state.messages).unwrap();
    let config = pull::Config {
        ack_policy: AckPolicy::None,
        deliver_policy: DeliverPolicy::All,
        ..pull::Config::default()
    };
    let consumer: PullConsumer = stream.create_consumer(config).await.unwrap();
    let mut messages = Vec::new();
    while messages.len() < count {
        let mut batch = consumer.fetch().max_messages(500).messages().await.unwrap();
        while let Some(message) = batch.next().await {
            let message = message.unwrap();
            let id = message.headers.as_ref().unwrap().get(async_nats::header::NATS_MESSAGE_ID).unwrap();
            let event = serde_json::from_slice(&message.payload).unwrap();
            messages.push((message.subject.to_string(), id.to_string(), event));
        }
    }
    messages
}

pub(crate) async fn make(url: &str, config: stream::Config) {
    plain(url).await.create_stream(config).await.unwrap();
}
