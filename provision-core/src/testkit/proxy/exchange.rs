//! One request to the server and its answer, both held whole.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A request as it came, so that it can be sent more than once.
#[derive(Clone)]
pub(super) struct Whole {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Headers that are about one connection and do not go over to the next.
fn of_the_connection() -> [HeaderName; 5] {
    [
        CONNECTION,
        TRANSFER_ENCODING,
        CONTENT_LENGTH,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("expect"),
    ]
}

pub(super) fn without_hops(headers: &mut HeaderMap) {
    for name in of_the_connection() {
        headers.remove(name);
    }
}

/// What kept an answer from coming: nobody there, a broken connection, too many bytes.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Whole {
    /// Sends it over a connection of its own. The answer's body is at most `body_max` bytes.
    pub(super) async fn send(
        &self,
        upstream: SocketAddr,
        body_max: usize,
    ) -> Result<Response<Bytes>, Failure> {
        let mut request = Request::builder().method(self.method.clone()).uri(self.path.as_str());
        if let Some(headers) = request.headers_mut() {
            *headers = self.headers.clone();
        }
        let request = request.body(Full::new(self.body.clone()))?;
        let stream = TcpStream::connect(upstream).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await?;
        let exchange = async move {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = Limited::new(body, body_max).collect().await?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        // The connection ends when its sender is gone, which is when the exchange has ended.
        let (answer, _) = futures_util::future::join(exchange, connection).await;
        answer
    }
}
