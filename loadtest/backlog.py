#!/usr/bin/env python3
"""Queues many messages for a next hop that is down, and shows what the backlog costs Ringmail:
memory while it grows, the time to be ready with it after kill -9, and how it drains when the next
hop comes up. Needs root, the release binary and Debian's postfix package.

    loadtest/backlog.py [--messages 1000000] [--retry 60s]
"""

import argparse
import pathlib
import re
import subprocess
import tempfile
import threading
import time

from beside import ROOT, SINK, Ringmail, Sink, source


class Server:
    def __init__(self, folder, retry):
        config = folder / "ringmail.toml"
        config.write_text(f"""hostname = "bench.example"
data_dir = "{folder}/data"
[[listener]]
protocol = "smtp"
address = "127.0.0.1:{Ringmail.port}"
[smtp]
connections_per_client_max = 10000
[[route]]
domain = "*"
hosts = ["127.0.0.1:{SINK}"]
[retry]
first = "{retry}"
""")
        began = time.monotonic()
        self.process = subprocess.Popen([ROOT / "target/release/ringmail", "serve", "--config", config],
                                        stdout=subprocess.PIPE)
        self.process.stdout.readline()
        self.ready = time.monotonic() - began
        threading.Thread(target=self.discard, daemon=True).start()

    def discard(self):
        for _ in self.process.stdout:
            pass

    def memory(self):
        """RssAnon is the process's own memory; RssFile also counts pages of the store that the
        kernel may take back at any time."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        names = ("VmRSS", "RssAnon", "RssFile", "VmHWM")
        sizes = {name: int(re.search(name + r":\s+(\d+)", status)[1]) // 1024 for name in names}
        return " ".join(f"{name} {size:4} MiB" for name, size in sizes.items())


def fill(server, options):
    done = 0
    while done < options.messages:
        step = min(options.messages - done, max(options.messages // 10, 1))
        part = argparse.Namespace(sessions=100, messages=step, size=4096)
        began = time.monotonic()
        subprocess.run(source(Ringmail.port, part), check=True)
        done += step
        rate = step / (time.monotonic() - began)
        print(f"{done:8} queued, {rate:6.0f}/s  {server.memory()}", flush=True)


def drain(server, sink, options):
    began, last = time.monotonic(), (0, 0.0)
    first = None
    while sink.messages() < options.messages:
        time.sleep(2)
        messages, now = sink.messages(), time.monotonic() - began
        if messages and first is None:
            first = last[1]
        rate = (messages - last[0]) / (now - last[1])
        print(f"{messages:8} delivered, {rate:6.0f}/s  {server.memory()}", flush=True)
        last = (messages, now)
    sink.stop()
    print(f"drained at {options.messages / (last[1] - first):.0f}/s once retries were due")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--retry", default="60s", help="retry.first")
    parser.add_argument("--folder", default="/var/tmp", help="on the disk to be measured")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        folder = pathlib.Path(folder)
        folder.chmod(0o755)
        server = Server(folder, options.retry)
        print(f"ready in {server.ready:.3f} s with nothing queued  {server.memory()}", flush=True)
        fill(server, options)
        server.process.kill()
        server.process.wait()
        # Before the start: what was just accepted is tried at once.
        sink = Sink(folder)
        server = Server(folder, options.retry)
        print(f"ready in {server.ready:.3f} s after kill -9  {server.memory()}", flush=True)
        drain(server, sink, options)
        server.process.terminate()
        server.process.wait()


if __name__ == "__main__":
    main()
