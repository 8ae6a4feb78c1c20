"""An IMAP server for tests: accounts in memory, and just what `ringload imap` asks. SEARCH is
refused; with `die` as its second argument it ends as soon as it is asked to LIST."""

import os
import re
import socketserver
import sys
import threading

PORT, FAULT = int(sys.argv[1]), sys.argv[2]
# By user: how many messages there are, and who waits to be told of more.
counts, idlers, lock = {}, {}, threading.Lock()

FETCHED = b"* %d FETCH (UID %d FLAGS () BODY[] {3}\r\nhi\n)\r\n"


class Session(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def say(self, octets):
        self.wfile.write(octets)

    def handle(self):
        self.say(b"* OK toy\r\n")
        for line in iter(self.rfile.readline, b""):
            tag, verb, rest = (line.strip().split(b" ", 2) + [b""])[:3]
            verb = (verb + b" " + rest.split(b" ")[0] if verb == b"UID" else verb).upper()
            if not self.answer(tag, verb, rest):
                return

    def answer(self, tag, verb, rest):
        code = b""
        if verb == b"LOGIN":
            self.user = rest
            with lock:
                counts.setdefault(self.user, 0)
        elif verb == b"CAPABILITY":
            self.say(b"* CAPABILITY IMAP4rev1 IDLE\r\n")
        elif verb == b"LIST":
            if FAULT == "die":
                print("the toy dies now", flush=True)
                os._exit(1)
            self.say(b'* LIST () "/" INBOX\r\n')
        elif verb == b"SELECT":
            count = counts[self.user]
            self.say(b"* %d EXISTS\r\n* OK [UIDNEXT %d] next\r\n" % (count, count + 1))
        elif verb == b"UID FETCH":
            for number in re.findall(rb"\d+", rest)[:1]:
                self.say(FETCHED % (int(number), int(number)))
        elif verb == b"APPEND":
            code = self.append(rest)
        elif verb == b"IDLE":
            self.idle()
        elif verb == b"LOGOUT":
            self.say(b"* BYE\r\n" + tag + b" OK bye\r\n")
            return False
        elif verb.endswith(b"SEARCH"):
            self.say(tag + b" NO the toy is blind\r\n")
            return True
        self.say(tag + b" OK " + code + b"done\r\n")
        return True

    def append(self, rest):
        size = int(re.search(rb"\{(\d+)", rest)[1])
        if not rest.endswith(b"+}"):
            self.say(b"+ go on\r\n")
        self.rfile.read(size)
        self.rfile.readline()
        with lock:
            counts[self.user] += 1
            count = counts[self.user]
            told = list(idlers.get(self.user, []))
        for idler in told:
            idler.say(b"* %d EXISTS\r\n" % count)
        return b"[APPENDUID 1 %d] " % count

    def idle(self):
        with lock:
            idlers.setdefault(self.user, []).append(self)
        self.say(b"+ idling\r\n")
        self.rfile.readline()
        with lock:
            idlers[self.user].remove(self)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 100


Server(("127.0.0.1", PORT), Session).serve_forever()
