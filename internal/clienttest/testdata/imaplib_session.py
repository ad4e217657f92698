"""A session of Python's imaplib: what it is told is compared here, what it leaves
behind by the test that runs it. It may run twice on the same account."""

import imaplib
import ssl
import sys

mode, host, port, ca, secret = sys.argv[1:]
password = open(secret).read()
context = ssl.create_default_context(cafile=ca)


def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


if mode == "imaps":
    m = imaplib.IMAP4_SSL(host, int(port), ssl_context=context, timeout=180)
    ok(m.login("alice", password))
else:
    m = imaplib.IMAP4(host, int(port), timeout=180)
    ok(m.starttls(ssl_context=context))
    ok(m.authenticate("PLAIN", lambda _: b"\0alice\0" + password.encode()))

names = [line.decode().rsplit(" ", 1)[-1].strip('"') for line in ok(m.list())]
assert sorted(names) == ["INBOX", "Work"], names

count = int(ok(m.select("INBOX"))[0])
found = ok(m.search(None, "SUBJECT", '"one"'))[0].split()
if mode == "imaps":
    assert count == 2 and found == [b"1"], (count, found)
    body = ok(m.fetch("1", "(FLAGS BODY.PEEK[])"))[0][1]
    assert b"Gr\xc3\xbc\xc3\x9fe,\r\n.\r\n..two dots\r\none\r\n" in body, body
    ok(m.store("1", "+FLAGS", r"(\Seen \Answered todo)"))
    ok(m.copy("1", "Work"))
    ok(m.store("1", "+FLAGS", r"\Deleted"))
    assert ok(m.expunge()) == [b"1"]
else:
    assert count == 1 and found == [], (count, found)
    assert m.uid("SEARCH", "ALL")[1] == [b"2"]

message = b"Subject: from python\r\n\r\nline\r\n"
ok(m.append("Work", r"(\Flagged)", imaplib.Time2Internaldate(1000000000), message))
ok(m.select("Work", readonly=True))
last = ok(m.search(None, "FLAGGED"))[0].split()[-1].decode()
head, text = ok(m.fetch(last, "(INTERNALDATE RFC822)"))[0]
assert text == message, text
date = imaplib.Internaldate2tuple(head)
import time
assert time.mktime(date) == 1000000000, head
status = ok(m.status("INBOX", "(MESSAGES UNSEEN)"))
assert b"MESSAGES 1" in status[0] and b"UNSEEN 1" in status[0], status
typ, data = m.select("missing")
assert typ == "NO", (typ, data)
typ, data = m.logout()
assert typ == "BYE", (typ, data)
