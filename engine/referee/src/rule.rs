//! The rules by name. Each is checked in one place, which says why it is fair: it may
//! convict only when no order of events that the trace leaves open explains what was
//! seen.

use std::fmt;

macro_rules! rules {
    ($($variant:ident $name:literal $clause:literal $sentence:literal)*) => {
        /// One thing that a server must keep to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $sentence] $variant,)*
        }

        impl Rule {
            /// All of them, in the order of the book's table.
            pub const ALL: &'static [Rule] = &[$(Rule::$variant),*];

            /// The name in tables and files.
            pub fn name(self) -> &'static str {
                match self { $(Rule::$variant => $name),* }
            }

            /// The clause of MQTT 5 that it stands on, or `ringcast` for a promise
            /// beyond the standard.
            pub fn clause(self) -> &'static str {
                match self { $(Rule::$variant => $clause),* }
            }

            /// What it says.
            pub fn sentence(self) -> &'static str {
                match self { $(Rule::$variant => $sentence),* }
            }
        }
    };
}

rules! {
    Form "form" "MQTT-2.1.3-1"
        "Every packet from the server is well-formed and of a type that a server sends."
    Mqtt5Only "mqtt5-only" "MQTT-3.1.2-2"
        "Clients of MQTT 3.1 and 3.1.1 get nothing that exists only in MQTT 5."
    ReasonCode "reason-code" "MQTT-3.2.2-8"
        "A reason code is one that this packet may have in this version, from a server."
    Size "size" "MQTT-3.1.2-24"
        "No packet is larger than the client's Maximum Packet Size."
    ConnackFirst "connack-first" "MQTT-3.2.0-1"
        "The first packet from the server is CONNACK, or AUTH where the client named a method."
    ConnackOnce "connack-once" "MQTT-3.2.0-2"
        "A connection gets one CONNACK."
    SilentAfterEnd "silent-after-end" "MQTT-3.14.4-1"
        "Nothing follows the server's DISCONNECT, nor a CONNACK that refuses."
    SessionPresent "session-present" "MQTT-3.2.2-2"
        "Session Present is 0 where no session can be: after Clean Start, a refusal, an expiry."
    SessionKept "session-kept" "MQTT-3.2.2-3"
        "Session Present is 1 where a session must be."
    AssignedIdentifier "assigned-identifier" "MQTT-3.2.2-16"
        "Who connects without a client identifier is told one that nobody has, or is refused."
    Authentication "authentication" "MQTT-4.12.0-6"
        "A client that named no authentication method gets no AUTH and no method in CONNACK."
    ResponseInformation "response-information" "MQTT-3.1.2-28"
        "CONNACK has Response Information only if it was asked for."
    ProblemInformation "problem-information" "MQTT-3.1.2-29"
        "A client that asked for no problem information gets it in CONNACK, PUBLISH and DISCONNECT only."
    Blame "blame" "MQTT-4.13.2-1"
        "A DISCONNECT for too many, too large, a bad alias or silence follows such a thing."
    KeepAlive "keep-alive" "MQTT-3.1.2-22"
        "A client silent for one and a half times its keep-alive is disconnected."
    Takeover "takeover" "MQTT-3.1.4-3"
        "A connection whose client identifier has connected anew gets nothing more and is closed."
    FaultCloses "fault-closes" "MQTT-4.13.1-1"
        "A connection whose client broke the protocol is closed."
    Answered "answered" "MQTT-3.8.4-1"
        "Every request is answered, as long as both sides are there."
    AckAsked "ack-asked" "MQTT-2.2.1-5"
        "An acknowledgement or PINGRESP belongs to something that the client sent and that awaits it."
    AckOrder "ack-order" "MQTT-4.6.0-2"
        "PUBACK, PUBREC and PUBREL go out in the order of what they answer."
    SubackCodes "suback-codes" "MQTT-3.8.4-6"
        "SUBACK and UNSUBACK have a code for each filter, and grant no more than was asked."
    IdentifierFree "identifier-free" "MQTT-2.2.1-4"
        "A new message takes an identifier that is not in use in the session."
    DupSet "dup-set" "MQTT-3.3.1-1"
        "A message that is sent again has DUP."
    DupOnlyAgain "dup-only-again" "MQTT-3.3.1-3"
        "DUP stands only on a message that was sent before and is not acknowledged."
    ResendLive "resend-live" "MQTT-4.4.0-1"
        "Nothing is sent again on the connection that it was sent on."
    ResendSame "resend-same" "MQTT-4.4.0-1"
        "What is sent again under an identifier is the same message."
    ResendOrder "resend-order" "MQTT-4.6.0-1"
        "What is sent again goes in the order of first sending."
    ResendAll "resend-all" "MQTT-4.4.0-1"
        "All that was unacknowledged is sent again when its session resumes."
    PubrelAfterPubrec "pubrel-after-pubrec" "MQTT-4.3.3-4"
        "A PUBREL answers a PUBREC or, after a resume, repeats what was open."
    PublishAfterPubrel "publish-after-pubrel" "MQTT-4.3.3-6"
        "A message is not sent again once its PUBREL has gone out."
    ReceiveMaximum "receive-maximum" "MQTT-3.3.4-9"
        "No more messages are open than the client's Receive Maximum."
    TopicAlias "topic-alias" "MQTT-3.1.2-26"
        "A topic alias is within the client's maximum and was defined on this connection."
    Subscribed "subscribed" "MQTT-3.3.2-3"
        "A message matches a subscription that can be in force for it."
    SubscriptionIdentifier "subscription-identifier" "MQTT-3.3.4-3"
        "A message has identifiers of matching subscriptions, and one if all of them have one."
    Qos "qos" "MQTT-3.8.4-8"
        "A message comes at the lower of published and granted QoS."
    RetainFlag "retain-flag" "MQTT-3.3.1-12"
        "RETAIN is set on what a new subscription replays and, as published, where that was asked."
    NoLocal "no-local" "MQTT-3.8.3-3"
        "A message does not come back to its publisher by subscriptions with No Local."
    Private "private" "ringcast"
        "Topics that belong to a user reach nobody else."
    Published "published" "MQTT-3.3.4-1"
        "What is delivered was published: the same topic, the same bytes."
    Unchanged "unchanged" "MQTT-3.3.2-17"
        "User properties and what describes the payload arrive as published, in order."
    Expiry "expiry" "MQTT-3.3.2-5"
        "No message arrives after its expiry, and what remains of it is not too long."
    Order "order" "MQTT-4.6.0-5"
        "Messages of one publisher on one topic at one QoS arrive in order."
    RetainedOrder "retained-order" "ringcast"
        "No retained message comes after the newer one that took its place."
    Once "once" "MQTT-4.3.3-10"
        "A message arrives no more often than published, for each matching subscription."
    SharedOnce "shared-once" "MQTT-4.8.2-4"
        "A message goes to one member of a shared subscription."
    WillEarly "will-early" "MQTT-3.1.2-8"
        "A will is not published while its connection lives, nor after a normal DISCONNECT, nor before its delay."
    WillDue "will-due" "MQTT-3.1.2-8"
        "A will is published when its connection has ended badly and its delay is over."
}

impl Rule {
    /// The rule of that name.
    pub fn named(name: &str) -> Option<Rule> {
        Rule::ALL.iter().copied().find(|rule| rule.name() == name)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}
