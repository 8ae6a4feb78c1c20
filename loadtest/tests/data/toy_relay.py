"""A relay for tests: takes a message, sends it on, answers. Its third argument is its fault:
none, lose (each tenth message), double (each tenth), mute (sends nothing on), die (at once)."""

import socket
import socketserver
import sys
import threading

PORT, SINK, FAULT = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
taken, lock = 0, threading.Lock()


class Onward:
    """One connection to the sink, one command at a time."""

    def __init__(self):
        self.file = socket.create_connection(("127.0.0.1", SINK)).makefile("rwb")
        self.answer()
        self.say(b"EHLO toy\r\n")

    def answer(self):
        while self.file.readline()[3:4] == b"-":
            pass

    def say(self, octets):
        self.file.write(octets)
        self.file.flush()
        self.answer()

    def relay(self, envelope, body):
        for octets in [*envelope, b"DATA\r\n", body]:
            self.say(octets)


class Session(socketserver.StreamRequestHandler):
    def handle(self):
        global taken
        onward, envelope = None, []
        self.wfile.write(b"220 toy\r\n")
        for line in iter(self.rfile.readline, b""):
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.wfile.write(b"250-toy\r\n250 PIPELINING\r\n")
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            elif verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                body = b""
                while not body.endswith(b"\r\n.\r\n"):
                    body += self.rfile.readline()
                with lock:
                    taken += 1
                    number = taken
                onward = onward or Onward()
                tenth = number % 10 == 0
                copies = {"lose": 0, "double": 2}.get(FAULT, 1) if tenth else 1
                for _ in range(0 if FAULT == "mute" else copies):
                    onward.relay(envelope, body)
                envelope = []
                self.wfile.write(b"250 taken\r\n")
            else:
                if verb in (b"MAIL", b"RCPT"):
                    envelope.append(line)
                self.wfile.write(b"250 fine\r\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 100


if FAULT == "die":
    sys.exit("the toy dies now")
Server(("127.0.0.1", PORT), Session).serve_forever()
