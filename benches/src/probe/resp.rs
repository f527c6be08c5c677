//! The probe's RESP2, which Redis speaks: requests are arrays of strings, and a message
//! comes as one, too.

use super::dialect::{Forms, Greeting};
use super::form::Form;
use super::traffic::{Interest, Wanted, topic_name};

/// What stands for all channels of a run.
const PATTERN: &str = "bench/*";

/// How messages look: `PUBLISH channel payload`, which comes to subscribers as `message
/// channel payload`, or as `pmessage pattern channel payload` by a pattern.
pub(super) fn forms(interest: Interest, payload_bytes: usize) -> Forms {
    let form = |strings: &dyn Fn(&str) -> Vec<String>| {
        let head = |topic| {
            let strings = strings(&topic_name(topic));
            let mut head = array(strings.len() + 1);
            for string in &strings {
                head.extend(bulk(string));
            }
            head.extend(format!("${payload_bytes}\r\n").bytes());
            head
        };
        Form::new(interest.topics(), head, payload_bytes, b"\r\n")
    };
    let owned = str::to_owned;
    Forms {
        published: form(&|topic| vec![owned("PUBLISH"), owned(topic)]),
        delivered: if interest.is_by_name() {
            form(&|topic| vec![owned("message"), owned(topic)])
        } else {
            form(&|topic| vec![owned("pmessage"), owned(PATTERN), owned(topic)])
        },
    }
}

/// `SUBSCRIBE` or `PSUBSCRIBE`; each channel is answered with how many there are now.
pub(super) fn greeting(wanted: Wanted<'_>) -> Greeting {
    let (request, channels) = match wanted {
        Wanted::All => ("psubscribe", vec![PATTERN.to_owned()]),
        Wanted::Topics(topics) => {
            let names = topics.iter().map(|topic| topic_name(*topic));
            ("subscribe", names.collect())
        }
    };
    let mut said = array(channels.len() + 1);
    said.extend(bulk(request));
    let mut answer = Vec::new();
    for (before, channel) in channels.iter().enumerate() {
        said.extend(bulk(channel));
        answer.extend(array(3));
        answer.extend(bulk(request));
        answer.extend(bulk(channel));
        answer.extend(format!(":{}\r\n", before + 1).bytes());
    }
    Greeting { said, answer }
}

fn array(strings: usize) -> Vec<u8> {
    format!("*{strings}\r\n").into_bytes()
}

fn bulk(string: &str) -> Vec<u8> {
    format!("${}\r\n{string}\r\n", string.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::form::Stamp;
    use super::*;

    fn text(form: &Form) -> String {
        let mut bytes = Vec::new();
        let stamp = Stamp {
            sequence: 0,
            intended_nanos: 0,
            topic: 1,
            number: 0,
        };
        form.write(stamp, &mut bytes);
        assert_eq!(form.read(&bytes), Some(stamp));
        String::from_utf8_lossy(&bytes)
            .replace("\r\n", " ")
            .replace('\0', "0")
    }

    #[test]
    fn a_message_is_published_and_delivered_as_redis_does_it() {
        let lists = Interest::WatchLists { topics: 9, each: 2 };
        let stamp = "00000000000000001000ZZZZ".replacen("ZZZZ", "0000", 1);
        let Forms {
            published,
            delivered,
        } = forms(lists, 24);
        let payload = stamp.replace('1', "\u{1}");
        assert_eq!(
            text(&published),
            format!("*3 $7 PUBLISH $10 bench/0001 $24 {payload} ")
        );
        assert_eq!(
            text(&delivered),
            format!("*3 $7 message $10 bench/0001 $24 {payload} ")
        );
        let by_pattern = forms(Interest::Wildcard { topics: 9 }, 24);
        assert_eq!(
            text(&by_pattern.delivered),
            format!("*4 $8 pmessage $7 bench/* $10 bench/0001 $24 {payload} ")
        );
    }

    #[test]
    fn each_channel_is_answered() {
        let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\r\n", " ");
        let Greeting { said, answer } = greeting(Wanted::Topics(&[2, 5]));
        assert_eq!(
            show(&said),
            "*3 $9 subscribe $10 bench/0002 $10 bench/0005 "
        );
        assert_eq!(
            show(&answer),
            "*3 $9 subscribe $10 bench/0002 :1 *3 $9 subscribe $10 bench/0005 :2 "
        );
        let Greeting { said, .. } = greeting(Wanted::All);
        assert_eq!(show(&said), "*2 $10 psubscribe $7 bench/* ");
    }
}
