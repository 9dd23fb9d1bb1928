//! A body that may break off before the length it was announced with.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

/// What is sent to a client.
#[derive(Debug)]
pub(super) struct Reply {
    bytes: Option<Bytes>,
    /// The length that is announced.
    announced: u64,
    /// What comes after the bytes.
    after: After,
}

#[derive(Debug)]
enum After {
    /// The end.
    End,
    /// Time to send what is there, then the connection breaks.
    Flush,
    /// The connection breaks.
    Break,
}

/// The end of a truncated body: the server side of the connection breaks with it.
#[derive(Debug)]
pub(super) struct Truncated;

impl std::fmt::Display for Truncated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the body was truncated on purpose")
    }
}

impl std::error::Error for Truncated {}

impl Reply {
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self { announced: bytes.len() as u64, bytes: Some(bytes), after: After::End }
    }

    /// The first bytes, with the length of all.
    pub(super) fn truncated(bytes: &Bytes, keep: usize) -> Self {
        let kept = bytes.slice(..keep.min(bytes.len()));
        Self { announced: bytes.len() as u64, bytes: Some(kept), after: After::Flush }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        if let Some(bytes) = self.bytes.take().filter(|bytes| !bytes.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match self.after {
            After::End => Poll::Ready(None),
            // A body that is not ready makes the server send what it has.
            After::Flush => {
                self.after = After::Break;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            After::Break => Poll::Ready(Some(Err(Truncated))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && matches!(self.after, After::End)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.announced)
    }
}
