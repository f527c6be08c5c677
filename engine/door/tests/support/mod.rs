//! A door on loopback with shards that only keep what they get, and clients that say
//! exactly the bytes that a test gives them.
//!
//! Clients write CONNECT by hand, so that a mistake of the codec can't hide itself.

#![allow(dead_code, reason = "each test program uses its own part of this")]

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use ringcast_door::{
    Authenticate, Claim, Counters, Door, Handover, Home, Limits, ListenSettings, Listener, Refusal,
    Trouble, Verdict,
};
use socket2::SockRef;
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Once};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};

/// A door, and all that is behind it.
pub(crate) struct Engine {
    pub(crate) door: Door,
    pub(crate) address: SocketAddr,
    pub(crate) shards: Vec<mpsc::Receiver<Handover>>,
    pub(crate) wakes: Arc<AtomicU64>,
    pub(crate) troubles: Arc<Mutex<Vec<Trouble>>>,
}

/// How many newcomers a shard's queue takes, if a test says nothing else.
pub(crate) const QUEUE: usize = 1024;

impl Engine {
    /// A door before one shard.
    pub(crate) fn open(limits: Limits, authenticate: impl Authenticate + 'static) -> Self {
        Self::with_shards(limits, authenticate, 1, QUEUE)
    }

    pub(crate) fn with_shards(
        limits: Limits,
        authenticate: impl Authenticate + 'static,
        shards: usize,
        queue: usize,
    ) -> Self {
        // Both ends of thousands of connections are here; once, for a test may lower it.
        static ROOM: Once = Once::new();
        ROOM.call_once(|| {
            let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("can be read");
            setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("may be raised so far");
        });
        let wakes = Arc::new(AtomicU64::new(0));
        let (homes, shards) = (0..shards)
            .map(|_| {
                let (newcomers, shard) = mpsc::channel(queue);
                let wakes = Arc::clone(&wakes);
                let wake = move || {
                    wakes.fetch_add(1, Ordering::Relaxed);
                };
                let wake = Box::new(wake);
                (Home { newcomers, wake }, shard)
            })
            .unzip();
        let mut engine = Self {
            door: Door::new(limits, homes),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            shards,
            wakes,
            troubles: Arc::default(),
        };
        engine.address = engine.listen(authenticate, 1);
        engine
    }

    /// One more listener, and where it is.
    pub(crate) fn listen(
        &mut self,
        authenticate: impl Authenticate + 'static,
        accept_loops: u32,
    ) -> SocketAddr {
        let listener = Listener::bind(&ListenSettings {
            accept_loops: NonZeroU32::new(accept_loops).expect("at least one"),
            ..ListenSettings::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        })
        .expect("loopback has free ports");
        let address = listener.address();
        let troubles = Arc::clone(&self.troubles);
        let report = Arc::new(move |trouble| troubles.lock().unwrap().push(trouble));
        self.door
            .open(listener, Arc::new(authenticate), report)
            .expect("the runtime takes it");
        address
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        connect(self.address).await
    }

    /// A client that has sent this.
    pub(crate) async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut client = self.connect().await;
        client.write_all(bytes).await.expect("the door reads");
        client
    }

    /// All that the door answers to this until it closes.
    pub(crate) async fn answer_to(&self, bytes: &[u8]) -> Vec<u8> {
        answer(self.send(bytes).await).await
    }

    /// The next newcomer, wherever it is at home.
    pub(crate) async fn newcomer(&mut self) -> Handover {
        self.arrival().await.1
    }

    /// The next newcomer, and the number of its home.
    pub(crate) async fn arrival(&mut self) -> (usize, Handover) {
        let shards = &mut self.shards;
        let arrival = poll_fn(|context| {
            let arrived = shards.iter_mut().enumerate().find_map(|(home, shard)| {
                let Poll::Ready(Some(handover)) = shard.poll_recv(context) else {
                    return None;
                };
                Some((home, handover))
            });
            arrived.map_or(Poll::Pending, Poll::Ready)
        });
        within(arrival).await
    }

    pub(crate) fn counters(&self) -> Arc<Counters> {
        self.door.counters()
    }

    /// Waits until the counters say so.
    pub(crate) async fn until(&self, condition: impl Fn(&Counters) -> bool) {
        until(&self.counters(), condition).await;
    }

    /// Waits until nobody is at the door any more, and checks that it knows what became
    /// of each.
    pub(crate) async fn settle(&self) {
        self.until(|counters| get(&counters.newcomers) == 0).await;
        check_sum(&self.counters());
        assert_eq!(
            self.wakes.load(Ordering::Relaxed),
            get(&self.counters().handed_over),
            "each hand-over wakes its shard once"
        );
    }
}

/// Every newcomer ended in one way.
pub(crate) fn check_sum(counters: &Counters) {
    let refused: u64 = Refusal::ALL.iter().map(|&why| counters.refused(why)).sum();
    let ended = get(&counters.handed_over)
        + get(&counters.timed_out)
        + get(&counters.displaced)
        + get(&counters.left)
        + refused;
    assert_eq!(get(&counters.accepted), ended, "{counters:?}");
}

pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

pub(crate) async fn connect(address: SocketAddr) -> TcpStream {
    within(TcpStream::connect(address))
        .await
        .expect("the door listens")
}

/// All that comes until the end.
pub(crate) async fn answer(mut client: TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    within(client.read_to_end(&mut answer))
        .await
        .expect("an end, and no reset");
    answer
}

/// Waits until the door has closed this connection, by an end or a reset.
pub(crate) async fn closed(client: &mut TcpStream) {
    let mut answer = Vec::new();
    // A reset closes as well.
    let _ = within(client.read_to_end(&mut answer)).await;
    assert_eq!(answer, b"", "closed without a word");
}

/// Whether the door has neither answered nor closed.
pub(crate) fn is_waiting(client: &TcpStream) -> bool {
    let peeked = SockRef::from(client).peek(&mut [MaybeUninit::uninit()]);
    peeked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

pub(crate) async fn until(counters: &Counters, condition: impl Fn(&Counters) -> bool) {
    let waited = async {
        // A pause between looks, which on a paused clock is also what moves time.
        while !condition(counters) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    if let Err(error) = tokio::time::timeout(HANGS_AFTER, waited).await {
        panic!("{error}: {counters:?}");
    }
}

/// Longer than any machine needs; time on a paused clock is worth nothing, and so this
/// is longer than any of the door's own limits.
const HANGS_AFTER: Duration = Duration::from_secs(60);

/// Fails the test instead of waiting for ever.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANGS_AFTER, future)
        .await
        .expect("nothing happens any more")
}

/// Lets the door do all that it can do by now. Only on a paused clock, which moves when
/// nobody has anything to do.
pub(crate) async fn quiesce() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// The versions, as their protocol name and level.
pub(crate) const VERSIONS: [(&str, u8); 3] = [("MQIsdp", 3), ("MQTT", 4), ("MQTT", 5)];

/// What a CONNECT says; the rest is empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Connect<'a> {
    pub(crate) name: &'a str,
    pub(crate) level: u8,
    /// Beside those for user name and password.
    pub(crate) flags: u8,
    pub(crate) client_id: &'a str,
    pub(crate) user_name: Option<&'a str>,
    pub(crate) password: Option<&'a [u8]>,
    /// Of MQTT 5, without their length.
    pub(crate) properties: &'a [u8],
}

pub(crate) const CLEAN: u8 = 0b10;

impl<'a> Connect<'a> {
    pub(crate) fn new((name, level): (&'a str, u8), client_id: &'a str) -> Self {
        Self {
            name,
            level,
            flags: CLEAN,
            client_id,
            user_name: None,
            password: None,
            properties: b"",
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let put = |body: &mut Vec<u8>, field: &[u8]| {
            body.extend((field.len() as u16).to_be_bytes());
            body.extend(field);
        };
        put(&mut body, self.name.as_bytes());
        let user_name = u8::from(self.user_name.is_some()) << 7;
        let password = u8::from(self.password.is_some()) << 6;
        body.extend([self.level, self.flags | user_name | password, 0, 60]);
        if self.level == 5 {
            body.push(self.properties.len() as u8);
            body.extend(self.properties);
        }
        put(&mut body, self.client_id.as_bytes());
        if let Some(user_name) = self.user_name {
            put(&mut body, user_name.as_bytes());
        }
        if let Some(password) = self.password {
            put(&mut body, password);
        }
        let mut packet = vec![0x10];
        let mut length = body.len();
        while length >= 0x80 {
            packet.push(length as u8 | 0x80);
            length >>= 7;
        }
        packet.push(length as u8);
        packet.extend(body);
        packet
    }
}

/// A CONNECT of MQTT 5 with this client identifier.
pub(crate) fn hello(client_id: &str) -> Vec<u8> {
    Connect::new(VERSIONS[2], client_id).bytes()
}

/// CONNACK with a refusal: the return code of MQTT 3, `None` where it just closes, and
/// the reason code of MQTT 5.
pub(crate) fn connack(level: u8, return_code: Option<u8>, reason: u8) -> Vec<u8> {
    match (level, return_code) {
        (5, _) => vec![0x20, 3, 0, reason, 0],
        (_, Some(code)) => vec![0x20, 2, 0, code],
        (_, None) => Vec::new(),
    }
}

/// Grants everybody, on a thread that may wait, and each only when the test lets it go.
pub(crate) struct Held {
    go: Mutex<Receiver<()>>,
    begun: Arc<Notify>,
}

/// The test's end of it.
pub(crate) struct Holder {
    go: Sender<()>,
    begun: Arc<Notify>,
}

impl Held {
    pub(crate) fn new() -> (Holder, Self) {
        let (let_go, go) = channel();
        let begun = Arc::new(Notify::new());
        let holder = Holder {
            go: let_go,
            begun: Arc::clone(&begun),
        };
        let go = Mutex::new(go);
        (holder, Self { go, begun })
    }
}

impl Holder {
    /// Lets one go, this or the next.
    pub(crate) fn let_go(&self) {
        self.go.send(()).expect("the door has the other end");
    }

    /// Waits until one is held.
    pub(crate) async fn begun(&self) {
        within(self.begun.notified()).await;
    }
}

impl Authenticate for Held {
    fn authenticate(&self, _claim: &Claim) -> Verdict {
        self.begun.notify_one();
        let go = self.go.lock().unwrap().recv_timeout(HANGS_AFTER);
        go.expect("the test lets it go");
        Verdict::Granted(None)
    }

    fn is_costly(&self) -> bool {
        true
    }
}
