//! A trial: an engine, clients that speak with it through the referee's recorder, and the
//! referee's verdict in the end. Each is held twice, on one shard and on three.

use super::client::{Client, Ending, Hello, Version};
use super::proof::{ANSWER, assert_lawful_under};
use super::server::Server;
use ringcast_referee::Rule;
use ringcast_referee::recorder::Recorder;
use std::net::SocketAddr;
use std::time::Duration;

/// An engine on trial.
pub(crate) struct Trial {
    pub(crate) server: Server,
    /// Where clients connect to: the recorder.
    pub(crate) address: SocketAddr,
}

/// One shard, and three on a core.
const SHARDS: [&str; 2] = ["cores.shards=[0]", "cores.shards=[0, 0, 0]"];

/// Holds a trial under these settings, once on each number of shards. The engine breaks no
/// rule, and these have their occasion each time.
pub(crate) fn hold(settings: &[&str], tried: &[Rule], scenario: impl Fn(&Trial)) {
    hold_beside(&[], settings, tried, scenario);
}

/// The same beside a feed, which publishes to these topics.
pub(crate) fn hold_beside(
    own_topics: &[&str],
    settings: &[&str],
    tried: &[Rule],
    scenario: impl Fn(&Trial),
) {
    for shards in SHARDS {
        println!("{shards}");
        let server = Server::start(&[settings, &[shards]].concat());
        let recorder = Recorder::start(server.mqtt).expect("a recorder");
        let trial = Trial {
            server,
            address: recorder.address(),
        };
        scenario(&trial);
        assert_lawful_under(settings, recorder, own_topics, tried);
        trial.server.stop();
    }
}

/// Until the referee may say of what has not come that it should have. It judges only those
/// who still listen then.
pub(crate) fn let_time_pass() {
    const SLACK: Duration = Duration::from_secs(2);
    std::thread::sleep(ANSWER + SLACK + Duration::from_millis(100));
}

impl Trial {
    pub(crate) fn connect(&self, version: Version, id: &str) -> Client {
        Client::connect(self.address, version, id)
    }

    /// A client whose session outlives its connection.
    pub(crate) fn return_as(&self, version: Version, id: &str) -> Client {
        self.greet(&Hello::lasting(version, id))
    }

    pub(crate) fn greet(&self, hello: &Hello<'_>) -> Client {
        Client::let_in(self.address, hello)
    }

    /// The reason why that CONNECT is refused. Then the connection ends.
    pub(crate) fn refusal(&self, hello: &Hello<'_>) -> u8 {
        let mut client = Client::open(self.address, hello.version);
        client.send(&hello.packet());
        let reason = client.await_connack().expect_err("it is not let in");
        assert!(!client.session_present, "it has no session");
        assert_eq!(client.end(), (0, Ending::Closed));
        reason
    }
}
