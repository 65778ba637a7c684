"""Processes that are started with a log, awaited with a deadline and stopped at the end, come what may."""
import contextlib, os, signal, socket, subprocess, time

import httpx


class Children(contextlib.ExitStack):
    def __init__(self, folder):
        super().__init__()
        self.home = folder

    def folder(self, name):
        made = self.home / name
        made.mkdir()
        return made

    def start(self, command, folder, environment=None):
        child = Child(command, folder, environment)
        self.callback(child.stop)
        return child


class Child:
    def __init__(self, command, folder, environment):
        self.name, self.log = folder.name, folder / "log"
        with self.log.open("wb") as log:
            # In a session of its own, so that whatever it starts can be stopped with it.
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def said(self):
        return self.log.read_text(errors="replace")

    def wait_for(self, look, seconds=120):
        """What `look` finds, once it finds something."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            if found := look():
                return found
            time.sleep(0.1)
        raise SystemExit(f"{self.name} never was ready; it said:\n{self.said()[-3000:]}")

    def wait_for_answer(self, url):
        def is_there():
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(url, timeout=5).is_success

        self.wait_for(is_there)

    def stop(self):
        if self.process.returncode is not None:
            return self.process.returncode
        self.process.terminate()
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout=20)


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def bare_environment(binaries, folder):
    """For servers: they would read keys and settings from ours."""
    return {"PATH": f"{binaries}:{os.defpath}", "HOME": str(folder), "PYTHONUNBUFFERED": "1"}
