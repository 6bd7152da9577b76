"""Joins a multicast group with a source filter, until it is ended: `hear_group.py ADDRESS GROUP only|but SOURCE`."""
import socket
import sys

# Of <linux/in.h>; not every Python has the names.
IP_BLOCK_SOURCE, IP_ADD_SOURCE_MEMBERSHIP = 38, 39


def main(address, group, how, source):
    ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    here, to, origin = (socket.inet_aton(word) for word in (address, group, source))
    if how == "only":
        ear.setsockopt(socket.IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, to + here + origin)
    else:
        ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, to + here)
        ear.setsockopt(socket.IPPROTO_IP, IP_BLOCK_SOURCE, to + here + origin)
    print("ready", flush=True)
    sys.stdin.read()


main(*sys.argv[1:])
