"""Every command that Python's imaplib has, and what each must bring.

Called with the host, the port, the user and the password. The inbox holds one message, with the
subject "letter first". What is said is on standard error.
"""

import imaplib
import re
import sys
import time

host, port, user, password = sys.argv[1:]
imaplib.Debug = 4
MESSAGE = (
    b"From: Alice <alice@sender.example>\r\nTo: robin@example.org\r\n"
    b"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?= number %d\r\n"
    b"Message-ID: <number-%d@sender.example>\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
    b"The body of number %d,\r\nwith gr\xc3\xbc\xc3\x9fe.\r\n"
)


def message(number):
    return MESSAGE % (number, number, number)


def connect(login=True):
    client = imaplib.IMAP4(host, int(port), timeout=30)
    if login:
        done(client.login(user, password))
    return client


def done(answer):
    """The data of an answer that must be OK."""
    kind, data = answer
    assert kind == "OK", answer
    return data


def refused(call):
    """What must not be done, whatever way imaplib tells it."""
    try:
        kind, data = call()
    except imaplib.IMAP4.error as error:
        return str(error)
    assert kind == "NO", (kind, data)
    return data


def offers(client, extension):
    """What is offered behind the login; imaplib remembers what was offered before it."""
    return extension.encode() in done(client.capability())[0].split()


def numbers(data):
    return [int(number) for number in data[0].split()]


def folders(data):
    return sorted(line.rsplit(b' "/" ', 1)[1].strip(b'"') for line in data if line)


def logging_in():
    client = connect(login=False)
    assert "IMAP4REV1" in client.capabilities, client.capabilities
    done(client.capability())
    done(client.noop())
    refused(lambda: client.login(user, "wrong"))
    refused(lambda: client.select())
    plain = b"\0" + user.encode() + b"\0" + password.encode()
    done(client.authenticate("PLAIN", lambda _: plain))
    assert client.state == "AUTH"
    assert client.logout()[0] == "BYE"
    client = connect(login=False)
    words = iter([user.encode(), password.encode()])
    done(client.authenticate("LOGIN", lambda _: next(words)))
    client.logout()


def naming(client):
    there = folders(done(client.list()))
    assert b"INBOX" in there, there
    for name in ("Work", "Work/2026", '"With space"', '"Say &AOQ-h"'):
        done(client.create(name))
    refused(lambda: client.create("Work"))
    listed = there + [b"Say &AOQ-h", b"With space", b"Work", b"Work/2026"]
    assert folders(done(client.list())) == sorted(listed), client.list()
    assert folders(done(client.list('""', "Work/%"))) == [b"Work/2026"]
    assert folders(done(client.list("Work/", "*"))) == [b"Work/2026"]
    assert done(client.list('""', '""'))[0].startswith(b'(\\Noselect) "/"')
    assert done(client.list('""', "nothing*")) == [None]
    done(client.subscribe("Work"))
    done(client.subscribe("Work/2026"))
    done(client.unsubscribe("Work"))
    assert folders(done(client.lsub('""', "Work*"))) == [b"Work/2026"]
    done(client.unsubscribe("Work/2026"))
    assert b'(("" "/"))' in done(client.namespace())[0]
    done(client.rename("Work", "Office"))
    assert folders(done(client.list('""', "Office*"))) == [b"Office", b"Office/2026"]
    done(client.delete("Office/2026"))
    refused(lambda: client.delete("Office/2026"))
    refused(lambda: client.select("Office/2026"))


def appending(client):
    when = imaplib.Time2Internaldate(1_700_000_000)
    for number in range(1, 6):
        flags = r"(\Seen \Flagged)" if number == 2 else None
        done(client.append("Office", flags, when, message(number)))
    assert "TRYCREATE" in str(refused(lambda: client.append("Nowhere", None, None, message(1))))
    status = done(client.status("Office", "(MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN)"))[0]
    assert re.search(rb"MESSAGES 5\b", status) and re.search(rb"UNSEEN 4\b", status), status
    assert re.search(rb"UIDNEXT 6\b", status), status


def fetching(client):
    assert done(client.select("Office")) == [b"5"]
    assert client.response("UIDVALIDITY")[1][0].isdigit()
    assert b"\\*" in client.response("PERMANENTFLAGS")[1][0]
    fetched = done(client.fetch("1:*", "(UID RFC822.SIZE FLAGS INTERNALDATE)"))
    assert len(fetched) == 5
    for number, line in enumerate(fetched, 1):
        assert b"UID %d" % number in line, line
        assert b"RFC822.SIZE %d" % len(message(number)) in line, line
        assert time.mktime(imaplib.Internaldate2tuple(line)) == 1_700_000_000, line
    assert b"\\Flagged" in fetched[1]
    assert done(client.fetch("3", "(BODY.PEEK[])"))[0][1] == message(3)
    header, body = message(3).split(b"\r\n\r\n")
    assert done(client.fetch("3", "(BODY.PEEK[TEXT]<4.6>)"))[0][1] == body[4:10]
    assert done(client.fetch("3", "(BODY.PEEK[1])"))[0][1] == body
    envelope = done(client.fetch("3", "(ENVELOPE)"))[0]
    assert b'"=?utf-8?q?gr=C3=BC=C3=9Fe?= number 3"' in envelope, envelope
    assert b'(("Alice" NIL "alice" "sender.example"))' in envelope, envelope
    structure = done(client.fetch("3", "(BODYSTRUCTURE)"))[0].lower()
    assert b'"text" "plain" ("charset" "utf-8")' in structure, structure
    assert b'"8bit" %d 2' % len(body) in structure or b'"7bit" %d 2' % len(body) in structure
    fields = done(client.fetch("3", "(BODY.PEEK[HEADER.FIELDS.NOT (FROM TO SUBJECT)])"))[0][1]
    assert fields.startswith(b"Message-ID: <number-3") and fields.endswith(b"\r\n\r\n"), fields
    whole = done(client.fetch("4", "(RFC822.HEADER RFC822.TEXT)"))
    header, body = message(4).split(b"\r\n\r\n")
    assert [part[1] for part in whole[:2]] == [header + b"\r\n\r\n", body], whole
    assert b"\\Seen" in done(client.fetch("4", "(FLAGS)"))[0]
    assert done(client.uid("FETCH", "99", "(FLAGS)")) == [None]


def searching(client):
    for wanted, criteria in (
        ([1, 2, 3, 4, 5], ("ALL",)),
        ([2], ("FLAGGED",)),
        ([1, 3, 5], ("UNSEEN",)),
        ([3], ("SUBJECT", '"number 3"')),
        ([1, 2], ("1:2", "NOT", "DELETED")),
        ([2, 5], ("OR", "FLAGGED", "BODY", '"number 5"')),
        ([1, 2, 3, 4, 5], ("FROM", "ALICE", "LARGER", "10", "SMALLER", "10000")),
        ([1, 2, 3, 4, 5], ("SINCE", "13-Nov-2023", "BEFORE", "16-Nov-2023")),
        ([], ("SINCE", "1-Jan-2024")),
        ([4], ("HEADER", "Message-ID", "number-4")),
        ([], ("KEYWORD", "Nobody")),
    ):
        assert numbers(done(client.search(None, *criteria))) == wanted, criteria
    client.literal = "grüße".encode()
    assert numbers(done(client.uid("SEARCH", "CHARSET", "UTF-8", "SUBJECT"))) == [1, 2, 3, 4, 5]
    client.literal = "GRÜSSE nobody wrote".encode()
    assert numbers(done(client.search("UTF-8", "TEXT"))) == []
    assert numbers(done(client.uid("SEARCH", "UID", "2:3"))) == [2, 3]
    if offers(client, "SORT"):
        assert len(numbers(done(client.sort("REVERSE DATE", "UTF-8", "ALL")))) == 5
    if offers(client, "THREAD=REFERENCES"):
        done(client.thread("REFERENCES", "UTF-8", "ALL"))


def changing(client):
    flags = done(client.store("1:2", "+FLAGS", r"(\Answered $Later)"))
    assert len(flags) == 2 and all(b"$Later" in line for line in flags), flags
    assert b"\\Answered" not in done(client.store("1", "-FLAGS", r"(\Answered)"))[0]
    assert done(client.store("1", "FLAGS.SILENT", r"(\Draft)")) == [None]
    assert b"\\Draft" in done(client.fetch("1", "(FLAGS)"))[0]
    done(client.copy("2:3", "INBOX"))
    refused(lambda: client.copy("2", "Nowhere"))
    done(client.uid("STORE", "3", "+FLAGS", r"(\Deleted)"))
    assert done(client.expunge()) == [b"3"]
    assert numbers(done(client.uid("SEARCH", "ALL"))) == [1, 2, 4, 5]
    if offers(client, "UIDPLUS"):
        done(client.store("1:2", "+FLAGS", r"(\Deleted)"))
        done(client.uid("EXPUNGE", "2"))
        assert numbers(done(client.uid("SEARCH", "ALL"))) == [1, 4, 5]
        done(client.store("1", "-FLAGS", r"(\Deleted)"))
    if offers(client, "MOVE"):
        done(client.uid("MOVE", "4", '"With space"'))
        assert numbers(done(client.uid("SEARCH", "ALL"))) == [1, 5]
    done(client.store("1", "+FLAGS", r"(\Deleted)"))
    done(client.close())
    refused(lambda: client.check())
    assert done(client.select("Office", readonly=True)) == [b"1"]
    done(client.check())
    # Dovecot says OK to this, and ignores it.
    client.store("1", "+FLAGS", r"(\Deleted)")
    assert b"\\Deleted" not in done(client.fetch("1", "(FLAGS)"))[0]
    done(client.unselect())
    done(client.select())
    subjects = done(client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
    subjects = [part[1] for part in subjects if isinstance(part, tuple)]
    assert subjects[0] == b"Subject: letter first\r\n\r\n", subjects
    assert len(subjects) == 3 and b"number 3" in subjects[2], subjects


def watching(client):
    """IDLE, by hand: this imaplib may be older than its `idle`."""
    if not offers(client, "IDLE"):
        return
    done(client.select())
    tag = client._new_tag()
    client.send(tag + b" IDLE\r\n")
    line = client.readline()
    while not line.startswith(b"+"):
        line = client.readline()
    other = connect()
    done(other.append("INBOX", None, None, message(9)))
    line = client.readline()
    while b" EXISTS" not in line:
        line = client.readline()
    assert line == b"* 4 EXISTS\r\n", line
    done(other.select())
    done(other.store("4", "+FLAGS", r"(\Flagged)"))
    while b" FETCH " not in line:
        line = client.readline()
    assert line.startswith(b"* 4 FETCH (") and b"\\Flagged" in line, line
    done(other.store("4", "+FLAGS", r"(\Deleted)"))
    done(other.expunge())
    while b" EXPUNGE" not in line:
        line = client.readline()
    assert line == b"* 4 EXPUNGE\r\n", line
    client.send(b"DONE\r\n")
    while not line.startswith(tag):
        line = client.readline()
    assert b" OK" in line, line
    client.tagged_commands.pop(tag, None)
    other.logout()


def extending(client):
    if offers(client, "ENABLE") and offers(client, "UTF8=ACCEPT"):
        with connect() as other:
            done(other.enable("UTF8=ACCEPT"))
            done(other.create('"Grüße"'))
            assert 'Grüße'.encode() in b"".join(done(other.list('""', '"Gr*"')))
            utf8 = "Subject: grüße\r\n\r\nof UTF-8\r\n".encode()
            # By the name's other form: imaplib spoils a message that it appends in this state.
            done(client.append('"Gr&APwA3w-e"', None, None, utf8))
            done(other.select('"Grüße"'))
            assert done(other.fetch("1", "(BODY.PEEK[])"))[0][1] == utf8
            done(other.unselect())
            done(other.delete('"Grüße"'))
    if offers(client, "QUOTA"):
        roots, quotas = done(client.getquotaroot("INBOX"))
        root = roots[0].split(b" ", 1)[1].decode()
        if quotas[0] is not None:
            assert b"STORAGE" in quotas[0], quotas
            done(client.getquota(root))
        refused(lambda: client.setquota(root, "(STORAGE 1)"))
    if offers(client, "ID"):
        done(client.xatom("ID", '("name" "imaplib")'))
    done(client.recent())
    refused(lambda: client.xatom("XNONSENSE"))


first = connect(login=False)
first.logout()
logging_in()
with connect() as client:
    for part in (naming, appending, fetching, searching, changing, watching, extending):
        print(part.__name__, flush=True)
        part(client)
print("all done")
