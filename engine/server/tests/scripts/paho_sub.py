"""A subscriber with paho-mqtt: prints what comes, one message to a line.

    paho_sub.py HOST PORT VERSION IDENTIFIER FILTER

VERSION is 4 or 5. A line is `> TOPIC RETAIN PAYLOAD`, RETAIN 0 or 1. It ends, with a
DISCONNECT, when its standard input does.
"""

import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

host, port, version, identifier, topic_filter = sys.argv[1:]
client = mqtt.Client(CallbackAPIVersion.VERSION2, identifier, protocol=mqtt.MQTTProtocolVersion(int(version)))


def on_connect(client, userdata, flags, reason, properties):
    if reason.is_failure:
        sys.exit(f"not connected: {reason}")
    client.subscribe(topic_filter)


def on_message(client, userdata, message):
    print(">", message.topic, int(message.retain), message.payload.decode())


def on_disconnect(client, userdata, flags, reason, properties):
    print("disconnected", reason.getName() if reason else "", flush=True)


def end_with_input():
    sys.stdin.read()
    client.disconnect()


client.on_connect = on_connect
client.on_message = on_message
client.on_disconnect = on_disconnect
sys.stdout.reconfigure(line_buffering=True)
threading.Thread(target=end_with_input, daemon=True).start()
client.connect(host, int(port))
client.loop_forever(retry_first_connection=False)
