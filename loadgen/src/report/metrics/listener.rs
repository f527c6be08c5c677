//! The listener: HTTP of one path, on a thread of its own.

use super::Metrics;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};

const TEXT_OF_METRICS: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// At once; the kernel's backlog holds the others.
const CONNECTIONS_MAX: usize = 8;
/// Of a request's line and fields together.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Fields of a request.
const FIELDS_MAX: usize = 64;
/// From the connection to the end of the head.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);
/// Of a connection, from accepting it to the last byte of the answer.
const TIME_MAX: Duration = Duration::from_secs(15);
/// When accepting failed, for want of descriptors as a rule, it is tried again after this.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Answers Prometheus until it is dropped.
#[derive(Debug)]
pub struct MetricsListener {
    address: SocketAddr,
    /// Dropping it ends the thread.
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

/// An address that can't be listened at.
#[derive(Debug)]
pub struct BindError {
    address: SocketAddr,
    error: io::Error,
}

impl MetricsListener {
    /// Listens, and answers from now on; port 0 picks a free one.
    ///
    /// # Errors
    /// [`BindError`], whose sentence says what to do.
    pub fn start(address: SocketAddr, metrics: Arc<Metrics>) -> Result<Self, BindError> {
        let failed = |error| BindError { address, error };
        let socket = TcpListener::bind(address).map_err(failed)?;
        socket.set_nonblocking(true).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    // Without its listener there is nothing to answer.
                    _ = serve(socket, metrics) => {}
                }
            });
        };
        let thread = thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(serve)
            .map_err(failed)?;
        Ok(Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Where it listens, with the port that was picked.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsListener {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn serve(socket: TcpListener, metrics: Arc<Metrics>) -> io::Result<Infallible> {
    let listener = tokio::net::TcpListener::from_std(socket)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let metrics = Arc::clone(&metrics);
                tokio::spawn(async move {
                    let _place = place;
                    let _ = tokio::time::timeout(TIME_MAX, serve_one(stream, &metrics)).await;
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
        }
    }
}

/// One request of one connection. What is wrong with it is its sender's concern.
async fn serve_one(stream: TcpStream, metrics: &Metrics) {
    let answer = |request: Request<Incoming>| {
        let response = answer(metrics, request.method(), request.uri().path());
        async { Ok::<_, Infallible>(response) }
    };
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(FIELDS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
}

fn answer(metrics: &Metrics, method: &Method, path: &str) -> Response<Full<Bytes>> {
    let (status, kind, body) = match (path, method) {
        ("/metrics", &Method::GET) => (StatusCode::OK, TEXT_OF_METRICS, metrics.text()),
        ("/metrics", _) => (
            StatusCode::METHOD_NOT_ALLOWED,
            TEXT,
            "allowed is GET\n".to_owned(),
        ),
        _ => (
            StatusCode::NOT_FOUND,
            TEXT,
            "there is /metrics only\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let get = HeaderValue::from_static("GET");
        response.headers_mut().insert(ALLOW, get);
    }
    response
}

impl fmt::Display for BindError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, error } = self;
        write!(
            formatter,
            "the metrics can't be served on {address}: {error}; "
        )?;
        formatter.write_str(match error.kind() {
            io::ErrorKind::AddrInUse => "take another port, or 0 for any that is free",
            io::ErrorKind::PermissionDenied => "take a port from 1024 on",
            io::ErrorKind::AddrNotAvailable => "take an address of this machine",
            _ => "run without them, or mend that",
        })
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
