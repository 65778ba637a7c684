"""The gateway: a first start on embedded parts, or one with settings and a key."""
import dataclasses, os, pathlib, re, subprocess

from client_cases.child import Child

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("PORTCULLIS_BINARY", ROOT / "target" / "release" / "portcullis")
BLOCKING = """
[screening.output]
secrets = "block"
"""


@dataclasses.dataclass
class Gateway:
    child: Child
    address: str
    key: str
    authority: str
    admin: str = ""

    def issue(self, *limits):
        """A key with these limits, made by the command line while the gateway runs."""
        command = [BINARY, "keys", "issue", "--name", "limited", *limits]
        folder = pathlib.Path(self.authority).parents[2]
        environment = os.environ | {"PORTCULLIS_ADMIN_KEY": self.admin}
        done = subprocess.run(command, cwd=folder, env=environment, check=True, timeout=30, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    @property
    def url(self):
        return f"https://{self.address}"

    @property
    def admin_url(self):
        return re.search(r"^ready .* admin (https://\S+)", self.child.said(), re.M).group(1)

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.key}"}


def first_start(children):
    folder = children.folder("first-gateway")
    environment = os.environ | {"PORTCULLIS__LIMITS__MAX_UNPACKED_BYTES": "1048576"}
    child = children.start([BINARY, "--port", "0"], folder, environment)
    address = ready(child)
    said = lambda key: re.search(rf"^{key} key +(\S+)", child.said(), re.M).group(1)
    return dataclasses.replace(reached(child, folder, address, said("demo")), admin=said("admin"))


def with_settings(children, parts, acts=()):
    """With a key for all models, and another one that may administer `acts`."""
    folder = children.folder("second-gateway")
    (folder / "portcullis.toml").write_text("".join(parts))
    key = issued(folder)
    admin = issued(folder, *(word for act in acts for word in ("--admin", act))) if acts else ""
    child = children.start([BINARY, "serve", "--config", "portcullis.toml", "--port", "0"], folder)
    return dataclasses.replace(reached(child, folder, ready(child), key), admin=admin)


def issued(folder, *terms):
    """A key that is made before the gateway starts."""
    issue = [BINARY, "keys", "issue", "--config", "portcullis.toml", "--name", "clients", *terms]
    return subprocess.run(issue, cwd=folder, check=True, timeout=30, stdout=subprocess.PIPE, text=True).stdout.strip()


def ready(child):
    return child.wait_for(lambda: re.search(r"^ready +https://(\S+)", child.said(), re.M)).group(1)


def reached(child, folder, address, key):
    authority = str(folder / "portcullis-data" / "tls" / "ca.pem")
    os.environ["SSL_CERT_FILE"] = authority  # httpx, and so openai, trusts it from now on
    return Gateway(child, address, key, authority)
