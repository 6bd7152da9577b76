"""Two tenants with the same addresses behind one public uplink, for the tests of connections and
address translation:

    red-web, red-db, blue-web, blue-db (each tenant has 10.0.0.5 and 10.0.0.6)
        -- vxplane, master 192.0.2.1 -- gateway 192.0.2.11 -- internet 198.51.100.9

The webs have public addresses (1:1), the others leave with the address of the master.
"""
import socket
import threading

from frames import TCP, Raw
from ipvlan import Ipvlan
from lab import wait_until

INTERNET, MASTER, GATEWAY = "198.51.100.9", "192.0.2.1", "192.0.2.11"
PUBLIC = {"red-web": "192.0.2.210", "blue-web": "192.0.2.211"}
PRIVATE = {"red-web": "10.0.0.5", "red-db": "10.0.0.6", "blue-web": "10.0.0.5", "blue-db": "10.0.0.6"}


class Tenants(Ipvlan):
    def __init__(self, lab, mode="l3s", check_source=True, **words):
        super().__init__(lab, mode, **({"masquerade": True, "masquerade_ports": "20000-59999"} | words))
        self.gateway = self.peers[0].namespace
        self.internet = lab.namespace("internet")
        lab.veth(self.internet, "eth0", self.gateway, "inet0")
        self.internet.up("eth0", f"{INTERNET}/24")
        self.internet.ip("route add default via 198.51.100.1")
        self.gateway.up("inet0", "198.51.100.1/24")
        self.gateway.run("sysctl -qw net.ipv4.ip_forward=1")
        for name, address in PRIVATE.items():
            nat = {"nat": [{"public": PUBLIC[name]}]} if name in PUBLIC else {}
            self.slave(name, f"{address}/24", gateway="10.0.0.1", vrf=name.split("-")[0],
                       check_source=check_source, **nat)
        self.topology["routes"] = [{"to": "default", "via": GATEWAY}]

    def settle(self):
        super().settle()
        for name in PRIVATE:
            wait_until(lambda: self.netns(name).ping(INTERNET, count=1, wait=0.5), 30, f"{name} reaches the internet")

    def connections(self, **words):
        return self.daemon.rpc("conntrack.show", **words)["entries"]

    def counted(self):
        """Figures of the table of connections."""
        return self.daemon.rpc("conntrack.count")[0]


class Who:
    """Tells in HTTP who answers and whom it sees: "NAME ADDRESS"."""

    def __init__(self, namespace, name, address="0.0.0.0", port=80):
        self.name = name
        self.running = True

        def listen():
            server = socket.socket()
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, port))
            server.listen(128)
            return server
        self.server = namespace.entered(listen)
        self.open = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while self.running:
            try:
                link, (address, _) = self.server.accept()
            except OSError:
                return
            self.open.append(link)
            threading.Thread(target=self.answer, args=(link, address), daemon=True).start()

    def answer(self, link, address):
        try:
            if link.recv(4096):
                link.sendall(b"HTTP/1.0 200 OK\r\n\r\n%s %s\n" % (self.name.encode(), address.encode()))
                link.close()
        except OSError:
            pass

    def close(self):
        self.running = False
        self.server.shutdown(socket.SHUT_RDWR)
        for link in [self.server, *self.open]:
            link.close()


def curl(namespace, address, port=80, within=10):
    """[name, address seen] of who answers there, or None."""
    text = namespace.run(f"curl -s -m {within} http://{address}:{port}/", check=False, timeout=within + 10)
    return text.split() or None


def connect(namespace, address, port, timeout=10.0, source_port=0):
    """A TCP connection from that namespace."""
    def make():
        link = socket.socket()
        link.settimeout(timeout)
        if source_port:
            link.bind(("", source_port))
        link.connect((address, port))
        return link
    return namespace.entered(make)


def segment_of(sport, dport, mark, flags="PA", seq=1000):
    """A TCP segment whose payload can be found again."""
    return TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=1, window=1000) / Raw(mark)
