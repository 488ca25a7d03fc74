#!/usr/bin/env python3
"""Compares the webhook with the floor: a constant server on the same stack.

Both servers run in turn, round by round, under the same load, so that a machine whose speed drifts treats them alike.
CPU time is the servers' own, from /proc; requests a second and latencies are what wrk saw. Before that: how long each
takes from exec until /readyz says so, and its memory when nothing was asked yet.

    cargo build --release --bin sandbox-injector --example floor
    benches/compare.py [--rounds 5] [--seconds 5] [--connections 8 64] [--close] [--starts 5]

Needs wrk, openssl and Linux. Prints medians and the ratios webhook/floor.
"""

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
REVIEW = ROOT / "testdata/reviews/01-kruise-sandboxset-pod.json"
PORTS = {"webhook": (19443, 18080), "floor": (19444, 18081)}
LUA = """
local file = io.open("%(body)s", "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = "application/json, */*"
%(close)s
"""


def target_directory():
    metadata = subprocess.run(["cargo", "metadata", "--format-version=1", "--no-deps"], cwd=ROOT, capture_output=True, check=True)
    return pathlib.Path(re.search(r'"target_directory":"([^"]+)"', metadata.stdout.decode()).group(1)) / "release"


def certificate(directory):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", f"{directory}/tls.key", "-out", f"{directory}/tls.crt"],
        check=True, capture_output=True)


def start(name, binaries, certificates, log):
    https, http = PORTS[name]
    common = ["--bind", f"127.0.0.1:{https}", "--metrics-bind", f"127.0.0.1:{http}", "--tls-cert-dir", certificates]
    command = {
        "webhook": [binaries / "sandbox-injector", "serve", "--region-id", "cn-hangzhou", "--lookups", "off", "--drain", "0s"],
        "floor": [binaries / "examples/floor"],
    }[name]
    begun = time.monotonic()
    process = subprocess.Popen(command + common, stderr=log)
    while time.monotonic() < begun + 10:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{http}/readyz")
            return process, (time.monotonic() - begun) * 1e3
        except OSError:
            time.sleep(0.001)
    sys.exit(f"{name} did not become ready")


def stop(process):
    process.terminate()
    process.wait()


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)) / 1024


def load(name, pid, script, connections, seconds):
    before = cpu_seconds(pid)
    output = subprocess.run(
        ["wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--latency", "-s", script,
         f"https://127.0.0.1:{PORTS[name][0]}/mutate?timeout=5s"],
        capture_output=True, check=True).stdout.decode()
    used = cpu_seconds(pid) - before
    if "Non-2xx" in output or "Socket errors" in output:
        print(output, file=sys.stderr)
    requests = int(re.search(r"(\d+) requests in", output).group(1))
    unit = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    latency = lambda percent: (lambda found: float(found.group(1)) * unit[found.group(2)])(
        re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", output))
    return {"cpu µs/request": used / requests * 1e6, "requests/s": requests / seconds, "p50 ms": latency(50), "p99 ms": latency(99),
            "RSS MiB": rss_mib(pid)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--connections", type=int, nargs="+", default=[8, 64])
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--close", action="store_true", help="a new connection for each request")
    flags = parser.parse_args()
    # The log is kept elsewhere: the servers watch the directory of the certificate.
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as certificates:
        certificate(certificates)
        script, body = f"{directory}/post.lua", f"{directory}/review.json"
        # Compact, as the API server sends it.
        pathlib.Path(body).write_text(json.dumps(json.loads(REVIEW.read_text()), separators=(",", ":")))
        close = 'wrk.headers["Connection"] = "close"' if flags.close else ""
        pathlib.Path(script).write_text(LUA % {"body": body, "close": close})
        with open(f"{directory}/log", "wb") as log:
            binaries = target_directory()
            for name in PORTS:
                times = []
                for _ in range(flags.starts):
                    process, elapsed = start(name, binaries, certificates, log)
                    times.append(elapsed)
                    stop(process)
                if times:
                    print(f"{name}: ready {statistics.median(times):.0f} ms after exec, {max(times):.0f} at most, of {len(times)} starts")
            servers = {name: start(name, binaries, certificates, log)[0] for name in PORTS}
            try:
                time.sleep(1)
                print("idle RSS MiB:", {name: round(rss_mib(server.pid), 1) for name, server in servers.items()})
                for connections in flags.connections:
                    figures = {name: [] for name in servers}
                    for _ in range(flags.rounds + 1):
                        for name, server in servers.items():
                            figures[name].append(load(name, server.pid, script, connections, flags.seconds))
                    print(f"\n{connections} connections, {flags.rounds} rounds of {flags.seconds} s"
                          + (", a connection for each request" if flags.close else ""))
                    for figure in figures["webhook"][0]:
                        # The first round warms up.
                        webhook, floor = ([round_[figure] for round_ in figures[name][1:]] for name in servers)
                        ratio = statistics.median(a / b for a, b in zip(webhook, floor))
                        print(f"  {figure:16} webhook {statistics.median(webhook):10.2f}   floor {statistics.median(floor):10.2f}   ratio {ratio:5.2f}")
            finally:
                for server in servers.values():
                    stop(server)


if __name__ == "__main__":
    main()
