#!/usr/bin/env python3
"""Measures a durable relay between Postfix's smtp-source and smtp-sink: Ringmail, Postfix, or both
in turn. Needs root, the release binary (cargo build --release) and Debian's postfix package.

    loadtest/beside.py [--rounds 3] [--messages 20000] [--sessions 100] [--size 4096] [SERVER ...]

A round ends when the sink has counted every message. CPU is that of the relay's process tree, from
/proc; syncs are counted in a run of their own under strace, which slows the server down.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SINK, TICK = 2726, os.sysconf("SC_CLK_TCK")


class Sink:
    """smtp-sink, discarding and counting."""

    def __init__(self, folder):
        self.log = open(folder / "sink.log", "w+b")
        self.process = subprocess.Popen(
            ["smtp-sink", "-u", "postfix", "-c", f"127.0.0.1:{SINK}", "1000"],
            stdout=self.log, stderr=subprocess.STDOUT)

    def messages(self):
        size = os.fstat(self.log.fileno()).st_size
        tail = os.pread(self.log.fileno(), 400, max(0, size - 400))
        counts = re.findall(rb"mesg=(\d+)", tail)
        return int(counts[-1]) if counts else 0

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Ringmail:
    port = 2600

    def __init__(self, folder):
        config = folder / "ringmail.toml"
        config.write_text(f"""hostname = "bench.example"
data_dir = "{folder}/data"
[[listener]]
protocol = "smtp"
address = "127.0.0.1:{self.port}"
[smtp]
connections_per_client_max = 10000
[[route]]
domain = "*"
hosts = ["127.0.0.1:{SINK}"]
""")
        binary = ROOT / "target/release/ringmail"
        self.process = subprocess.Popen([binary, "serve", "--config", config],
                                        stdout=open(folder / "ringmail.log", "wb"))

    def pids(self):
        return [self.process.pid]

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


class Postfix:
    """Tuned as its manual advises for bulk relaying; durable, as it always is."""

    port = 2601

    def __init__(self, folder):
        self.etc, queue, data = folder / "etc", folder / "queue", folder / "data"
        for path in (self.etc, queue, data):
            path.mkdir()
        folder.chmod(0o755)
        shutil.chown(data, "postfix")
        (self.etc / "main.cf").write_text(f"""compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = bench.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{SINK}
smtp_tls_security_level = none
smtpd_tls_security_level = none
default_process_limit = 200
smtpd_client_connection_count_limit = 0
default_destination_concurrency_limit = 100
initial_destination_concurrency = 50
qmgr_message_active_limit = 60000
in_flow_delay = 0
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps =
local_recipient_maps =
smtpd_peername_lookup = no
disable_dns_lookups = yes
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
""")
        master = pathlib.Path("/usr/share/postfix/master.cf.dist").read_text()
        master = re.sub(r"(?m)^smtp +inet .*$", f"127.0.0.1:{self.port} inet n - n - - smtpd", master)
        master = re.sub(r"(?m)^((?!#)\S+ +\S+ +[-ny] +- +)y", r"\1n", master)
        master = re.sub(r"(?m)^#postlog", "postlog", master)
        (self.etc / "master.cf").write_text(master)
        for verb in (["post-install", "create-missing"], ["start"]):
            subprocess.run(["postfix", "-c", self.etc, *verb], check=True, capture_output=True)
        self.pid = int((queue / "pid/master.pid").read_text())

    def pids(self):
        tree, found = {}, [self.pid]
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            tree.setdefault(int(fields[1]), []).append(int(path.parent.name))
        for pid in found:
            found.extend(tree.get(pid, []))
        return found

    def stop(self):
        subprocess.run(["postfix", "-c", self.etc, "stop"], capture_output=True)


def cpu_seconds(pids):
    """User and system time, of children that have ended too."""
    total = 0
    for pid in pids:
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15])
    return total / TICK


def wait_for_port(port):
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return
        except OSError:
            time.sleep(0.02)
    sys.exit(f"nobody listens on port {port}")


def source(port, options):
    return ["smtp-source", "-d", "-s", str(options.sessions), "-m", str(options.messages), "-l",
            str(options.size), "-f", "a@src.example", "-t", "b@dst.example", f"127.0.0.1:{port}"]


def round_of(server_class, options):
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        sink, server = Sink(folder), server_class(folder)
        wait_for_port(server.port)
        try:
            before, began = cpu_seconds(server.pids()), time.monotonic()
            subprocess.run(source(server.port, options), check=True, timeout=600)
            accepted = time.monotonic() - began
            while sink.messages() < options.messages and time.monotonic() - began < 600:
                time.sleep(0.005)
            took, missing = time.monotonic() - began, options.messages - sink.messages()
            cpu = cpu_seconds(server.pids()) - before
        finally:
            server.stop()
            sink.stop()
    if missing:
        sys.exit(f"{server_class.__name__}: {missing} messages are missing")
    return (options.messages / took, options.messages / accepted, cpu / options.messages * 1e6)


def syscalls(options):
    """Ringmail's system calls and syncs a message, under strace."""
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        folder = pathlib.Path(folder)
        sink, server = Sink(folder), Ringmail(folder)
        wait_for_port(server.port)
        table = folder / "strace.txt"
        trace = subprocess.Popen(["strace", "-c", "-f", "-o", table, "-p", str(server.process.pid)],
                                 stderr=subprocess.DEVNULL)
        time.sleep(1)
        subprocess.run(source(server.port, options), check=True, timeout=600)
        while sink.messages() < options.messages:
            time.sleep(0.01)
        trace.send_signal(signal.SIGINT)
        trace.wait()
        server.stop()
        sink.stop()
        rows = [line.split() for line in table.read_text().splitlines()]
        return {row[-1]: int(row[3]) / options.messages for row in rows
                if len(row) >= 5 and row[3].isdigit()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("servers", nargs="*", default=["ringmail", "postfix"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=20000)
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--folder", default="/var/tmp", help="on the disk to be measured")
    parser.add_argument("--strace", action="store_true", help="count Ringmail's system calls")
    options = parser.parse_args()
    if options.strace:
        for name, calls in sorted(syscalls(options).items(), key=lambda item: -item[1])[:15]:
            print(f"{name:16} {calls:8.3f} a message")
        return
    servers = {"ringmail": Ringmail, "postfix": Postfix}
    results = {name: [] for name in options.servers}
    for _ in range(options.rounds):
        for name in options.servers:
            results[name].append(round_of(servers[name], options))
            rate, accepted, cpu = results[name][-1]
            print(f"{name:9} {rate:8.0f} relayed/s {accepted:8.0f} accepted/s "
                  f"{cpu:7.1f} us CPU a message", flush=True)
    medians = {name: [statistics.median(column) for column in zip(*rows)]
               for name, rows in results.items()}
    for name, (rate, accepted, cpu) in medians.items():
        print(f"median    {name}: {rate:.0f} relayed/s, {accepted:.0f} accepted/s, {cpu:.1f} us CPU")
    if {"ringmail", "postfix"} <= medians.keys():
        ratio = medians["ringmail"][0] / medians["postfix"][0]
        print(f"ratio     {ratio:.1f} times Postfix's rate")


if __name__ == "__main__":
    main()
