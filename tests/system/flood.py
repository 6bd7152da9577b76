"""Sends one frame again and again from an interface, as fast as asked or as fast as it goes, and says
how many the kernel took: `flood.py IFACE RATE SECONDS FRAME_HEX`. Run as a process in a namespace."""
import ctypes
import json
import socket
import sys
import time

BATCH = 32
SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20


class IoVec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class MsgHdr(ctypes.Structure):
    _fields_ = [("name", ctypes.c_void_p), ("namelen", ctypes.c_uint32), ("iov", ctypes.POINTER(IoVec)),
                ("iovlen", ctypes.c_size_t), ("control", ctypes.c_void_p),
                ("controllen", ctypes.c_size_t), ("flags", ctypes.c_int)]


class MmsgHdr(ctypes.Structure):
    _fields_ = [("header", MsgHdr), ("length", ctypes.c_uint)]


def flood(interface, rate, seconds, frame):
    """`rate`: frames per second, 0 for all that goes. Returns what was handed to the interface."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    raw.bind((interface, 0))
    raw.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
    libc = ctypes.CDLL(None, use_errno=True)
    data = ctypes.create_string_buffer(frame, len(frame))
    vector = IoVec(ctypes.addressof(data), len(frame))
    messages = (MmsgHdr * BATCH)()
    for message in messages:
        message.header.iov = ctypes.pointer(vector)
        message.header.iovlen = 1
    sent, refused, began = 0, 0, time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        if rate and sent + refused > passed * rate:
            if (sent + refused) / rate - passed > 0.0005:
                time.sleep(0.0002)
            continue
        taken = libc.sendmmsg(raw.fileno(), messages, BATCH, 0)
        # With the queue discipline left out, an interface that drops says so for that frame; the call then
        # ends, with the number of those before it, or with the error when there are none.
        sent += max(taken, 0)
        refused += taken < BATCH
    return {"sent": sent, "refused": refused, "seconds": passed}


if __name__ == "__main__":
    print(json.dumps(flood(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), bytes.fromhex(sys.argv[4]))))
