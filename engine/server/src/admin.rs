//! The admin listener: HTTP for those who run the engine. It only tells, and changes
//! nothing.
//!
//! ```text
//!   GET /metrics              numbers, for Prometheus
//!       /healthz  /readyz     200, or 503 with the reasons
//!       /admin/v1/settings    as they take effect
//!       /admin/v1/plan        which core does what, and why
//! ```
//!
//! It runs on the runtime of housekeeping. Everything that a client may take is bounded:
//! connections, bytes and fields of a head, time. Nobody is asked for a password: it is for
//! loopback or for a network of its own.

use crate::health::{Health, monotonic_nanos};
use crate::metrics::Registry;
use crate::plan::Plan;
use crate::settings::Settings;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use ringcast_door::ListenError;
use serde_json::json;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

const TEXT_OF_METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// When accepting failed, for want of descriptors as a rule, it is tried again after this.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// What one client, and all of them together, may take.
#[derive(Debug, Clone)]
struct Bounds {
    /// At once; the kernel's backlog holds the others.
    connections_max: usize,
    /// Of a request's line and fields together.
    head_bytes_max: usize,
    /// Fields of a request.
    fields_max: usize,
    /// From the connection to the end of the head.
    head_time_max: Duration,
    /// Of a connection, from accepting it to the last byte of the answer.
    time_max: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections_max: 64,
            head_bytes_max: 16 * 1024,
            fields_max: 64,
            head_time_max: Duration::from_secs(5),
            time_max: Duration::from_secs(15),
        }
    }
}

/// What there is to tell.
pub(crate) struct AdminState {
    health: Arc<Health>,
    registry: Registry,
    settings: RwLock<Bytes>,
    plan: Bytes,
}

impl AdminState {
    /// Of an engine with these parts.
    pub(crate) fn new(
        health: Arc<Health>,
        registry: Registry,
        settings: &Settings,
        plan: &Plan,
    ) -> Self {
        Self {
            health,
            registry,
            settings: RwLock::new(settings_json(settings)),
            plan: json_bytes(&plan.to_json()),
        }
    }

    /// These settings are in effect from now on.
    pub(crate) fn set_settings(&self, settings: &Settings) {
        let json = settings_json(settings);
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = json;
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        let known = match path {
            "/metrics" | "/healthz" | "/readyz" | "/admin/v1/settings" | "/admin/v1/plan" => true,
            _ => return error(StatusCode::NOT_FOUND, "there is nothing here"),
        };
        if known && method != Method::GET {
            let mut refused = error(StatusCode::METHOD_NOT_ALLOWED, "allowed is GET");
            let fields = refused.headers_mut();
            fields.insert(ALLOW, HeaderValue::from_static("GET"));
            return refused;
        }
        match path {
            "/metrics" => {
                let text = self.registry.text();
                response(StatusCode::OK, TEXT_OF_METRICS, text.into())
            }
            "/healthz" => verdict("healthy", &self.health.ills(monotonic_nanos())),
            "/readyz" => verdict("ready", &self.health.hindrances(monotonic_nanos())),
            "/admin/v1/settings" => {
                let settings = self.settings.read().unwrap_or_else(PoisonError::into_inner);
                response(StatusCode::OK, JSON, settings.clone())
            }
            _ => response(StatusCode::OK, JSON, self.plan.clone()),
        }
    }
}

/// No setting is a secret: passwords are in files, of which only the names are settings.
fn settings_json(settings: &Settings) -> Bytes {
    json_bytes(&serde_json::to_value(settings.to_table()).unwrap_or_default())
}

fn json_bytes(value: &serde_json::Value) -> Bytes {
    format!("{value:#}\n").into()
}

fn verdict(word: &str, reasons: &[String]) -> Response<Full<Bytes>> {
    let status = match reasons {
        [] => StatusCode::OK,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = json!({ word: reasons.is_empty(), "reasons": reasons });
    response(status, JSON, json_bytes(&body))
}

fn error(status: StatusCode, sentence: &str) -> Response<Full<Bytes>> {
    response(status, JSON, json_bytes(&json!({ "error": sentence })))
}

fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// An address that is listened at.
#[derive(Debug)]
pub(crate) struct AdminListener {
    socket: TcpListener,
    address: SocketAddr,
    bounds: Bounds,
}

impl AdminListener {
    /// Listens; from now on the kernel keeps connections in the backlog.
    ///
    /// # Errors
    /// [`ListenError`], whose sentence says what to do.
    pub(crate) fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let bound = || {
            let socket = TcpListener::bind(address)?;
            socket.set_nonblocking(true)?;
            let address = socket.local_addr()?;
            Ok((socket, address))
        };
        let (socket, address) = bound().map_err(|error| listen_error(address, error))?;
        Ok(Self {
            socket,
            address,
            bounds: Bounds::default(),
        })
    }

    /// Where it listens, with the port that was picked.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the future is dropped. Those who are being answered then are cut off
    /// when the runtime ends.
    ///
    /// # Errors
    /// If the runtime can't take the listener.
    pub(crate) async fn serve(self, state: Arc<AdminState>) -> io::Result<Infallible> {
        let listener = tokio::net::TcpListener::from_std(self.socket)?;
        let places = Arc::new(Semaphore::new(self.bounds.connections_max));
        loop {
            let place = Arc::clone(&places).acquire_owned().await;
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (state, bounds) = (Arc::clone(&state), self.bounds.clone());
                    tokio::spawn(async move {
                        let _place = place;
                        let answered = serve_one(stream, &state, &bounds);
                        let _ = tokio::time::timeout(bounds.time_max, answered).await;
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
            }
        }
    }
}

/// One request of one connection. What is wrong with it is its sender's concern.
async fn serve_one(stream: TcpStream, state: &AdminState, bounds: &Bounds) {
    let answer = |request: Request<Incoming>| {
        let response = state.answer(request.method(), request.uri().path());
        async { Ok::<_, Infallible>(response) }
    };
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_time_max)
        .max_buf_size(bounds.head_bytes_max)
        .max_headers(bounds.fields_max)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service_fn(answer))
        .await;
}

/// The door's words for the same trouble.
fn listen_error(address: SocketAddr, error: io::Error) -> ListenError {
    match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::AddressInUse(address),
        io::ErrorKind::PermissionDenied => ListenError::PermissionDenied(address),
        io::ErrorKind::AddrNotAvailable => ListenError::AddressNotAvailable(address),
        _ => ListenError::Refused(address, error),
    }
}

#[cfg(test)]
mod tests;
