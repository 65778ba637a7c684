//! A Redis server of a test's own, on a socket in a folder of its own: no persistence, and no port, if its kind
//! can do without.

#![expect(clippy::panic, reason = "a test's own server fails the test")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

/// Tries to find free ports.
const TRIES: usize = 5;

/// A running `redis-server`. It stops when it is dropped.
#[derive(Debug)]
pub struct RedisServer {
    folder: tempfile::TempDir,
    arguments: Vec<String>,
    child: Child,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// When there is no `redis-server`, with what to install; when it does not answer.
    pub async fn start() -> Self {
        let Some(server) = Self::try_start(|_| plain(0)).await else { panic!("redis-server does not start") };
        server
    }

    /// Starts a server that has written what it did before it says so, and knows it again after
    /// [`restart`](Self::restart).
    ///
    /// # Panics
    /// As [`RedisServer::start`].
    pub async fn start_durable() -> Self {
        let arguments = |_: &Path| {
            let durable = ["--appendonly", "yes", "--appendfsync", "always"].map(str::to_owned);
            ["--port", "0", "--save", ""].map(str::to_owned).into_iter().chain(durable).collect()
        };
        let Some(server) = Self::try_start(arguments).await else { panic!("redis-server does not start") };
        server
    }

    /// Starts a server with the arguments that `arguments` makes, as for free ports; again with others, if it
    /// ends, because somebody else was faster. It is told its folder.
    pub(crate) async fn on_ports<P>(ports: impl Fn() -> P, arguments: impl Fn(&Path, &P) -> Vec<String>) -> (Self, P) {
        for _ in 0..TRIES {
            let ports = ports();
            if let Some(server) = Self::try_start(|folder| arguments(folder, &ports)).await {
                return (server, ports);
            }
        }
        panic!("redis-server does not start, whatever its ports are");
    }

    async fn try_start(arguments: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        let Ok(folder) = tempfile::tempdir() else { panic!("no folder for redis-server") };
        let arguments = arguments(folder.path());
        let child = run(folder.path(), &arguments);
        let mut server = Self { folder, arguments, child };
        server.answers().await.then_some(server)
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// Ends the server without warning, as a crash would; nothing of it is left.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub async fn kill(&mut self) {
        if self.child.kill().await.is_err() {
            panic!("redis-server cannot be ended");
        }
    }

    /// Starts it again in the same place, empty unless it is durable.
    ///
    /// # Panics
    /// As [`RedisServer::start`].
    pub async fn restart(&mut self) {
        self.child = run(self.folder.path(), &self.arguments);
        if !self.answers().await {
            panic!("redis-server does not answer");
        }
    }

    /// Stops the server from answering while it keeps its connections; `false` lets it go on.
    ///
    /// # Panics
    /// When the signal cannot be sent.
    pub async fn freeze(&self, is_frozen: bool) {
        let signal = if is_frozen { "-STOP" } else { "-CONT" };
        let Some(id) = self.child.id() else { panic!("redis-server is gone") };
        let sent = Command::new("kill").args([signal, &id.to_string()]).status().await;
        if !sent.is_ok_and(|status| status.success()) {
            panic!("redis-server cannot be signalled");
        }
    }

    /// Sends a command of plain words and gives the first line of the answer.
    ///
    /// # Panics
    /// When the server does not answer.
    pub async fn ask(&self, command: &str) -> String {
        let Some(answer) = self.try_ask(command).await else { panic!("redis-server does not answer") };
        answer
    }

    /// The same, and gives all lines of the answer but those that say how long it is.
    ///
    /// # Panics
    /// As [`RedisServer::ask`].
    pub async fn ask_lines(&self, command: &str) -> Vec<String> {
        let Some(lines) = self.try_lines(command).await else { panic!("redis-server does not answer") };
        lines
    }

    pub(crate) async fn try_lines(&self, command: &str) -> Option<Vec<String>> {
        let answer = self.exchange(command).await?;
        let is_content = |line: &&str| !line.starts_with(['$', '*']) && !line.is_empty();
        Some(answer.lines().filter(is_content).map(str::to_owned).collect())
    }

    async fn try_ask(&self, command: &str) -> Option<String> {
        self.exchange(command).await?.lines().next().map(str::to_owned)
    }

    /// What the server has said after a moment: short answers come in one piece.
    async fn exchange(&self, command: &str) -> Option<String> {
        let mut stream = UnixStream::connect(self.socket()).await.ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).await.ok()?;
        let mut buffer = vec![0; 65_536];
        let count = stream.read(&mut buffer).await.ok()?;
        Some(String::from_utf8_lossy(buffer.get(..count)?).into_owned())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Whether it answers, sooner or later.
    async fn answers(&mut self) -> bool {
        for _ in 0..500 {
            if self.try_ask("PING").await.is_some_and(|answer| answer == "+PONG" || answer.starts_with("-NOAUTH")) {
                return true;
            }
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return false;
            }
            // Waits for another process, which has no way to tell.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }
}

/// Arguments of a server on this port, without persistence; 0 is none.
pub(crate) fn plain(port: u16) -> Vec<String> {
    ["--port", &port.to_string(), "--save", "", "--appendonly", "no"].map(str::to_owned).to_vec()
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    let Ok(address) = bound else { panic!("no port is free") };
    address.port()
}

fn run(folder: &Path, arguments: &[String]) -> Child {
    let started = Command::new("redis-server")
        .args(arguments)
        .args(["--bind", "127.0.0.1", "--unixsocket"])
        .arg(folder.join("socket"))
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    match started {
        Ok(child) => child,
        Err(error) => panic!("redis-server cannot be started ({error}); install the package redis-server"),
    }
}
