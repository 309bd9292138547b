"""The small servers and clients of the lab that no package brings in the shape we need.

usage: servers.py listen ADDRESS PORT... | ftp ADDRESS | smtp ADDRESS | ssh ADDRESS | ntp ADDRESS | ask-ntp ADDRESS COUNT SECONDS | stream ADDRESS PORT
"""
import itertools
import socket
import socketserver
import struct
import sys
import threading
import time


def listen(address, *ports):
    """Accepts on every port, says hello, hangs up."""
    for port in ports:
        threading.Thread(target=greet, args=(address, int(port))).start()


def greet(address, port):
    """One listening port; a peer that is gone before we greet it is no error."""
    server = socket.create_server((address, port), backlog=64)
    while True:
        peer, _ = server.accept()
        try:
            peer.sendall(b"hello\r\n")
        except OSError:
            pass
        peer.close()


class FtpSession(socketserver.StreamRequestHandler):
    """Enough of RFC 959 and RFC 2428 for curl to download files over passive data connections."""

    def handle(self):
        self.say("220 lab")
        data_server = None
        for line in self.rfile:
            verb, _, argument = line.decode("ascii", "replace").strip().partition(" ")
            verb = verb.upper()
            if verb in ("EPSV", "PASV"):
                data_server = socket.create_server((self.server.server_address[0], 0))
                port = data_server.getsockname()[1]
                octets = ",".join(self.server.server_address[0].split(".") + [str(port >> 8), str(port & 255)])
                self.say(f"229 Entering Extended Passive Mode (|||{port}|)" if verb == "EPSV"
                         else f"227 Entering Passive Mode ({octets})")
            elif verb == "RETR" and data_server:
                self.say("150 here it comes")
                peer, _ = data_server.accept()
                peer.sendall(b"the same line of a lab file, again and again\n" * 200)
                peer.close()
                data_server.close()
                self.say("226 done")
            elif verb == "SIZE":
                self.say("213 9000")
            elif verb == "PWD":
                self.say('257 "/"')
            elif verb == "PASS":
                self.say("530 no" if argument == "wrong" else "230 welcome")
            elif verb == "USER":
                self.say("331 password")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("200 ok")

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")


def ftp(address):
    """An FTP server on port 21."""
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer((address, 21), FtpSession).serve_forever()


class SmtpSession(socketserver.StreamRequestHandler):
    """Enough of RFC 5321 and RFC 4954 for a client to be refused and to send a message."""

    def handle(self):
        self.say("220 mail.lab.example ESMTP lab")
        for line in self.rfile:
            verb = line.decode("ascii", "replace").strip().upper()
            if verb.startswith("EHLO"):
                self.say("250-mail.lab.example")
                self.say("250 AUTH PLAIN")
            elif verb.startswith("AUTH"):
                self.say("535 5.7.8 no")
            elif verb == "DATA":
                self.say("354 go on")
                while self.rfile.readline().strip() != b".":
                    pass
                self.say("250 taken")
            elif verb == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")


def smtp(address):
    """A mail server on port 25 that refuses every log-in."""
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer((address, 25), SmtpSession).serve_forever()


def ssh(address):
    """Says that it is an SSH server, reads the client's offer and hangs up."""
    server = socket.create_server((address, 22))
    while True:
        peer, _ = server.accept()
        try:
            peer.sendall(b"SSH-2.0-lab\r\n")
            peer.recv(64)
            time.sleep(0.2)
            peer.recv(4096)
        except OSError:
            pass
        peer.close()


def ntp(address):
    """Answers 48-byte requests in the shape of RFC 5905, mode 4."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 123))
    while True:
        request, peer = server.recvfrom(512)
        server.sendto(bytes([0x24, 2, 6, 0xEC]) + request[4:48], peer)


def ask_ntp(address, count, seconds):
    """A client in mode 3 that asks from a new port each time."""
    for number in range(int(count)):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.settimeout(2)
        client.sendto(bytes([0x23]) + bytes(39) + struct.pack("!II", 3_900_000_000 + number, 0), (address, 123))
        client.recvfrom(512)
        client.close()
        time.sleep(float(seconds))


def stream(address, port):
    """Sends the same line for as long as the peer listens: a transfer that is longer than the capture."""
    server = socket.create_server((address, int(port)))
    while True:
        peer, _ = server.accept()
        threading.Thread(target=pour, args=(peer,), daemon=True).start()


def pour(peer):
    """One endless transfer, 40 KB/s."""
    try:
        for number in itertools.count():
            peer.sendall(b"%08d the same line, again and again\n" % number * 90)
            time.sleep(0.1)
    except OSError:
        peer.close()


if __name__ == "__main__":
    {"listen": listen, "ftp": ftp, "smtp": smtp, "ssh": ssh, "ntp": ntp, "ask-ntp": ask_ntp,
     "stream": stream}[sys.argv[1]](*sys.argv[2:])
