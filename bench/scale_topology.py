#!/usr/bin/env python3
"""Writes a large topology on stdout: segments, FDB entries, remotes of one flood list, next hops.

    bench/scale_topology.py --fdb 1000000 > big.yaml && time vxplane --check big.yaml
"""
import argparse


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--segments", type=int, default=10_000)
    words.add_argument("--fdb", type=int, default=1_000_000, help="entries over all segments")
    words.add_argument("--remotes", type=int, default=4_096, help="of the first segment's flood list")
    words.add_argument("--next-hops", type=int, default=1_000)
    words.add_argument("--socket", default="/run/vxplane/scale.sock")
    asked = words.parse_args()

    def network(number):
        return f"172.{16 + number // 256 % 4}.{number % 256}"

    print("version: 1")
    print(f"system: {{hugepages: off, memory: 2048M, socket: {asked.socket}, fdb-capacity: {asked.fdb + 100_000},"
          " tunnel-capacity: 65536}")
    print('ports:\n  up: {device: "net_null0", role: underlay, addresses: [10.0.0.1/16]}\nroutes:')
    for number in range(asked.next_hops):
        print(f"  - {{to: {network(number)}.0/24, via: 10.0.{1 + number // 250}.{1 + number % 250}}}")
    print("vxlans:")
    each = asked.fdb // asked.segments
    for segment in range(asked.segments):
        print(f"  v{segment}:\n    id: {segment + 1}\n    local: 10.0.0.1\n    learning: false\n    fdb:")
        if segment == 0:
            remotes = (f"{network(number)}.{1 + number // 1024}" for number in range(asked.remotes))
            print('      - {mac: "00:00:00:00:00:00", dst: [' + ", ".join(remotes) + "]}")
        for number in range(each):
            mac = ":".join(f"{byte:02x}" for byte in (0x0200 << 32 | segment * each + number).to_bytes(6, "big"))
            print(f'      - {{mac: "{mac}", dst: 172.{16 + number % 4}.{(number * 7 + segment) % 232}.1}}')


if __name__ == "__main__":
    main()
