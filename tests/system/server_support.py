#!/usr/bin/env python3
"""server_support.py postgres|redis FOLDER [NAME=VALUE ...] - a real server from Debian's packages, for one test.

Its data is in FOLDER, and so is its only door, a Unix socket: no ports, any number at once. Started by root it
runs as nobody. Options are the server's own settings. Prints "ready URI PID" when it takes connections, and runs
until stdin is closed; it dies with whoever started it. Started again on the same folder it goes on with its data.
Exit code 77: the package is not installed. C programs use harness/server.h, scripts `with Server(...)`.
"""

import ctypes
import glob
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading

SKIPPED = 77
PR_SET_PDEATHSIG = 1
USER = "nobody"
READY = b"ready to accept connections"


class NotInstalled(Exception):
    pass


def find_program(kind):
    if kind == "redis":
        found = shutil.which("redis-server")
    else:
        found = max(glob.glob("/usr/lib/postgresql/*/bin/postgres"), default=None,
                    key=lambda path: int(path.split("/")[4]))
    if not found:
        raise NotInstalled(f"needs a {kind} server (apt-get install {'postgresql' if kind == 'postgres' else 'redis-server'})")
    return found


def make_folder(path):
    """The folder, USER's if we are root; those above it let USER through, if they are temporary ones."""
    os.makedirs(path, exist_ok=True)
    if os.getuid() != 0:
        return
    user = pwd.getpwnam(USER)
    os.chown(path, user.pw_uid, user.pw_gid)
    temporary = os.path.realpath(tempfile.gettempdir())
    above = os.path.dirname(os.path.realpath(path))
    while above != "/":
        mode = os.stat(above).st_mode
        if not mode & stat.S_IXOTH and above.startswith(temporary):
            os.chmod(above, mode | stat.S_IXOTH)
        above = os.path.dirname(above)


def as_user(death_signal):
    """What Popen needs to start a program as USER, and to end it with us."""
    def prepare():
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
    settings = {"preexec_fn": prepare, "stdin": subprocess.DEVNULL, "cwd": "/"}
    if os.getuid() == 0:
        user = pwd.getpwnam(USER)
        settings.update(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
    return settings


class Server:
    """One server: start, kill, stop. uri and pid are good after start."""

    def __init__(self, kind, folder, **options):
        self.kind, self.folder, self.options = kind, os.path.abspath(folder), options
        self.program = find_program(kind)
        #   An immediate shutdown, not SIGKILL: PostgreSQL then takes its shared memory along.
        self.end_signal = signal.SIGQUIT if kind == "postgres" else signal.SIGKILL
        self.process = self.drain = None
        if kind == "postgres":
            self.uri = f"postgresql:///postgres?host={self.folder}&user=yam"
        else:
            self.uri = self.folder + "/redis.sock"

    def arguments(self):
        if self.kind == "redis":
            settings = {"port": 0, "unixsocket": self.uri, "dir": self.folder, "save": "", "appendonly": "no"}
            settings.update(self.options)
            return [word for name, value in settings.items() for word in ("--" + name, str(value))]
        settings = {"listen_addresses": "", "unix_socket_directories": self.folder, "fsync": "off"}
        settings.update(self.options)
        return ["-D", self.folder + "/data"] + [
            word for name, value in settings.items() for word in ("-c", f"{name}={value}")]

    def prepare(self):
        make_folder(self.folder)
        if self.kind == "postgres" and not os.path.exists(self.folder + "/data/PG_VERSION"):
            initdb = os.path.join(os.path.dirname(self.program), "initdb")
            subprocess.run([initdb, "-D", self.folder + "/data", "-U", "yam", "-A", "trust", "-E", "UTF8",
                            "--locale=C", "--no-sync"], check=True, stdout=subprocess.DEVNULL,
                           **as_user(signal.SIGKILL))

    def start(self):
        self.prepare()
        self.process = subprocess.Popen([self.program] + self.arguments(), stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, **as_user(self.end_signal))
        log = b""
        for line in self.process.stdout:
            log += line
            if READY in line:
                break
        else:
            raise RuntimeError(f"{self.kind} did not start:\n{log.decode(errors='replace')}")
        #   The end of its output is the end of all its processes.
        self.drain = threading.Thread(target=self.process.stdout.read, daemon=True)
        self.drain.start()

    @property
    def pid(self):
        return self.process.pid

    def end(self, number):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
        if self.process:
            self.process.wait()
            self.drain.join()
            self.process = None

    def kill(self):
        self.end(signal.SIGKILL)

    def stop(self):
        self.end(self.end_signal)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()


def main():
    options = dict(word.split("=", 1) for word in sys.argv[3:])
    try:
        server = Server(sys.argv[1], sys.argv[2], **options)
    except NotInstalled as reason:
        print(reason, file=sys.stderr)
        return SKIPPED
    with server:
        print(f"ready {server.uri} {server.pid}", flush=True)
        sys.stdin.buffer.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
