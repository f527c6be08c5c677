#!/usr/bin/env python3
"""Reads a ringcast ring, version 1, from another process; the standard library suffices.

    ringcast_ring.py SOCKET [COUNT]            listens there, takes the ring it is given
    ringcast_ring.py /proc/PID/fd/N [COUNT]    opens the memory of a running producer

It prints COUNT records, or all until it is interrupted, beginning with what is
published next. It is a tap: it copies, nobody waits for it, and when it was lapped it
says so and goes on. docs/ring.md has the layout and the rules.

Python has no memory fences. What is read here in order is seen in order on x86-64;
on other processors this is a tool for looking, not for counting on.
"""

import fcntl
import mmap
import os
import socket
import struct
import sys
import time

MAGIC = b"RINGCAST"
HANDOVER_MAGIC = b"RINGHAND"
VERSION = 1
HEADER_BYTES = 8192
HEAD_BYTES = 8
CAPACITY_MIN, CAPACITY_MAX = 4096, 1 << 33
CLAIMED_AT, PUBLISHED_AT, EPOCH_AT = 128, 136, 144
PADDING = 0
NO_PLACE = 0xFFFF_FFFF
F_GET_SEALS, SHRINK_AND_GROW = 1034, 0x2 | 0x4


class NotARing(Exception):
    """The memory holds no ring, or one that can't be trusted."""


class Lapped(Exception):
    """Records from `start` to `end` are lost; reading goes on behind them."""

    def __init__(self, start, end):
        super().__init__(f"lapped: {end - start} bytes of records are lost")
        self.start, self.end = start, end


class NewEpoch(Exception):
    """The ring has a new producer; nothing is lost."""


class Tap:
    """A ring, from what is published next. The descriptor may be closed afterwards."""

    def __init__(self, descriptor):
        try:
            seals = fcntl.fcntl(descriptor, F_GET_SEALS)
        except OSError as error:
            raise NotARing(f"no memory that can be sealed: {error}") from error
        if seals & SHRINK_AND_GROW != SHRINK_AND_GROW:
            raise NotARing("not sealed: its maker could cut it")
        status = os.fstat(descriptor)
        capacity = status.st_size - HEADER_BYTES
        if not CAPACITY_MIN <= capacity <= CAPACITY_MAX or status.st_blocks * 512 < status.st_size:
            raise NotARing("of no size that a ring has, or with holes")
        self._memory = mmap.mmap(descriptor, status.st_size, mmap.MAP_SHARED, mmap.PROT_READ)
        magic, version, header, stated = struct.unpack_from("<8sIIQ", self._memory)
        if (magic, version, header) != (MAGIC, VERSION, HEADER_BYTES):
            raise NotARing(f"no ring of version {VERSION}")
        if stated != capacity or capacity & (capacity - 1):
            raise NotARing("its header contradicts the size of its memory")
        self.capacity = capacity
        self.epoch = self._word(EPOCH_AT)
        self.cursor = self._word(PUBLISHED_AT)
        if self.cursor % 8:
            raise NotARing("it ends within a record")

    def _word(self, at):
        # Native order and size: one load, never torn.
        return struct.unpack_from("@Q", self._memory, at)[0]

    def _lapped(self):
        start, self.cursor = self.cursor, max(self.cursor, self._word(PUBLISHED_AT))
        return Lapped(start, self.cursor)

    def read(self):
        """The next record as (position, kind, body), or None if there is none yet."""
        while True:
            published = self._word(PUBLISHED_AT)
            epoch = self._word(EPOCH_AT)
            if epoch != self.epoch:
                self.epoch = epoch
                raise NewEpoch(f"the ring has a new producer, its {epoch}th")
            ahead = published - self.cursor
            if ahead > self.capacity:
                raise self._lapped()
            if ahead < 0 or published % 8:
                raise NotARing(f"it can't end at {published}")
            if ahead == 0:
                return None
            begin = self.cursor % self.capacity
            head = self._word(HEADER_BYTES + begin)
            bytes_, kind = head & 0xFFFF_FFFF, head >> 32 & 0xFFFF
            size = (HEAD_BYTES + bytes_ + 7) & ~7
            until_wrap = self.capacity - begin
            fits = size <= min(until_wrap, ahead, self.capacity // 4)
            if kind == PADDING and size != until_wrap:
                fits = False
            body_at = HEADER_BYTES + begin + HEAD_BYTES
            body = self._memory[body_at : body_at + bytes_] if fits else b""
            # Only now: what was overwritten before this was claimed before that.
            if self._word(CLAIMED_AT) - self.cursor > self.capacity:
                raise self._lapped()
            if not fits:
                raise NotARing(f"it holds no record at {self.cursor}")
            position, self.cursor = self.cursor, self.cursor + size
            if kind != PADDING:
                return position, kind, body


def accept(path):
    """Listens at a path for one producer; returns the tap and the connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1)
        connection, _ = listener.accept()
    os.unlink(path)
    message, descriptors, flags, _ = socket.recv_fds(connection, 16, 2)
    try:
        expected = HANDOVER_MAGIC + struct.pack("<II", VERSION, NO_PLACE)
        if message != expected or len(descriptors) != 1 or flags & socket.MSG_CTRUNC:
            raise NotARing("what came is no ring for a tap")
        return Tap(descriptors[0]), connection
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def main(arguments):
    if len(arguments) not in (2, 3):
        sys.exit(__doc__)
    path, left = arguments[1], int(arguments[2]) if len(arguments) == 3 else -1
    connection = None
    if path.startswith("/proc/"):
        descriptor = os.open(path, os.O_RDONLY)
        tap = Tap(descriptor)
        os.close(descriptor)
        print("ready", flush=True)
    else:
        tap, connection = accept(path)
        connection.sendall(b"!")
    while left != 0:
        try:
            record = tap.read()
        except (Lapped, NewEpoch) as event:
            print(event, flush=True)
            continue
        if record is None:
            time.sleep(0.001)
            continue
        position, kind, body = record
        print(position, kind, body, flush=True)
        left -= 1


if __name__ == "__main__":
    try:
        main(sys.argv)
    except KeyboardInterrupt:
        pass
    except NotARing as error:
        sys.exit(f"no ring: {error}")
