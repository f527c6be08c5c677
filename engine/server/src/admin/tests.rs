//! The listener over real connections, of well-behaved clients and others.

use super::*;
use crate::health::Phase;
use crate::settings::Sources;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::JoinHandle;

/// A listener on a runtime and thread of its own.
struct Served {
    address: SocketAddr,
    health: Arc<Health>,
    state: Arc<AdminState>,
    stop: tokio::sync::oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Served {
    fn start(bounds: Bounds) -> Self {
        let settings = Sources::default().load().unwrap();
        let health = Health::new(vec!["CPU 1 (shard 0)".into()], &settings, monotonic_nanos());
        let health = Arc::new(health);
        let plan = Plan::of_this_machine(&settings).unwrap();
        let registry = Registry::new();
        let state = AdminState::new(Arc::clone(&health), registry, &settings, &plan);
        let state = Arc::new(state);
        let mut listener = AdminListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        listener.bounds = bounds;
        let address = listener.address();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let served = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(async {
                tokio::spawn(listener.serve(served));
                let _ = stopped.await;
            });
        });
        Self {
            address,
            health,
            state,
            stop,
            thread,
        }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }

    /// Sends this, and reads until the server closes.
    fn exchange(&self, request: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        read_all(stream)
    }

    /// Status and body.
    fn get(&self, path: &str) -> (u16, String) {
        let response = self.exchange(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (status(head), body.to_owned())
    }

    fn json(&self, path: &str) -> (u16, serde_json::Value) {
        let (status, body) = self.get(path);
        (status, serde_json::from_str(&body).unwrap())
    }

    fn stop(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
    }
}

fn status(response: &str) -> u16 {
    let status = response.strip_prefix("HTTP/1.1 ").map(|rest| &rest[..3]);
    status.and_then(|status| status.parse().ok()).unwrap_or(0)
}

/// All that comes; a reset ends it, too.
fn read_all(mut stream: TcpStream) -> String {
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received);
    String::from_utf8(received).unwrap()
}

/// A short time for the head and as good as none for all, or the other way round.
fn hasty() -> [Bounds; 2] {
    let (short, endless) = (Duration::from_secs(1), Duration::from_secs(3_600));
    [(short, endless), (endless, short)].map(|(head_time_max, time_max)| Bounds {
        head_time_max,
        time_max,
        ..Bounds::default()
    })
}

#[test]
fn what_there_is_to_know_is_told() {
    let served = Served::start(Bounds::default());
    let (status, metrics) = served.get("/metrics");
    assert_eq!(status, 200);
    assert!(
        metrics.contains("\nprocess_resident_memory_bytes "),
        "{metrics}"
    );
    let response = served.exchange(b"GET /metrics?a=b HTTP/1.0\r\n\r\n");
    assert!(
        response.contains("\r\ncontent-type: text/plain; version=0.0.4"),
        "{response}"
    );

    let (status, settings) = served.json("/admin/v1/settings");
    assert_eq!(
        (status, &settings["limits"]["connections"]),
        (200, &10_000.into())
    );
    assert_eq!(settings["class"][0]["filter"], "market/+/trade");
    let changed = Sources::default().after(&["limits.connections=5".into()]);
    served.state.set_settings(&changed.load().unwrap());
    let (_, settings) = served.json("/admin/v1/settings");
    assert_eq!(settings["limits"]["connections"], 5);

    let (status, plan) = served.json("/admin/v1/plan");
    assert_eq!(
        (status, &plan["executors"][0]["ingest"]),
        (200, &true.into())
    );
    served.stop();
}

#[test]
fn health_and_readiness_have_reasons() {
    let served = Served::start(Bounds::default());
    let reasons = |path| {
        let (status, body) = served.json(path);
        let reasons = body["reasons"].as_array().unwrap().len();
        (status, reasons)
    };
    assert_eq!(
        served.json("/healthz"),
        (200, json!({ "healthy": true, "reasons": [] }))
    );
    let starting = json!({ "ready": false, "reasons": ["it is starting"] });
    assert_eq!(served.json("/readyz"), (503, starting));
    served.health.set_phase(Phase::Serving);
    assert_eq!(
        served.json("/readyz"),
        (200, json!({ "ready": true, "reasons": [] }))
    );
    served.health.pulse(0).turned(0);
    assert_eq!(
        (reasons("/healthz"), reasons("/readyz")),
        ((503, 1), (503, 1))
    );
    served.health.set_phase(Phase::Draining);
    assert_eq!(
        (reasons("/healthz"), reasons("/readyz")),
        ((503, 1), (503, 2))
    );
    served.stop();
}

#[test]
fn only_what_is_there_can_be_got() {
    let served = Served::start(Bounds::default());
    let there_is_nothing = json!({ "error": "there is nothing here" });
    for path in ["/", "/metrics/", "/admin/v1", "/../etc/passwd", "/%2e%2e"] {
        assert_eq!(served.json(path), (404, there_is_nothing.clone()), "{path}");
    }
    for method in ["POST", "HEAD", "DELETE", "OPTIONS", "FROB"] {
        let request = format!("{method} /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        let response = served.exchange(request.as_bytes());
        assert_eq!(status(&response), 405, "{response}");
        assert!(response.contains("\r\nallow: GET\r\n"), "{response}");
    }
    served.stop();
}

#[test]
fn a_connection_serves_one_request() {
    let served = Served::start(Bounds::default());
    let twice = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let response = served.exchange(twice);
    assert_eq!(response.matches("HTTP/1.1 ").count(), 1, "{response}");
    served.stop();
}

#[test]
fn garbage_and_too_much_are_refused() {
    let served = Served::start(Bounds::default());
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(32 * 1024));
    let wide = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(80));
    let endless = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(1 << 20));
    let requests: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03",
        b"\x10\x0E\0\x04MQTT\x05\x02\0\x1E\0\0\x01a",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET\r\n\r\n\r\n",
        long.as_bytes(),
        wide.as_bytes(),
        endless.as_bytes(),
    ];
    for request in requests {
        let mut stream = served.connect();
        // It may be closed before all of it is sent.
        let _ = stream.write_all(request);
        let _ = stream.shutdown(Shutdown::Write);
        let response = read_all(stream);
        let status = status(&response);
        let is_refused = (400..500).contains(&status) && status != 404;
        assert!(is_refused || response.is_empty(), "{response}");
    }
    assert_eq!(served.get("/healthz").0, 200);
    served.stop();
}

/// As many silent and dripping clients as there are places, and one that asks: it is
/// answered as soon as their time is over.
#[test]
fn slow_clients_are_closed_and_others_wait_for_their_places() {
    for bounds in hasty() {
        let places = bounds.connections_max;
        let served = Served::start(bounds);
        let connect = |number| {
            let mut stream = served.connect();
            if number % 2 == 0 {
                stream.write_all(b"GET /metrics HT").unwrap();
            }
            stream
        };
        let slow: Vec<_> = (0..places).map(connect).collect();
        assert_eq!(served.get("/healthz").0, 200);
        for stream in slow {
            let response = read_all(stream);
            assert!(status(&response) != 200, "{response}");
        }
        served.stop();
    }
}

/// With one place, who asks is answered only once the silent client before it is gone.
#[test]
fn no_more_are_served_at_once_than_there_are_places() {
    let [hasty, _] = hasty();
    let served = Served::start(Bounds {
        connections_max: 1,
        ..hasty
    });
    let mut silent = served.connect();
    assert_eq!(served.get("/healthz").0, 200);
    silent.set_nonblocking(true).unwrap();
    let closed = silent.read(&mut [0; 512]);
    assert!(
        closed.as_ref().map_err(io::Error::kind) != Err(io::ErrorKind::WouldBlock),
        "{closed:?}"
    );
    served.stop();
}

#[test]
fn an_address_that_is_taken_is_told_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = AdminListener::bind(address).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{address} is taken: stop the program")),
        "{error}"
    );
    let error = AdminListener::bind("192.0.2.1:0".parse().unwrap()).unwrap_err();
    assert!(
        error.to_string().contains("is no address of this host"),
        "{error}"
    );
}
