//! Notices between processes: something is due. Sent after commits by one task, which puts many into one; a lost one
//! delays, since everybody polls too.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{AsyncMessage, Config, NoTls, Socket};

use super::address::Address;
use super::connection::Connections;
use super::failure::explain;
use super::statement::Statement;
use crate::error::Result;
use crate::model::Work;
use crate::runtime::Clock;
use crate::store::{Changes, Table};
use crate::value::Timestamp;

/// Notices sent and heard within this time are one.
const TOGETHER: Duration = Duration::from_millis(20);
/// How long to wait before listening again after the connection broke; doubled up to the longest.
const AGAIN: Duration = Duration::from_millis(500);
const AGAIN_MAX: Duration = Duration::from_secs(30);

/// What is told, and what is heard.
#[derive(Debug)]
pub(super) struct Notices {
    channel: String,
    /// Tells our own notices from those of others.
    sender: String,
    clock: Arc<dyn Clock>,
    bell: Notify,
    heard: watch::Sender<u64>,
}

/// The tasks; they end with this.
#[derive(Debug)]
pub(super) struct Tasks(Vec<JoinHandle<()>>);

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

impl Notices {
    /// Notices on a channel, by a sender with a name of its own.
    pub(super) fn new(channel: String, sender: String, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { channel, sender, clock, bell: Notify::new(), heard: watch::Sender::new(0) })
    }

    /// Tells others, soon, if a commit made something due.
    pub(super) fn tell(&self, changes: &Changes, now: impl Fn() -> Timestamp) {
        if is_news(changes, now) {
            self.bell.notify_one();
        }
    }

    /// Returns another number than `seen` when something was heard since.
    pub(super) async fn heard(&self, seen: u64) -> u64 {
        let mut heard = self.heard.subscribe();
        match heard.wait_for(|number| *number != seen).await {
            Ok(number) => *number,
            // The sender lives as long as we do.
            Err(_) => seen,
        }
    }

    /// Starts to send, and to listen where there is an address without a pooler.
    pub(super) fn start(self: &Arc<Self>, connections: Arc<Connections>, direct: Option<Address>) -> Tasks {
        let mut tasks = vec![tokio::spawn(Arc::clone(self).send(connections))];
        if let Some(address) = direct {
            tasks.push(tokio::spawn(Arc::clone(self).listen(address)));
        }
        Tasks(tasks)
    }

    async fn send(self: Arc<Self>, connections: Arc<Connections>) {
        loop {
            self.bell.notified().await;
            let tell = Statement::new("select pg_notify($1, $2)").text(&self.channel).text(&self.sender);
            if let Err(error) = connections.read(tell, "tell other processes").await {
                tracing::debug!(error = %error.report(), "others are not told: they find it by polling");
            }
            self.clock.deadline(TOGETHER).await;
        }
    }

    async fn listen(self: Arc<Self>, address: Address) {
        let mut wait = AGAIN;
        loop {
            let before = *self.heard.borrow();
            let ended = match address.tls.clone() {
                Some(tls) => self.listen_once(&address.config, tls).await,
                None => self.listen_once(&address.config, NoTls).await,
            };
            if let Err(error) = ended {
                tracing::warn!(error = %error.report(), "notices of other processes are not heard for now");
            }
            wait = if *self.heard.borrow() == before { (wait * 2).min(AGAIN_MAX) } else { AGAIN };
            self.clock.deadline(wait).await;
        }
    }

    async fn listen_once<T>(&self, config: &Config, tls: T) -> Result<()>
    where
        T: MakeTlsConnect<Socket>,
        T::Stream: Send,
        T::TlsConnect: Send,
        <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
    {
        let doing = "listen for notices";
        let (client, mut connection) = config.connect(tls).await.map_err(|error| explain(error, doing))?;
        let sql = format!("listen \"{}\"", self.channel);
        let subscribing = client.batch_execute(&sql);
        tokio::pin!(subscribing);
        let mut subscribed = false;
        loop {
            tokio::select! {
                done = &mut subscribing, if !subscribed => {
                    done.map_err(|error| explain(error, doing))?;
                    subscribed = true;
                    // Whatever was told while nobody listened.
                    self.hear();
                }
                message = std::future::poll_fn(|context| connection.poll_message(context)) => match message {
                    Some(Ok(AsyncMessage::Notification(notice))) if notice.payload() != self.sender => {
                        self.hear();
                        self.clock.deadline(TOGETHER).await;
                    }
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(explain(error, doing)),
                    None => return Ok(()),
                },
            }
        }
    }

    fn hear(&self) {
        self.heard.send_modify(|number| *number = number.wrapping_add(1));
    }
}

/// Whether a commit makes something due now that another process may work on.
fn is_news(changes: &Changes, now: impl Fn() -> Timestamp) -> bool {
    let mut due = changes.put.iter().filter_map(|put| {
        let column = put.columns.iter().find(|(name, _)| *name == "due");
        column.map(|(_, value)| (put.table, value))
    });
    let mut latest = None;
    due.any(|(table, value)| match table {
        Table::Meta => true,
        Table::Work => {
            let [urgent, other] = latest.get_or_insert_with(|| {
                let now = now();
                [true, false].map(|urgent| Work::due_column(urgent, now))
            });
            let latest = if value.starts_with("0|") { urgent } else { other };
            *value <= *latest
        }
        _ => false,
    })
}
