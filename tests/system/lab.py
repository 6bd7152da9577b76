"""The lab of the system tests: namespaces, cables, kernel VTEPs, packet sockets, and the daemon under
test. One Lab belongs to one test; close() undoes everything in reverse order, also after a failure.

Names of namespaces begin with PREFIX, so that leftovers can be found. Interfaces need no unique
names: everything, the daemon too, lives in namespaces of its own.
"""
import ctypes
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import yaml

PREFIX = "vxs"
BUILD = pathlib.Path(os.environ.get("VXPLANE_BUILD", pathlib.Path(__file__).parents[2] / "build-test"))
VXPLANE = BUILD / "control/vxplane"
VXCTL = BUILD / "control/ctl/vxctl"
CLONE_NEWNET = 0x40000000
PACKET_OUTGOING = 4


def sh(command, check=True, timeout=60):
    """Runs a command line (a string), returns its output. A failure shows the output."""
    done = subprocess.run(command.split(), text=True, timeout=timeout, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if check and done.returncode != 0:
        raise AssertionError(f"`{command}` ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def wait_until(predicate, timeout, what, every=0.02):
    """Polls until predicate() is true and returns its value; otherwise fails, naming `what`."""
    deadline = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(every)


def inner_frame(frame, port=4789, vni=None):
    """The Ethernet frame inside a VXLAN-over-IPv4 frame (and of that VNI), or None."""
    if len(frame) < 64 or frame[12:14] != b"\x08\x00" or frame[23] != 17:
        return None
    if int.from_bytes(frame[36:38], "big") != port or frame[42] != 8:
        return None
    if vni is not None and int.from_bytes(frame[46:49], "big") != vni:
        return None
    return frame[50:]


class Namespace:
    """A network namespace with loopback up; IPv6 is off unless asked for, so that it is silent."""

    made = set()  # names of all that this process made

    def __init__(self, name, ipv6):
        self.name = name
        sh(f"ip netns add {name}")
        self.made.add(name)
        if not ipv6:
            for scope in ("all", "default"):
                self.run(f"sysctl -qw net.ipv6.conf.{scope}.disable_ipv6=1")
        self.ip("link set lo up")

    def run(self, command, **options):
        return sh(f"ip netns exec {self.name} {command}", **options)

    def ip(self, arguments):
        return sh(f"ip -n {self.name} {arguments}")

    def spawn(self, command, **options):
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
                   "stderr": subprocess.STDOUT, "text": True} | options
        return subprocess.Popen(["ip", "netns", "exec", self.name, *command.split()], **options)

    def mac(self, ifname):
        return json.loads(self.ip(f"-j link show {ifname}"))[0]["address"]

    def has(self, ifname):
        return os.path.exists(f"/run/netns/{self.name}") and \
            f" {ifname}" in sh(f"ip -n {self.name} -o link show", check=False).replace("@", " ").replace(":", " ")

    def up(self, ifname, *addresses, mtu=None):
        self.ip(f"link set {ifname} up" + (f" mtu {mtu}" if mtu else ""))
        for address in addresses:
            self.ip(f"address add {address} dev {ifname}" + (" nodad" if ":" in address else ""))

    def plain_wire(self, ifname):
        """What leaves here is as a wire carries it: finished checksums, no frame above the MTU."""
        self.run(f"ethtool -K {ifname} tx off rx off tso off gso off gro off", check=False)

    def ping(self, address, count=3, interval=0.05, options="", wait=1):
        """Returns how many of `count` echo requests were answered."""
        text = self.run(f"ping -n -c {count} -i {interval} -W {wait} {options} {address}",
                        check=False, timeout=30 + count * (interval + wait))
        received = [word for word in text.split(", ") if "received" in word]
        return int(received[0].split()[0]) if received else 0

    def entered(self, function):
        """Calls function() on a thread that is inside this namespace: sockets made there stay there."""
        result = []

        def body():
            with open(f"/run/netns/{self.name}", encoding="ascii") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
                    result.append(OSError(ctypes.get_errno(), "setns"))
                    return
            try:
                result.append(function())
            except Exception as error:  # handed over to the caller's thread
                result.append(error)

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if isinstance(result[0], Exception):
            raise result[0]
        return result[0]

    def wire(self, ifname):
        return Wire(self.entered(lambda: Wire.open(ifname)))


class Wire:
    """A raw packet socket on an interface: sends frames, and hears those that arrive there."""

    def __init__(self, raw):
        self.raw = raw

    @staticmethod
    def open(ifname):
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        raw.bind((ifname, 3))
        return raw

    def send(self, frame):
        self.raw.send(bytes(frame))

    def frames(self, seconds, wanted=lambda frame: True, enough=None):
        """Frames (bytes) that arrive within `seconds` and are wanted; ends early with `enough`."""
        found, deadline = [], time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.raw.settimeout(left)
            try:
                frame, origin = self.raw.recvfrom(65536)
            except TimeoutError:
                break
            if origin[2] != PACKET_OUTGOING and wanted(frame):
                found.append(frame)
                if enough and len(found) >= enough:
                    break
        return found

    def close(self):
        self.raw.close()


class Daemon:
    """The vxplane under test, with its socket, its log, and the laws that hold when it stops."""

    def __init__(self, lab, topology, namespace):
        self.namespace = namespace
        self.directory = lab.directory
        self.number = lab.count("daemon")
        self.topology = topology
        self.socket = str(topology["system"]["socket"])
        self.file = self.directory / f"topology{self.number}.yaml"
        self.log_file = self.directory / f"vxplane{self.number}.log"
        self.process = None

    def launch(self):
        """Starts the process without waiting for anything."""
        self.file.write_text(yaml.safe_dump(self.topology, sort_keys=False))
        with open(self.log_file, "ab") as log:
            self.process = self.namespace.spawn(f"{VXPLANE} {self.file}", stdout=log)
        return self

    def start(self):
        self.launch()

        def ready():
            if self.process.poll() is not None:
                code, self.process = self.process.returncode, None
                raise AssertionError(f"vxplane ended with {code}")
            try:
                self.rpc("version")
                return True
            except OSError:
                return False
        try:
            wait_until(ready, 20, "vxplane answers on its socket")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None
        return self

    def log(self):
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def rpc(self, method, timeout=10, **params):
        """One JSON-RPC call on a connection of its own; an error answer raises LookupError."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(timeout)
            link.connect(self.socket)
            request = {"jsonrpc": "2.0", "id": 1, "method": method}
            if params:
                request["params"] = params
            link.sendall(json.dumps(request).encode() + b"\n")
            with link.makefile("rb") as stream:
                answer = json.loads(stream.readline())
        if "error" in answer:
            raise LookupError(answer["error"])
        return answer["result"]

    def ctl(self, *arguments, check=True):
        """Runs vxctl as a person does; returns the finished process."""
        done = subprocess.run([VXCTL, "-s", self.socket, *map(str, arguments)], text=True,
                              capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        if check and done.returncode != 0:
            raise AssertionError(f"vxctl {arguments} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def fdb(self, mac=None, segment=None):
        """FDB entries, or the one entry of `mac` (None when there is none)."""
        entries = [entry for entry in self.rpc("fdb.show")["entries"]
                   if segment in (None, entry["segment"])]
        if mac is None:
            return entries
        found = [entry for entry in entries if entry["mac"] == mac]
        return found[0] if found else None

    def drops(self):
        """Packets by drop reason, only those that are not zero."""
        return {row["reason"]: row["packets"] for row in self.rpc("drops") if row["packets"]}

    def port(self, name):
        return next(port for port in self.rpc("ports") if port["name"] == name)

    def neighbour(self, address):
        return next((entry for entry in self.rpc("neigh") if entry["address"] == address), None)

    def stop(self, within=20.0):
        """SIGTERM, then: exit code 0 in time, socket gone, every packet accounted for."""
        if self.process is None:
            return
        process, self.process = self.process, None
        if process.poll() is not None:
            raise AssertionError(f"vxplane had ended by itself with {process.returncode}:\n{self.log()}")
        health = None
        try:
            health = self.rpc("health")
        finally:
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(timeout=within)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise AssertionError(f"vxplane ignored SIGTERM for {within} s:\n{self.log()}") from None
        self.stopped_within = time.monotonic() - started
        assert code == 0, f"vxplane ended with {code}:\n{self.log()}"
        assert health["packets_unaccounted"] == 0, health
        assert not os.path.exists(self.socket), "the socket file is left over"
        assert not os.path.exists(f"/run/dpdk/vxplane-{process.pid}"), "DPDK's run-time folder is left over"
        for word in ("AddressSanitizer", "LeakSanitizer", "runtime error", "leaked"):
            assert word not in self.log(), self.log()

    def kill(self):
        """Ends the process as a crash would."""
        process, self.process = self.process, None
        process.kill()
        process.wait()


class Lab:
    """What one test made. `with Lab("name") as lab: ...`, or the fixture `lab`."""

    def __init__(self, label):
        self.id = f"{PREFIX}{os.getpid() % 0x10000:04x}{Lab.serial():x}"
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.id}-"))
        self.label = label
        self.undo = [lambda: shutil.rmtree(self.directory, ignore_errors=True)]
        self.counts = {}

    serial_ = 0

    @classmethod
    def serial(cls):
        cls.serial_ += 1
        return cls.serial_

    def count(self, what):
        self.counts[what] = self.counts.get(what, -1) + 1
        return self.counts[what]

    def namespace(self, label, ipv6=False):
        name = f"{self.id}-{label}"
        self.undo.append(lambda: sh(f"ip netns del {name}", check=False))
        return Namespace(name, ipv6)

    def veth(self, one, one_name, other, other_name):
        """A cable between two namespaces, both ends up and without offloads."""
        one.ip(f"link add {one_name} type veth peer name {other_name} netns {other.name}")
        for namespace, ifname in ((one, one_name), (other, other_name)):
            namespace.plain_wire(ifname)
            namespace.ip(f"link set {ifname} up")

    def wire(self, namespace, ifname):
        wire = namespace.wire(ifname)
        self.undo.append(wire.close)
        return wire

    def spawn(self, namespace, command, **options):
        """A process in a namespace, ended with the test."""
        process = namespace.spawn(command, **options)

        def end():
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(timeout=3)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdout:
                process.stdout.close()
        self.undo.append(end)
        return process

    def daemon(self, topology, namespace):
        """A daemon that is not started yet; the lab stops it, and checks how it stopped."""
        system = {"memory": "128M", "hugepages": "off", "socket": str(self.directory / f"vx{self.count('socket')}.sock")}
        daemon = Daemon(self, {"version": 1} | topology | {"system": system | topology.get("system", {})}, namespace)
        self.undo.append(daemon.stop)
        return daemon

    def close(self):
        errors = []
        while self.undo:
            try:
                self.undo.pop()()
            except Exception as error:  # the rest must be undone all the same
                errors.append(error)
        if errors:
            raise errors[0]


def leftovers():
    """Namespaces that this process made and that are still there: nobody's, once all labs are closed.
    Those of other runs on the same machine are none of our business."""
    there = {line.split()[0] for line in sh("ip netns list").splitlines() if line}
    return sorted(Namespace.made & there)
