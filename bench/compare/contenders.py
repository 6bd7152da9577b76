"""Who is compared, and how each is started, counted, paused and ended. All but the kernel play the same
file through net_pcap into a net_null on one CPU and are counted by DPDK's own statistics of these two."""
import glob
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time

import traffic

OVS_DAEMON = "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
NO_IPV6 = "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6;"
OVS_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


class Failed(Exception):
    """A contender cannot do what is asked; the text says why."""


class Setting:
    """One cell of the comparison. With `capture`, the file is played once and what comes out is kept."""

    def __init__(self, options, directory, direction, macs, pcap, capture=None):
        self.options, self.directory, self.direction, self.macs = options, directory, direction, macs
        self.pcap, self.capture, self.commands = pcap, capture, []

    def played(self):
        return f"net_pcap0,rx_pcap={self.pcap}" + ("" if self.capture else ",infinite_rx=1")

    def sink(self):
        return f"net_pcap1,tx_pcap={self.capture}" if self.capture else "net_null0,no-rx=1"

    def sink_name(self):
        return "net_pcap1" if self.capture else "net_null0"

    def megabytes(self):
        """Room for the played frames, which net_pcap keeps in buffers of at most 3 KiB, and for the rings."""
        return 512 if self.macs > 10000 else 256


class Contender:
    name = title = ""
    replays = 8  # of the file when it is checked what comes out

    def __init__(self, setting):
        self.setting = setting
        self.directory = setting.directory / self.name
        self.directory.mkdir(parents=True)
        self.log = self.directory / "log"
        self.children = []  # those that are paused between samples come first
        self.paused = 1

    # What a contender is made of

    def run(self, *words, quiet=True, **more):
        """A command that ends by itself."""
        words = [str(word) for word in words]
        self.setting.commands.append(" ".join(words))
        done = subprocess.run(words, capture_output=True, text=True, **more)
        if done.returncode != 0 and quiet:
            raise Failed(f"{self.name}: {' '.join(words)}: {done.stderr.strip()}\n{self.last_words()}")
        return done.stdout

    def spawn(self, *words, **environment):
        words = [str(word) for word in words]
        self.setting.commands.append(" ".join(words))
        child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=self.log.open("a"), stderr=subprocess.STDOUT,
                                 env=os.environ | {"RUNTIME_DIRECTORY": str(self.directory)} | environment)
        self.children.append(child)
        return child

    def wait_for(self, what, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            for child in self.children:
                if child.poll() is not None:
                    raise Failed(f"{self.name} ended with {child.returncode}:\n{self.last_words()}")
            if time.monotonic() > end:
                raise Failed(f"{self.name}: no {what} within {seconds} s:\n{self.last_words()}")
            time.sleep(0.05)

    def last_words(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:]) if self.log.exists() else ""

    # What the comparison asks for

    def start(self):
        raise NotImplementedError

    def wait_until_warm(self):
        """Returns when the rate is that of every later second."""

    def notes(self):
        """Facts of the running contender that explain its figures."""
        return {}

    def counts(self):
        """Packets received from the file, packets sent, both since the start, and when the second was read."""
        received = self.telemetry(f"/ethdev/stats,{self.numbers['net_pcap0']}")["ipackets"]
        begin = time.monotonic()
        sent = self.telemetry(f"/ethdev/stats,{self.numbers[self.setting.sink_name()]}")["opackets"]
        return received, sent, (begin + time.monotonic()) / 2

    def cpu_times(self):
        """CPU seconds of each thread; the busiest one forwards. None where no single thread does it."""
        times = {}
        for path in glob.glob(f"/proc/{self.children[0].pid}/task/*/schedstat"):
            try:
                times[path] = int(pathlib.Path(path).read_text().split()[0]) / 1e9
            except OSError:
                pass  # a thread that has just ended
        return times

    def pause(self):
        self.children[0].send_signal(signal.SIGSTOP)

    def resume(self):
        self.children[0].send_signal(signal.SIGCONT)

    def stop(self):
        for child in self.children:
            child.send_signal(signal.SIGCONT)
            child.stdin.close()  # testpmd waits for a word, or the end of words
            child.terminate()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self.children = []

    # DPDK's telemetry socket

    def telemetry(self, question):
        if not hasattr(self, "socket_"):
            found = glob.glob(f"{self.directory}/dpdk/*/dpdk_telemetry.v2")
            if not found:
                raise Failed(f"{self.name} has no telemetry socket:\n{self.last_words()}")
            self.socket_ = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.socket_.settimeout(10)
            self.socket_.connect(found[0])
            self.socket_.recv(65536)  # its greeting
        self.socket_.send(question.encode())
        return next(iter(json.loads(self.socket_.recv(65536)).values()))

    def ports(self):
        numbers = self.telemetry("/ethdev/list")
        return {self.telemetry(f"/ethdev/info,{number}")["name"]: number for number in numbers}

    def is_counted(self):
        try:
            self.numbers = self.ports()
            return {"net_pcap0", self.setting.sink_name()} <= self.numbers.keys()
        except (Failed, OSError, TypeError, KeyError):  # it is still starting
            self.__dict__.pop("socket_", None)
            return False


class Testpmd(Contender):
    name, title = "testpmd", "testpmd io"

    def memory(self):
        size = self.setting.megabytes()
        return ("--in-memory" if self.setting.options.hugepages else "--no-huge --no-shconf").split() + ["-m", size]

    def launch(self, sink, prefix=()):
        buffers = 16384 + (131072 if self.setting.macs > 10000 else 0)
        self.spawn(*prefix, "dpdk-testpmd", "--lcores", f"0@0,1@{self.setting.options.cpu}", "--main-lcore", 0,
                   "--no-pci", *self.memory(), "--vdev", self.setting.played(), "--vdev", sink, "--",
                   "--auto-start", "--no-flush-rx", "--forward-mode=io", "--nb-cores=1", "--burst=32", "--rxd=1024", "--txd=1024",
                   f"--total-num-mbufs={buffers}")

    def start(self):
        self.launch(self.setting.sink())
        self.wait_for("telemetry", self.is_counted)


class Vxplane(Contender):
    name, title = "vxplane", "vxplane"

    def start(self):
        wanted = self.setting
        self.control = self.directory / "sock"
        topology = self.directory / "topology.yaml"
        topology.write_text(traffic.topology(wanted.direction, wanted.macs, wanted.options.cpu,
                                             "require" if wanted.options.hugepages else "off", wanted.played(),
                                             wanted.sink(), self.control))
        self.spawn(wanted.options.build / "control/vxplane", topology)
        self.wait_for("telemetry", self.is_counted)

    def ask(self, *words):
        return self.run(self.setting.options.build / "control/ctl/vxctl", "-s", self.control, "-j", *words)

    def notes(self):
        stages = [row for row in json.loads(self.ask("stages")) if row.get("packets")]
        return {"stages": stages, "drops": [row for row in json.loads(self.ask("drops")) if row.get("packets")]}


class Ovs(Contender):
    """Userspace datapath with a private database; flows per address, tunnel by `vxlan` port."""
    name, title, emc = "ovs-emc", "OVS-DPDK", 100
    replays = 2000  # it loses what comes while it still sets up the port

    def start(self):
        wanted, place = self.setting, self.directory
        database = place / "db.sock"
        private = {"OVS_RUNDIR": str(place), "OVS_LOGDIR": str(place), "OVS_DBDIR": str(place)}
        self.environment = os.environ | private
        self.run("ovsdb-tool", "create", place / "conf.db", OVS_SCHEMA)
        self.spawn("taskset", "-c", 0, "ovsdb-server", place / "conf.db", f"--remote=punix:{database}", **private)
        self.wait_for("database", database.exists)
        size = wanted.megabytes()
        # Without the limit it takes all hugepages that there are.
        memory = (f"--in-memory -m {size} --socket-limit {size}" if wanted.options.hugepages
                  else f"--no-huge --legacy-mem -m {size}")
        self.vsctl("--no-wait", "init")
        # EMC and SMC apart, the settings keep OVS's helpers off the packet loop's CPU, and its flows in
        # the datapath while the process is paused.
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
                   f'other_config:dpdk-extra="--no-pci {memory}"', "other_config:dpdk-lcore-mask=0x1",
                   f"other_config:pmd-cpu-mask={1 << wanted.options.cpu:#x}", "other_config:smc-enable=false",
                   f"other_config:emc-insert-inv-prob={self.emc}", "other_config:max-idle=3600000",
                   "other_config:n-revalidator-threads=1", "other_config:max-revalidator=10", "other_config:n-handler-threads=1")
        # A network namespace of its own for the bridges; without IPv6, which would talk through them.
        self.spawn("unshare", "-n", "sh", "-c", f"{NO_IPV6} exec \"$@\"", "sh", "taskset", "-c", 0, OVS_DAEMON, f"unix:{database}", f"--unixctl={place}/ctl", **private)
        self.children.reverse()  # the daemon is paused, not its database
        self.wait_for("control socket", (place / "ctl").exists)
        self.vsctl("add-br", "under", "--", "set", "bridge", "under", "datapath_type=netdev", "fail-mode=secure",
                   f'other-config:hwaddr="{traffic.UNDERLAY_MAC}"',
                   "--", "add-br", "inner", "--", "set", "bridge", "inner", "datapath_type=netdev", "fail-mode=secure",
                   "--", "add-port", "inner", "vx", "--", "set", "interface", "vx", "type=vxlan", "ofport_request=2",
                   "options:remote_ip=flow", "options:key=flow", f"options:local_ip={traffic.LOCAL}",
                   f"options:dst_port={traffic.DSTPORT}")
        inside = ("nsenter", "-t", self.children[0].pid, "-n")
        self.run(*inside, "ip", "address", "add", f"{traffic.LOCAL}/24", "dev", "under")
        self.run(*inside, "ip", "link", "set", "under", "up")
        self.wait_for("route", lambda: "dev under" in self.appctl("ovs/route/show"))
        self.appctl("tnl/neigh/set", "under", traffic.PEER, traffic.PEER_MAC)
        self.flows("under", ["in_port=1,actions=LOCAL", "in_port=LOCAL,actions=1"])
        encap = wanted.direction == "encap"
        self.flows("inner", [
            f"in_port=1,dl_dst={traffic.destination(n)},actions=set_field:{traffic.PEER}->tun_dst,"
            f"set_field:{traffic.VNI}->tun_id,output:2" if encap else
            f"in_port=2,tun_id={traffic.VNI},dl_dst={traffic.destination(n)},actions=output:1"
            for n in range(wanted.macs)])
        # The port that is played comes last: all that it needs is there.
        ports = [("under", "up0", wanted.sink()), ("inner", "ten0", wanted.played())]
        if not encap:
            ports = [("inner", "ten0", wanted.sink()), ("under", "up0", wanted.played())]
        for bridge, port, device in ports:
            self.vsctl("add-port", bridge, port, "--", "set", "interface", port, "type=dpdk", "ofport_request=1",
                       'options:dpdk-devargs="' + device + '"')
            error = self.vsctl("get", "interface", port, "error").strip()
            if error not in ("[]", '""'):
                raise Failed(f"{self.name}: port {port}: {error}\n{self.last_words()}")
        self.wait_for("telemetry", self.is_counted)

    def vsctl(self, *words):
        return self.run("ovs-vsctl", f"--db=unix:{self.directory}/db.sock", "--timeout=30", *words, env=self.environment)

    def appctl(self, *words):
        return self.run("ovs-appctl", "-t", self.directory / "ctl", *words, env=self.environment)

    def flows(self, bridge, lines):
        file = self.directory / f"{bridge}.flows"
        file.write_text("\n".join(lines) + "\n")
        self.run("ovs-ofctl", "add-flows", f"unix:{self.directory}/{bridge}.mgmt", file, env=self.environment)

    def installed(self):
        return int(re.search(r"flows: (\d+)", self.appctl("dpctl/show"))[1])

    def wait_until_warm(self):
        """Each address needs a flow in the datapath. OVS begins with room for 10,000 and adds 1,000 whenever it has
        looked through them; it looks no more once all are there, since a pause would count as slowness."""
        end = time.monotonic() + 120
        while (now := self.installed()) < self.setting.macs and time.monotonic() < end:
            time.sleep(0.5)
        if now < self.setting.macs:
            raise Failed(f"{self.name}: only {now} of {self.setting.macs} flows in the datapath after 120 s")
        self.appctl("revalidator/pause")
        time.sleep(0.5)
        self.appctl("dpif-netdev/pmd-stats-clear")

    def notes(self):
        text = self.appctl("dpif-netdev/pmd-stats-show")
        loop = text[text.index("pmd thread"):]
        facts = dict(re.findall(r"^  ([a-z. ]+): (\d+)", loop.split("main thread")[0], re.MULTILINE))
        return {"datapath flows": self.installed(),
                **{key: int(facts[key]) for key in ("packets received", "packet recirculations", "emc hits", "smc hits",
                                                    "megaflow hits", "miss with success upcall") if key in facts}}


class OvsMegaflow(Ovs):
    name, title, emc = "ovs-megaflow", "OVS-DPDK without EMC", 0


class Kernel(Testpmd):
    """The kernel's vxlan device between two network namespaces on a veth pair. testpmd plays the file into a
    packet socket, and all that follows happens in its system call: so the figure includes what the
    socket costs. What arrives is dropped by nftables, first thing at ingress."""
    name, title = "kernel", "kernel vxlan"

    def start(self):
        wanted = self.setting
        encap = wanted.direction == "encap"
        self.vtep, self.peer = (subprocess.Popen(["unshare", "-n", "sleep", "infinity"]) for _ in range(2))
        home = os.readlink("/proc/self/ns/net")
        for holder in (self.vtep, self.peer):
            self.wait_for("namespace", lambda h=holder: os.readlink(f"/proc/{h.pid}/ns/net") != home)
        entries = self.directory / "fdb"
        entries.write_text("".join(f"fdb add {traffic.destination(n)} dev vx0 dst {traffic.PEER}\n"
                                   for n in range(wanted.macs)))
        self.inside(self.peer, NO_IPV6)
        self.inside(self.vtep, f"""{NO_IPV6} set -e
            ip link add va address {traffic.UNDERLAY_MAC} type veth peer name vb address {traffic.PEER_MAC} netns {self.peer.pid}
            ip address add {traffic.LOCAL}/24 dev va
            ip link set va up
            ip link add vx0 type vxlan id {traffic.VNI} dstport {traffic.DSTPORT} local {traffic.LOCAL} nolearning
            ip link set vx0 up
            ip neigh replace {traffic.PEER} lladdr {traffic.PEER_MAC} dev va nud permanent
            {f'bridge -batch {entries}' if encap else ''}""")
        self.inside(self.peer, "ip link set vb up")
        end, device = (self.peer, "vb") if encap else (self.vtep, "vx0")
        self.inside(end, f"""nft 'add table netdev t
            add chain netdev t c {{ type filter hook ingress device {device} priority 0; policy drop; }}'""")
        self.end, self.device = end, device
        if wanted.capture:
            self.watch = subprocess.Popen(
                ["nsenter", "-t", str(end.pid), "-n", "tcpdump", "-i", device, "-Q", "in", "-U", "-B", "65536", "-w",
                 str(wanted.capture)], stderr=subprocess.DEVNULL)
            self.wait_for("capture", lambda: wanted.capture.exists() and wanted.capture.stat().st_size >= 24)
            time.sleep(0.5)
        begin, entry = (self.vtep, "vx0") if encap else (self.peer, "vb")
        self.launch(f"net_af_packet0,iface={entry},qdisc_bypass=1", ("nsenter", "-t", begin.pid, "-n"))
        self.wait_for("packets", lambda: self.counts()[1] > 0)

    def inside(self, holder, text):
        self.run("nsenter", "-t", holder.pid, "-n", "sh", "-c", text)

    def counts(self):
        """What arrives at the end; a packet on the way from one CPU queue to the next would be lost here."""
        for line in pathlib.Path(f"/proc/{self.end.pid}/net/dev").read_text().splitlines():
            if line.strip().startswith(self.device + ":"):
                packets = int(line.split(":")[1].split()[1])
                return packets, packets, time.monotonic()
        raise Failed(f"kernel: {self.device} is gone")

    def cpu_times(self):
        return None  # softirqs may run in a thread of their own

    def stop(self):
        super().stop()
        for name in ("watch", "vtep", "peer"):
            child = self.__dict__.pop(name, None)
            if child is not None:
                child.terminate()
                child.wait()


ALL = {kind.name: kind for kind in (Testpmd, Ovs, OvsMegaflow, Kernel, Vxplane)}
