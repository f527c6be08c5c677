"""A subscriber that shares no code with the generator: MQTT 3.1.1 in a few lines, which
prints how long each message of a run took, in nanoseconds by the time of day.

    listener.py PORT START_FILE

START_FILE will hold when the run started, in milliseconds since 1970; latencies are
printed when it is there.
"""

import os
import socket
import struct
import sys
import time


def packet(kind, body):
    return bytes([kind, len(body)]) + body


def text(value):
    return struct.pack(">H", len(value)) + value


def read(stream):
    kind = stream.read(1)
    if not kind:
        sys.exit("the broker has gone")
    length = shift = 0
    while True:
        byte = stream.read(1)[0]
        length |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return kind[0] >> 4, stream.read(length)


port, start_file = int(sys.argv[1]), sys.argv[2]
connection = socket.create_connection(("127.0.0.1", port))
stream = connection.makefile("rb")
connection.sendall(packet(0x10, text(b"MQTT") + bytes([4, 2, 0, 0]) + text(b"listener")))
assert read(stream)[0] == 2
connection.sendall(packet(0x82, struct.pack(">H", 1) + text(b"load/#") + b"\0"))
assert read(stream)[0] == 9
print("ready", flush=True)

arrivals = []
connection.settimeout(1)
while not os.path.exists(start_file):
    try:
        kind, body = read(stream)
    except TimeoutError:
        # What was read so far would be lost with it, but nothing was on its way.
        stream = connection.makefile("rb")
        continue
    if kind == 3:
        topic = struct.unpack(">H", body[:2])[0]
        intended = struct.unpack("<Q", body[2 + topic + 24 : 2 + topic + 32])[0]
        arrivals.append((time.time_ns(), intended))

with open(start_file, encoding="ascii") as file:
    start = int(file.read()) * 1_000_000
for arrived, intended in arrivals:
    print(arrived - start - intended)
