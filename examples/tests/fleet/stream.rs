//! The other side of the bus: what arrived, read by a plain consumer, and a sender of commands.

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::{Context, stream};
use futures_util::StreamExt as _;
use provision_core::testkit::peer::Nats;

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

/// A plain client of a server with TLS and a password.
async fn connect(nats: &Nats, (user, password): (&str, &str)) -> Context {
    let options = async_nats::ConnectOptions::new().add_root_certificates(nats.authority().unwrap());
    let options = options.user_and_password(user.to_owned(), password.to_owned());
    async_nats::jetstream::new(options.connect(nats.url()).await.unwrap())
}

/// How many messages a stream of such a server has.
pub(crate) fn count(nats: &Nats, login: (&str, &str), name: &str) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut stream = connect(nats, login).await.get_stream(name).await.unwrap();
        stream.info().await.unwrap().state.messages
    })
}

/// A sender with a stream of its own, on a server with TLS and a password.
pub(crate) struct Sender {
    runtime: tokio::runtime::Runtime,
    context: Context,
    stream: String,
}

impl Sender {
    /// Makes the stream for the subjects that begin with its name.
    pub(crate) fn new(nats: &Nats, login: (&str, &str), stream: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let context = runtime.block_on(async {
            let context = connect(nats, login).await;
            let subjects = vec![format!("{stream}.>")];
            let config = stream::Config { name: stream.to_owned(), subjects, ..stream::Config::default() };
            context.create_stream(config).await.unwrap();
            context
        });
        Self { runtime, context, stream: stream.to_owned() }
    }

    /// Sends a message, and waits until the server has it.
    pub(crate) fn send(&self, message: impl Into<Vec<u8>>) {
        let subject = format!("{}.desk", self.stream);
        self.runtime.block_on(async {
            let sent = self.context.publish(subject, message.into().into()).await.unwrap();
            sent.await.unwrap();
        });
    }

    /// What the server has of a consumer: messages that it never delivered, and those that nobody acknowledged.
    pub(crate) fn left(&self, durable: &str) -> (u64, usize) {
        self.runtime.block_on(async {
            let stream = self.context.get_stream(&self.stream).await.unwrap();
            let mut consumer: PullConsumer = stream.get_consumer(durable).await.unwrap();
            let info = consumer.info().await.unwrap();
            (info.num_pending, info.num_ack_pending)
        })
    }
}
