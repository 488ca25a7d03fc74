#!/usr/bin/env python3
"""Runs the webhook under steady load while everything around it changes, and watches memory and open files.

The configuration is swapped every second and the certificate every ten, as the kubelet swaps them; clients that send
garbage, half a request or nothing come and go. Failed requests, resident memory and descriptors are printed as they
are; the exit code is 1 if a request failed, or if either grew from the first third to the last by more than a fifth.

    cargo build --release --bin sandbox-injector
    benches/soak.py --requests 200000
    benches/soak.py --seconds 600 --rate 500

Needs h2load, openssl and Linux.
"""

import argparse
import json
import os
import pathlib
import random
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from compare import REVIEW, ROOT, certificate, rss_mib, target_directory

HTTPS, HTTP = 19445, 18082


class Volume:
    """A directory written as the kubelet writes it."""

    def __init__(self, path):
        self.path, self.generation = pathlib.Path(path), 0
        self.path.mkdir()

    def write(self, files):
        self.generation += 1
        fresh = self.path / f"..2026_01_01.{self.generation}"
        fresh.mkdir()
        for name, content in files.items():
            (fresh / name).write_text(content)
            link = self.path / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")
        data, old = self.path / "..data", None
        if data.is_symlink():
            old = self.path / os.readlink(data)
        (self.path / "..data_tmp").symlink_to(fresh.name)
        os.rename(self.path / "..data_tmp", data)
        if old:
            shutil.rmtree(old)


def pair(directory):
    with tempfile.TemporaryDirectory() as made:
        certificate(made)
        return {name: (pathlib.Path(made) / name).read_text() for name in ("tls.crt", "tls.key")}


def configuration(version):
    runtimes = {name: json.loads((next(ROOT.glob(f"**/{name}.json"))).read_text()) for name in ("agent-runtime", "csi")}
    runtimes["agent-runtime"]["mainContainer"]["env"].append({"name": "VERSION", "value": str(version)})
    return {name: json.dumps(value) for name, value in runtimes.items()}


def bad_client():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", HTTPS), timeout=2) as tcp:
            kind = random.randrange(5)
            if kind == 0:
                tcp.sendall(random.randbytes(200))
            elif kind == 1:
                return  # connects and leaves
            else:
                with context.wrap_socket(tcp) as tls:
                    tls.sendall([b"GET / HTTP/1.1\r\n", b"POST /mutate HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf",
                                 b"POST /mutate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"][kind - 2])
                    tls.recv(1000) if kind == 4 else None
    except OSError:
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--seconds", type=int, default=0, help="with --rate, how long")
    parser.add_argument("--rate", type=int, default=0, help="requests a second; 0 is as fast as they are answered")
    flags = parser.parse_args()
    clients = 20
    with tempfile.TemporaryDirectory() as directory:
        config, tls = Volume(f"{directory}/config"), Volume(f"{directory}/tls")
        config.write(configuration(0))
        tls.write(pair(directory))
        # Not beside what the server watches.
        with tempfile.TemporaryFile() as log:
            server = subprocess.Popen(
                [target_directory() / "sandbox-injector", "serve", "--region-id", "cn-hangzhou", "--lookups", "off", "--drain", "0s",
                 "--bind", f"127.0.0.1:{HTTPS}", "--metrics-bind", f"127.0.0.1:{HTTP}",
                 "--tls-cert-dir", f"{directory}/tls", "--config-dir", f"{directory}/config"], stderr=log)
            metrics = lambda: urllib.request.urlopen(f"http://127.0.0.1:{HTTP}/metrics").read().decode()
            for _ in range(100):
                try:
                    metrics()
                    break
                except OSError:
                    time.sleep(0.05)
            load = ["h2load", "--h1", "-c", str(clients), "-t", "1", "-d", REVIEW, "-H", "Content-Type: application/json"]
            load += ["--rps", str(flags.rate / clients), "-D", str(flags.seconds)] if flags.rate else ["-n", str(flags.requests)]
            started = time.time()
            loader = subprocess.Popen(load + [f"https://127.0.0.1:{HTTPS}/mutate?timeout=5s"], stdout=subprocess.PIPE)
            samples = []
            while loader.poll() is None:
                time.sleep(1)
                config.write(configuration(len(samples) + 1))
                if len(samples) % 10 == 9:
                    tls.write(pair(directory))
                for _ in range(5):
                    threading.Thread(target=bad_client, daemon=True).start()
                samples.append((rss_mib(server.pid), len(os.listdir(f"/proc/{server.pid}/fd"))))
                if len(samples) % 15 == 0:
                    print(f"{time.time() - started:6.0f} s  RSS {samples[-1][0]:6.1f} MiB  descriptors {samples[-1][1]}", flush=True)
            output = loader.stdout.read().decode()
            text = metrics()
            server.terminate()
            server.wait()
    print(re.search(r"requests: .*", output).group(0))
    print(re.search(r"status codes: .*", output).group(0))
    for name in ("config_reloads_total", "tls_reloads_total", "admission_requests_total"):
        for line in re.findall(rf"^sandbox_injector_{name}.*", text, re.M):
            if not line.endswith(" 0"):
                print(line)
    third = max(len(samples) // 3, 1)
    grew = False
    for index, name in enumerate(("RSS MiB", "descriptors")):
        first, last = (statistics.median(sample[index] for sample in part) for part in (samples[:third], samples[-third:]))
        print(f"{name}: {first:.1f} in the first third, {last:.1f} in the last")
        grew |= last > first * 1.2
    failed = not re.search(r" 0 failed, 0 errored", output) or not re.search(r" 0 3xx, 0 4xx, 0 5xx", output)
    print("failed" if failed or grew else "flat, and no request failed")
    sys.exit(1 if failed or grew else 0)


if __name__ == "__main__":
    main()
