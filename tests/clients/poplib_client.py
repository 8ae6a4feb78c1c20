"""Every command that Python's poplib has, and what each must bring.

Called with the host, the port, the user and the password. The inbox holds three messages with the
subjects "letter 1" to "letter 3" and the lines "one line", ".a dot", ".".
"""

import poplib
import sys

host, port, user, password = sys.argv[1:]


def connect(login=True):
    client = poplib.POP3(host, int(port), timeout=30)
    client.set_debuglevel(1)
    if login:
        client.user(user)
        client.pass_(password)
    return client


def refused(call):
    try:
        answer = call()
    except poplib.error_proto as error:
        return str(error)
    raise AssertionError(answer)


client = connect(login=False)
assert client.getwelcome().startswith(b"+OK")
capabilities = client.capa()
assert "UIDL" in capabilities and "TOP" in capabilities, capabilities
assert "USER" in capabilities, capabilities
refused(client.stat)
client.user(user)
refused(lambda: client.pass_("wrong"))
client.user(user)
client.pass_(password)

count, octets = client.stat()
assert count == 3
sizes = [int(line.split()[1]) for line in client.list()[1]]
assert len(sizes) == 3 and sum(sizes) == octets, (sizes, octets)
assert client.list(2).split()[1:] == [b"2", b"%d" % sizes[1]]
ids = [line.split()[1] for line in client.uidl()[1]]
assert len(set(ids)) == 3 and all(0 < len(id) <= 70 for id in ids), ids
assert client.uidl(3).split()[2] == ids[2]
for number in (1, 2, 3):
    lines = client.retr(number)[1]
    assert b"Subject: letter %d" % number in lines, lines
    assert lines[-3:] == [b"one line", b".a dot", b"."], lines
    assert sum(len(line) + 2 for line in lines) == sizes[number - 1], lines
assert client.top(1, 0)[1][-1] == b""
assert client.top(1, 2)[1][-3:] == [b"", b"one line", b".a dot"]
refused(lambda: client.retr(4))
refused(lambda: client.retr(0))
client.noop()

# What is marked comes back by RSET, and when the connection is lost.
client.dele(2)
refused(lambda: client.retr(2))
refused(lambda: client.dele(2))
assert client.stat() == (2, octets - sizes[1])
assert [line.split()[0] for line in client.list()[1]] == [b"1", b"3"]
client.rset()
assert client.stat() == (3, octets)
client.dele(1)
client.close()
client = connect()
assert client.stat()[0] == 3
client.dele(2)
client.quit()

client = connect()
assert [line.split()[1] for line in client.uidl()[1]] == [ids[0], ids[2]]
if "UTF8" in capabilities:
    client.quit()
    client = connect(login=False)
    client.utf8()
    client.user(user)
    client.pass_(password)
    assert client.stat()[0] == 2
for number in (1, 2):
    client.dele(number)
client.quit()
client = connect()
assert client.stat() == (0, 0)
assert client.list()[1] == []
client.quit()
print("all done")
