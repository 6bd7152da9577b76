"""TCP between two namespaces, checked byte by byte: an echo server and a client that compares."""
import hashlib
import os
import socket
import threading
import time


class Echo:
    """An echo server inside a namespace, on a port of its choice."""

    def __init__(self, namespace, address):
        self.address = address
        self.family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.server = namespace.entered(self.listen)
        self.port = self.server.getsockname()[1]
        self.open = []
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def listen(self):
        server = socket.socket(self.family)
        server.bind((self.address, 0))
        server.listen()
        return server

    def serve(self):
        try:
            while True:
                link, _ = self.server.accept()
                self.open.append(link)
                threading.Thread(target=self.echo, args=(link,), daemon=True).start()
        except OSError:
            pass

    @staticmethod
    def echo(link):
        try:
            while data := link.recv(1 << 16):
                link.sendall(data)
        except OSError:
            pass
        link.close()

    def connect(self, namespace, timeout=10):
        def make():
            link = socket.socket(self.family)
            link.settimeout(timeout)
            link.connect((self.address, self.port))
            return link
        return namespace.entered(make)

    def round_trip(self, namespace, megabytes, pause=0.0, timeout=30):
        """Sends random bytes, reads them back, and returns how many came back equal."""
        link = self.connect(namespace, timeout)
        sent, received, count = hashlib.sha256(), hashlib.sha256(), 0

        def read():
            nonlocal count
            try:
                while count < megabytes << 20 and (data := link.recv(1 << 16)):
                    received.update(data)
                    count += len(data)
            except OSError:
                pass  # the count tells
        reader = threading.Thread(target=read)
        reader.start()
        for _ in range(megabytes * 16):
            block = os.urandom(1 << 16)
            sent.update(block)
            link.sendall(block)
            time.sleep(pause)
        reader.join(timeout)
        link.close()
        assert sent.digest() == received.digest(), f"{count} bytes came back, not those that were sent"
        return count

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        for link in self.open:
            link.close()
