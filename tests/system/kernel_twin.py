"""The same VTEP twice: vxplane, and the kernel's own vxlan devices with the same options, addresses and
MAC addresses. Both get the same frames, and what comes out of each can be compared byte by byte.

    tenant --taps acc0..N-- vxplane --tap und0--   fabric        what a tenant sends, and hears
    kernel: vx<VNI> ...  -- eth0 -------veth wire--   fabric        the same, on the devices themselves
"""
import copy
import socket
import struct

import pytest

from lab import sh
from test_reload import reload
from wire_frames import mac

VTEP_MAC, REMOTE_MAC = "02:00:00:00:0e:01", "02:00:00:00:0e:02"
ADDRESS = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
LENGTH = {4: 24, 6: 64}
SENTINEL = b"this is the last frame of its batch"
SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING, SO_RCVBUFFORCE = 263, 8, 23, 33
TP_STATUS_VLAN_VALID = 0x10


def raw_socket(namespace, ifname=None):
    """A packet socket that hears what arrives at `ifname`; without one it only sends."""
    def opened():
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        if ifname:
            made.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            made.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
            made.bind((ifname, 3))
        return made
    made = namespace.entered(opened)
    made.settimeout(10)
    return made


def with_tag(sock):
    """One frame as it was sent: the kernel's packet sockets hand a VLAN tag over beside the frame."""
    frame, beside, _, _ = sock.recvmsg(4096, 64)
    for _, _, data in beside:
        status, *_, tci, tpid = struct.unpack_from("=IIIHHHH", data)
        if status & TP_STATUS_VLAN_VALID:
            return frame[:12] + struct.pack("!HH", tpid, tci) + frame[12:]
    return frame


def until(sock, last, wanted=lambda frame: True, receive=lambda sock: sock.recv(4096)):
    """Frames that arrive up to the one that has `last` in it, without that one."""
    found = []
    while True:
        try:
            frame = receive(sock)
        except TimeoutError:
            raise AssertionError(f"the last frame of a batch did not arrive; {len(found)} before it did") from None
        if last in frame:
            return found
        if wanted(frame):
            found.append(frame)


class Options:
    """One combination of options: the words of `ip link add type vxlan`, and the keys of a segment."""

    def __init__(self, vni, version, words, keys, port=4789):
        self.vni, self.version, self.port = vni, version, port
        self.words, self.keys = words, keys
        self.name = f"vx{vni}"

    def __str__(self):
        return f"vni {self.vni} over IPv{self.version}: {self.words or 'no options'}; {self.keys}"


def kernel_or_skip(namespace, words):
    """Skips the test, naming what the kernel does not have."""
    for option in words:
        family = "local ::1 remote ::2" if option.startswith(("udp6", "flowlabel")) else ""
        answer = namespace.run(f"ip link add probe type vxlan id 1 dstport 1 {family} {option}", check=False)
        if answer.strip():
            pytest.skip(f"this kernel's vxlan has no `{option}`: {answer.strip()}")
        namespace.ip("link del probe")


class Twin:
    """`combinations`: all Options that will be asked about. use() gives some of them to vxplane.
    `others`: more remotes, behind the MAC address of the first."""

    def __init__(self, lab, combinations, ports=9, others=()):
        self.neighbours = [remote for _, remote in ADDRESS.values()] + list(others)
        self.lab, self.ports = lab, [f"acc{number}" for number in range(ports)]
        self.kernel, self.fabric = lab.namespace("kernel", ipv6=True), lab.namespace("fabric")
        self.host, self.tenant = lab.namespace("host"), lab.namespace("tenant")
        self.make_kernel(combinations)
        self.start_vxplane()

    # ---- the kernel's half

    def make_kernel(self, combinations):
        kernel = self.kernel
        self.lab.veth(kernel, "eth0", self.fabric, "wire")
        for setting in ("all.accept_ra", "default.disable_ipv6", "eth0.autoconf"):
            kernel.run(f"sysctl -qw net.ipv6.conf.{setting}={int('disable' in setting)}")
        kernel.run("sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0")
        kernel.ip(f"link set eth0 address {VTEP_MAC}")
        for version, (own, _) in ADDRESS.items():
            kernel.ip(f"address add {own}/{LENGTH[version]} dev eth0 " + ("nodad" if version == 6 else ""))
        for remote in self.neighbours:
            kernel.ip(f"neighbour replace {remote} lladdr {REMOTE_MAC} dev eth0 nud permanent")
        lines = []
        for options in combinations:
            own, remote = ADDRESS[options.version]
            lines.append(f"link add {options.name} address 02:00:00:00:0f:01 type vxlan id {options.vni} "
                         f"dstport {options.port} local {own} remote {remote} {options.words}")
            lines.append(f"link set {options.name} up")
        batch = self.lab.directory / "devices"
        batch.write_text("\n".join(lines) + "\n")
        sh(f"ip -n {kernel.name} -batch {batch}")

    # ---- vxplane's half

    def start_vxplane(self):
        addresses = [f"{own}/{LENGTH[version]}" for version, (own, _) in ADDRESS.items()]
        topology = {
            "ports": {"uplink0": {"device": "net_tap0,iface=und0", "role": "underlay", "mac": VTEP_MAC,
                                  "addresses": addresses}},
            "neighbours": [{"address": remote, "lladdr": REMOTE_MAC, "dev": "uplink0"}
                           for remote in self.neighbours],
        }
        for number, port in enumerate(self.ports, 1):
            topology["ports"][port] = {"device": f"net_tap{number},iface={port}", "role": "access", "learning": False}
        topology["system"] = {"memory": "256M"}
        self.daemon = self.lab.daemon(topology, self.host).start()
        for port in self.ports:
            self.host.ip(f"link set {port} netns {self.tenant.name}")
            self.tenant.ip(f"link set {port} up txqueuelen 8192")
        self.host.ip(f"link set und0 netns {self.fabric.name}")
        self.fabric.ip("link set und0 up txqueuelen 8192")

    def use(self, combinations):
        """Segments for these, and for no others, on the access ports in order."""
        topology = copy.deepcopy(self.daemon.topology)
        topology["vxlans"] = {}
        for port, options in zip(self.ports, combinations, strict=False):
            own, remote = ADDRESS[options.version]
            topology["vxlans"][options.name] = {"id": options.vni, "local": own, "remote": remote, "ports": [port],
                                                "dstport": options.port, "mac": "02:00:00:00:0f:01"} | copy.deepcopy(options.keys)
        reload(self.daemon, topology)

    # ---- frames

    def open(self):
        """Sockets of both halves, inside and on the wire."""
        self.kernel_mouth = raw_socket(self.kernel)
        self.mouths = {port: raw_socket(self.tenant, port) for port in self.ports}
        self.kernel_ear, self.ear = raw_socket(self.fabric, "wire"), raw_socket(self.fabric, "und0")
        for made in (self.kernel_mouth, self.kernel_ear, self.ear, *self.mouths.values()):
            self.lab.undo.append(made.close)
        return self

    def encapsulated(self, options, port, frames, last, next_hops=(mac(REMOTE_MAC),)):
        """What both put on the wire to `next_hops` for these inner frames: (kernel's, vxplane's)."""
        send, address = self.kernel_mouth.sendto, (options.name, 0)
        for frame in frames:
            send(frame, address)
        send(last, address)
        send = self.mouths[port].send
        for frame in frames:
            send(frame)
        send(last)

        def wanted(frame):
            return frame[:6] in next_hops
        return until(self.kernel_ear, SENTINEL, wanted), until(self.ear, SENTINEL, wanted)

    def decapsulated(self, options, port, frames, last):
        """What comes out inside when these frames arrive on the wire: (kernel's, vxplane's)."""
        self.kernel.run(f"ethtool -K {options.name} gro off")
        device, tap = raw_socket(self.kernel, options.name), raw_socket(self.tenant, port)
        found = []
        for mouth, ear in ((self.kernel_ear, device), (self.ear, tap)):
            for start in range(0, len(frames), 256):  # no queue of the kernel is longer
                share, name = frames[start:start + 256], b"%s %d" % (SENTINEL, start)
                for frame in share:
                    mouth.send(frame)
                mouth.send(last(name))
                found.append(until(ear, name, receive=with_tag))
            ear.settimeout(0.05)
            try:  # what was overtaken by the last frame
                while True:
                    found.append([with_tag(ear)])
            except TimeoutError:
                pass
            ear.close()
            found.append(None)
        border = found.index(None)
        return [frame for part in found[:border] for frame in part], \
            [frame for part in found[border + 1:-1] for frame in part]
