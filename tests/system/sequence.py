"""Numbered frames at a steady rate, and who hears them; each end is a process in a namespace.

    sequence.py send IFACE RATE FRAME_HEX[,FRAME_HEX...]   until its input ends; then {"sent", "refused"}
    sequence.py hear IFACE START_HEX                       frames that begin so, until its input ends and
                                                           half a second was quiet; then {"heard", "missing", ...}
    sequence.py storm IFACE RATE FILE                      frames of a file, one a line in hexadecimal, in turn,
                                                           as fast as the rate or as it goes; then {"sent", "refused"}

A frame ends with TAIL: a mark, the number's complement and the number, so that no checksum depends on it.
"""
import ctypes
import json
import select
import socket
import struct
import sys
import time

from flood import BATCH, PACKET_QDISC_BYPASS, SOL_PACKET, IoVec, MmsgHdr

MARK = b"seq#"
TAIL = MARK + b"\xff\xff\xff\xff\0\0\0\0"  # number 0
PACKET_STATISTICS, PACKET_IGNORE_OUTGOING, SO_RCVBUFFORCE = 6, 23, 33


def input_ended():
    return bool(select.select([sys.stdin], [], [], 0)[0])


def send(interface, rate, frames):
    """Frames in turn, each with the next number; what the interface refuses is sent again."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    raw.bind((interface, 0))
    raw.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
    libc = ctypes.CDLL(None, use_errno=True)
    buffers = [ctypes.create_string_buffer(frames[place % len(frames)], len(frames[0])) for place in range(BATCH)]
    vectors = [IoVec(ctypes.addressof(buffer), len(frames[0])) for buffer in buffers]
    messages = (MmsgHdr * BATCH)()
    for message, vector in zip(messages, vectors, strict=True):
        message.header.iov = ctypes.pointer(vector)
        message.header.iovlen = 1
    at, sent, refused, began = len(frames[0]) - 8, 0, 0, time.monotonic()
    while not input_ended():
        behind = (time.monotonic() - began) * rate - sent
        if behind < BATCH:
            time.sleep(max(0.0002, (BATCH - behind) / rate))
            continue
        if behind > 8 * BATCH:  # the machine stood still: no queue holds all that is due
            began += (behind - BATCH) / rate
        for number, buffer in enumerate(buffers, sent):
            struct.pack_into("!II", buffer, at, number ^ 0xFFFFFFFF, number)
        done = 0
        while done < BATCH:
            left = BATCH - done
            taken = max(0, libc.sendmmsg(raw.fileno(), ctypes.byref(messages, done * ctypes.sizeof(MmsgHdr)), left, 0))
            if taken < left:  # for the frame behind those that were taken there was no room
                refused += 1
                time.sleep(0.0005)
            done += taken
        sent += BATCH
    return {"sent": sent, "refused": refused, "seconds": time.monotonic() - began}


def storm(interface, rate, frames):
    """Frames of any kind, without a number; what the interface refuses is left out."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    raw.bind((interface, 0))
    raw.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
    libc = ctypes.CDLL(None, use_errno=True)
    buffers = [ctypes.create_string_buffer(frame, len(frame)) for frame in frames]
    vectors = [IoVec(ctypes.addressof(buffer), len(frame)) for buffer, frame in zip(buffers, frames, strict=True)]
    messages = (MmsgHdr * len(frames))()
    for message, vector in zip(messages, vectors, strict=True):
        message.header.iov = ctypes.pointer(vector)
        message.header.iovlen = 1
    sent, refused, began = 0, 0, time.monotonic()
    while not input_ended():
        if (sent + refused) / rate > time.monotonic() - began:
            time.sleep(0.0005)
            continue
        place = (sent + refused) % len(frames)
        batch = min(BATCH, len(frames) - place)
        taken = libc.sendmmsg(raw.fileno(), ctypes.byref(messages, place * ctypes.sizeof(MmsgHdr)), batch, 0)
        sent += max(taken, 0)
        refused += taken < batch
    return {"sent": sent, "refused": refused, "seconds": time.monotonic() - began}


def hear(interface, start):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    raw.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    raw.bind((interface, 3))
    print("ready", flush=True)
    numbers, others, length = [], 0, len(start)
    raw.settimeout(0.1)
    quiet = 0
    while quiet < 5:  # in a row, once no more are sent
        for _ in range(1000):
            try:
                frame = raw.recv(2048)
            except TimeoutError:
                quiet += input_ended()
                break
            quiet = 0
            if frame[:length] == start and frame[-12:-8] == MARK:
                numbers.append(frame[-4:])
            else:
                others += 1
    lost = struct.unpack("II", raw.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
    numbers = [int.from_bytes(number, "big") for number in numbers]
    found, last = set(numbers), max(numbers, default=-1)
    missing = [number for number in range(last + 1) if number not in found]
    backwards = [sum(1 for one, other in zip(flow, flow[1:]) if other <= one)
                 for flow in ([number for number in numbers if number % 2 == odd] for odd in (0, 1))]
    return {"heard": len(numbers), "different": len(found), "last": last, "missing": missing[:20],
            "missing_count": len(missing), "backwards": backwards, "others": others, "socket_lost": lost}


def main(words):
    if words[0] == "send":
        print(json.dumps(send(words[1], float(words[2]), [bytes.fromhex(frame) for frame in words[3].split(",")])))
    elif words[0] == "storm":
        with open(words[3], encoding="ascii") as lines:
            frames = [bytes.fromhex(line) for line in lines]
        print(json.dumps(storm(words[1], float(words[2]), frames)))
    else:
        print(json.dumps(hear(words[1], bytes.fromhex(words[2]))))


if __name__ == "__main__":
    main(sys.argv[1:])
