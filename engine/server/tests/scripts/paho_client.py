"""A client with paho-mqtt that does what its standard input says, a line at a time.

    paho_client.py HOST PORT VERSION IDENTIFIER

VERSION is 3, 4 or 5. See `support/library.rs` for the lines that it reads and prints. It
ends, with a DISCONNECT, when its standard input does.
"""

import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

host, port, version, identifier = sys.argv[1:]
version = mqtt.MQTTProtocolVersion(int(version))
is_5 = version == mqtt.MQTTProtocolVersion.MQTTv5
out = threading.Lock()


def say(*words):
    with out:
        print(*words, flush=True)


def on_connect(client, userdata, flags, reason, properties):
    say("refused" if reason.is_failure else "connected", int(flags.session_present))


def on_message(client, userdata, message):
    payload = f"*{len(message.payload)}" if len(message.payload) > 64 else message.payload.decode()
    say(">", message.topic, message.qos, int(message.retain), payload)


def make(clean):
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, identifier, clean_session=None if is_5 else clean, protocol=version
    )
    client.on_connect = on_connect
    client.on_message = on_message
    client.on_subscribe = lambda client, userdata, mid, reasons, properties: say("subscribed", reasons[0].value)
    client.on_unsubscribe = lambda client, userdata, mid, reasons, properties: say("unsubscribed")
    client.on_publish = lambda client, userdata, mid, reason, properties: say("published")
    client.on_disconnect = lambda client, userdata, flags, reason, properties: say("disconnected")
    client.max_inflight_messages_set(20)
    return client


client = None
is_clean = None
for line in sys.stdin:
    match line.rstrip("\n").split(" "):
        case ["connect", clean, will_topic, will]:
            clean = clean == "1"
            # An object of this library is one session: it goes on with what is open.
            if clean or is_clean != clean:
                client = make(clean)
            is_clean = clean
            if will_topic != "-":
                client.will_set(will_topic, will, qos=1)
            if is_5:
                properties = Properties(PacketTypes.CONNECT)
                properties.SessionExpiryInterval = 0 if clean else 600
                client.connect(host, int(port), clean_start=clean, properties=properties)
            else:
                client.connect(host, int(port))
            client.loop_start()
        case ["subscribe", qos, topic_filter]:
            if is_5:
                client.subscribe(topic_filter, options=SubscribeOptions(qos=int(qos)))
            else:
                client.subscribe(topic_filter, qos=int(qos))
        case ["unsubscribe", topic_filter]:
            client.unsubscribe(topic_filter)
        case ["publish", qos, retain, topic, payload]:
            payload = b"x" * int(payload[1:]) if payload.startswith("*") else payload
            client.publish(topic, payload, qos=int(qos), retain=retain == "1")
        case ["disconnect"]:
            client.disconnect()
            client.loop_stop()
        case other:
            sys.exit(f"not understood: {other}")
if client is not None:
    client.disconnect()
    client.loop_stop()
