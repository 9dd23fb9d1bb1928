//! What arrived on the bus, read by a plain consumer.

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use futures_util::StreamExt as _;

/// An event as it arrived.
#[derive(Debug)]
pub(crate) struct Arrived {
    pub(crate) id: String,
    pub(crate) number: u64,
    pub(crate) identity: String,
}

/// Everything in a stream, in its order.
pub(crate) fn read(url: &str, name: &str) -> Vec<Arrived> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let context = async_nats::jetstream::new(async_nats::connect(url).await.unwrap());
        let mut stream = context.get_stream(name).await.unwrap();
        let count = usize::try_from(stream.info().await.unwrap().state.messages).unwrap();
        let config = pull::Config {
            ack_policy: AckPolicy::None,
            deliver_policy: DeliverPolicy::All,
            ..pull::Config::default()
        };
        let consumer: PullConsumer = stream.create_consumer(config).await.unwrap();
        let mut arrived = Vec::new();
        while arrived.len() < count {
            let mut batch = consumer.fetch().max_messages(500).messages().await.unwrap();
            while let Some(message) = batch.next().await {
                let message = message.unwrap();
                let headers = message.headers.as_ref().unwrap();
                let id = headers.get(async_nats::header::NATS_MESSAGE_ID).unwrap().to_string();
                let body: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
                let number = body["number"].as_u64().unwrap();
                arrived.push(Arrived { id, number, identity: body["identity"].to_string() });
            }
        }
        arrived
    })
}
