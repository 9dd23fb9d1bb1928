//! A real server and a real client.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// What the server got: method, path, body.
pub(crate) type Got = Vec<(String, String, String)>;

/// Makes an account with every POST, shows how many there are with every GET.
pub(crate) struct Accounts {
    pub(crate) address: SocketAddr,
    pub(crate) got: Arc<Mutex<Got>>,
}

impl Accounts {
    pub(crate) fn got(&self) -> Got {
        self.got.lock().unwrap().clone()
    }

    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let got: Arc<Mutex<Got>> = Arc::default();
        let record = Arc::clone(&got);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let record = Arc::clone(&record);
                let service = hyper::service::service_fn(move |request| answer(Arc::clone(&record), request));
                let server = hyper::server::conn::http1::Builder::new();
                tokio::spawn(async move {
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, got }
    }
}

async fn answer(
    record: Arc<Mutex<Got>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned();
    let accounts = {
        let mut record = record.lock().unwrap();
        record.push((head.method.to_string(), head.uri.to_string(), body));
        record.iter().filter(|(method, _, _)| method == "POST").count()
    };
    let status = if head.method == "POST" { StatusCode::CREATED } else { StatusCode::OK };
    let text = match head.uri.path() {
        "/long" => "x".repeat(5000),
        _ => format!("{{\"accounts\": {accounts}}}"),
    };
    let answer = Response::builder().status(status).header("x-kept", "yes");
    let answer = answer.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(answer.body(Full::from(text)).unwrap())
}

/// An answer as a client gets it.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The whole body, or that it broke off after so many bytes.
    pub(crate) body: Result<String, usize>,
}

/// A connection of a client.
pub(crate) struct Client {
    sender: hyper::client::conn::http1::SendRequest<Full<Bytes>>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { sender }
    }

    pub(crate) async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: &str,
    ) -> Result<Answered, hyper::Error> {
        self.sender.ready().await?;
        let request = Request::builder().method(method).uri(path).header("host", "accounts.test");
        let request = request.body(Full::from(body.to_owned())).unwrap();
        let (head, mut body) = self.sender.send_request(request).await?.into_parts();
        let mut bytes = Vec::new();
        let body = loop {
            match body.frame().await {
                None => break Ok(String::from_utf8_lossy(&bytes).into_owned()),
                Some(Ok(frame)) => bytes.extend_from_slice(frame.data_ref().unwrap()),
                Some(Err(_)) => break Err(bytes.len()),
            }
        };
        Ok(Answered { status: head.status.as_u16(), headers: head.headers, body })
    }
}

/// One request over a connection of its own.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: &str,
) -> Result<Answered, hyper::Error> {
    Client::connect(address).await.send(method, path, body).await
}
