//! Real traffic: mosquitto and its clients, recorded on the way. Nobody may be
//! convicted, and the rules that such traffic can try must have had their occasion.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use ringcast_referee::recorder::Recorder;
use ringcast_referee::{Referee, Report, Rule, Scope};

/// Guards against hanging; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker on loopback, and the proxy before it.
struct Broker {
    process: Child,
    recorder: Recorder,
    folder: std::path::PathBuf,
}

impl Broker {
    fn start(name: &str) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let folder = std::env::temp_dir().join(format!("ringcast-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let settings = folder.join("mosquitto.conf");
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\nlog_type none\n");
        std::fs::write(&settings, text).expect("settings");
        let process = Command::new(find("mosquitto"))
            .arg("-c")
            .arg(&settings)
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        wait_for(|| TcpStream::connect(address).is_ok());
        let recorder = Recorder::start(address).expect("a recorder");
        Self {
            process,
            recorder,
            folder,
        }
    }

    fn client(&self, program: &str, arguments: &str) -> Command {
        // They would keep what they print to themselves until they end.
        let mut command = Command::new("stdbuf");
        command
            .arg("-oL")
            .arg(find(program))
            .args(["-h", "127.0.0.1", "-p"])
            .arg(self.recorder.address().port().to_string())
            .args(arguments.split_whitespace());
        command
    }

    fn publish(&self, arguments: &str) {
        let status = self.client("mosquitto_pub", arguments).status();
        assert!(status.expect("mosquitto_pub").success(), "{arguments}");
    }

    /// A subscriber, once it is subscribed.
    fn subscribe(&self, arguments: &str) -> Subscriber {
        let mut process = self
            .client("mosquitto_sub", arguments)
            .arg("-d")
            .stdout(Stdio::piped())
            .spawn()
            .expect("mosquitto_sub");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut subscriber = Subscriber { process, output };
        subscriber.wait_for_line("received SUBACK");
        subscriber
    }

    fn stop(mut self) -> Report {
        let events = self.recorder.stop().expect("the recording");
        self.process.kill().expect("mosquitto ends");
        self.process.wait().expect("mosquitto has ended");
        std::fs::remove_dir_all(&self.folder).expect("the folder goes");
        let scope = Scope {
            answer_nanos: Some(u64::try_from(PATIENCE.as_nanos()).expect("a minute")),
            ..Scope::whole()
        };
        // Its occasions are mosquitto's: they prove nothing about the engine.
        Referee::judge(scope, &events)
    }
}

/// mosquitto_sub, which prints each packet.
struct Subscriber {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Subscriber {
    fn wait_for_line(&mut self, part: &str) {
        let mut line = String::new();
        while self.output.read_line(&mut line).expect("readable") > 0 {
            if line.contains(part) {
                return;
            }
            line.clear();
        }
        panic!("mosquitto_sub ended before it said {part:?}");
    }

    /// Until it has ended by itself: its `-C` messages have come.
    fn end(mut self) {
        std::io::copy(&mut self.output.by_ref(), &mut std::io::sink()).expect("readable");
        assert!(self.process.wait().expect("it has ended").success());
    }

    fn kill(mut self) {
        self.process.kill().expect("it ends");
        self.process.wait().expect("it has ended");
    }
}

/// Debian puts servers where not every user looks.
fn find(program: &str) -> std::path::PathBuf {
    let system = std::path::PathBuf::from("/usr/sbin").join(program);
    if system.exists() {
        system
    } else {
        program.into()
    }
}

fn wait_for(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < PATIENCE, "it did not happen");
        std::thread::yield_now();
    }
}

fn assert_clean(report: &Report, tried: &[Rule]) {
    assert!(report.violations().is_empty(), "{report}");
    assert_eq!(report.without_occasion(tried), [], "{report}");
}

#[test]
fn every_version_at_every_qos() {
    let broker = Broker::start("qos");
    for version in ["mqttv31", "mqttv311", "mqttv5"] {
        for granted in 0..=2 {
            let subscriber = broker.subscribe(&format!(
                "-V {version} -i s-{version}-{granted} -q {granted} -t a/+ -C 3"
            ));
            for qos in 0..=2 {
                broker.publish(&format!(
                    "-V {version} -i p-{version}-{granted}-{qos} -q {qos} -t a/b -m {version}-{granted}-{qos}"
                ));
            }
            subscriber.end();
        }
    }
    let report = broker.stop();
    println!("{report}");
    assert_clean(
        &report,
        &[
            Rule::Form,
            Rule::Mqtt5Only,
            Rule::ReasonCode,
            Rule::ConnackFirst,
            Rule::ConnackOnce,
            Rule::SilentAfterEnd,
            Rule::SessionPresent,
            Rule::Authentication,
            Rule::Answered,
            Rule::AckAsked,
            Rule::AckOrder,
            Rule::SubackCodes,
            Rule::IdentifierFree,
            Rule::PubrelAfterPubrec,
            Rule::Subscribed,
            Rule::Qos,
            Rule::Published,
            Rule::Unchanged,
            Rule::Order,
            Rule::Once,
        ],
    );
}

#[test]
fn what_mqtt_5_adds() {
    let broker = Broker::start("five");
    let retained = "-V mqttv5 -q 1 -r -t r/x -D publish message-expiry-interval 600 \
                    -D publish content-type text -D publish user-property k v";
    broker.publish(&format!("{retained} -m one"));
    let subscriber = broker.subscribe(
        "-V mqttv5 -q 1 -t r/# -C 2 --retain-as-published -D subscribe subscription-identifier 7 \
         -D connect receive-maximum 1 -D connect topic-alias-maximum 4 \
         -D connect maximum-packet-size 1000 -D connect request-problem-information 0",
    );
    broker.publish(&format!("{retained} -m two"));
    subscriber.end();
    // One client that hears itself, if it may.
    let alone = broker.subscribe("-V mqttv5 -i alone -t l/x -C 1");
    let shared = broker.subscribe("-V mqttv5 -i shared -t $share/g/l/x -C 1");
    broker.publish("-V mqttv5 -t l/x -m three");
    alone.end();
    shared.end();
    let report = broker.stop();
    println!("{report}");
    assert_clean(
        &report,
        &[
            Rule::Size,
            Rule::ProblemInformation,
            Rule::ReceiveMaximum,
            Rule::SubscriptionIdentifier,
            Rule::RetainFlag,
            Rule::Unchanged,
            Rule::Expiry,
            Rule::SharedOnce,
            Rule::AssignedIdentifier,
        ],
    );
}

#[test]
fn sessions_and_wills() {
    let broker = Broker::start("sessions");
    let mut watcher = broker.subscribe("-V mqttv311 -i watcher -q 1 -t w -C 1");
    for version in ["mqttv311", "mqttv5"] {
        let expiry = if version == "mqttv5" { "-x 600" } else { "" };
        let lasting = format!("-V {version} -i lasting-{version} -c {expiry} -q 2 -t s/{version}");
        broker.subscribe(&lasting).kill();
        for qos in 1..=2 {
            broker.publish(&format!(
                "-V {version} -q {qos} -t s/{version} -m away-{qos}"
            ));
        }
        broker.subscribe(&format!("{lasting} -C 2")).end();
    }
    // Takes over, and so sends the will of the first.
    let first = broker.subscribe(
        "-V mqttv311 -i twin -t nothing --will-topic w --will-payload gone --will-qos 1",
    );
    let second = broker.subscribe("-V mqttv311 -i twin -t nothing");
    watcher.wait_for_line("gone");
    watcher.end();
    first.kill();
    second.kill();
    let report = broker.stop();
    println!("{report}");
    assert_clean(
        &report,
        &[
            Rule::SessionPresent,
            Rule::SessionKept,
            Rule::Subscribed,
            Rule::Qos,
            Rule::WillEarly,
        ],
    );
}

/// A client that goes without acknowledging, and comes back.
#[test]
fn messages_are_sent_again() {
    let broker = Broker::start("again");
    let connect = b"\x10\x11\x00\x04MQTT\x04\x00\x00\x00\x00\x05tardy";
    let mut tardy = TcpStream::connect(broker.recorder.address()).expect("connects");
    tardy.set_read_timeout(Some(PATIENCE)).expect("a guard");
    tardy.write_all(connect).expect("sends");
    tardy
        .write_all(b"\x82\x06\x00\x01\x00\x01t\x02")
        .expect("sends");
    let mut answers = [0; 9];
    tardy.read_exact(&mut answers).expect("CONNACK and SUBACK");
    broker.publish("-q 1 -t t -m one");
    broker.publish("-q 2 -t t -m two");
    // PUBLISH with topic "t", an identifier and three bytes, twice.
    let mut messages = [0; 20];
    tardy.read_exact(&mut messages).expect("two messages");
    // The broker has seen that it left when it is back.
    tardy.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(tardy.read(&mut messages).expect("the end"), 0);
    let mut tardy = TcpStream::connect(broker.recorder.address()).expect("connects");
    tardy.set_read_timeout(Some(PATIENCE)).expect("a guard");
    tardy.write_all(connect).expect("sends");
    let mut again = [0; 24];
    tardy
        .read_exact(&mut again)
        .expect("CONNACK and the two again");
    assert_eq!(again[..4], [0x20, 2, 1, 0]);
    assert_eq!(again[4] & 8, 8, "DUP");
    tardy.write_all(b"\xe0\x00").expect("sends");
    assert_eq!(tardy.read(&mut again).expect("the end"), 0);
    let report = broker.stop();
    println!("{report}");
    assert_clean(
        &report,
        &[
            Rule::SessionKept,
            Rule::DupSet,
            Rule::DupOnlyAgain,
            Rule::ResendSame,
            Rule::ResendOrder,
            Rule::ResendLive,
            Rule::PublishAfterPubrel,
        ],
    );
}
