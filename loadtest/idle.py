#!/usr/bin/env python3
"""Opens many connections to Ringmail, lets each have its greeting, and shows the memory they cost.

    loadtest/idle.py [--connections 10000]
"""

import argparse
import pathlib
import resource
import socket
import tempfile
import time

from backlog import Server
from beside import Ringmail


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=10000)
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        server = Server(pathlib.Path(folder), "5m")
        print(f"     0 connections  {server.memory()}")
        clients = [socket.create_connection(("127.0.0.1", Ringmail.port))
                   for _ in range(options.connections)]
        greeted = sum(client.recv(200).startswith(b"220 ") for client in clients)
        time.sleep(1)
        print(f"{greeted:6} connections  {server.memory()}")
        server.process.kill()
        server.process.wait()


if __name__ == "__main__":
    main()
