//! A Redis server of a test's own, on a socket in a folder of its own: no port, no persistence.

#![expect(clippy::panic, reason = "a test's own server fails the test")]

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

/// A running `redis-server`. It stops when it is dropped.
#[derive(Debug)]
pub struct RedisServer {
    folder: tempfile::TempDir,
    child: Child,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    /// When there is no `redis-server`, with what to install; when it does not answer.
    pub async fn start() -> Self {
        let Ok(folder) = tempfile::tempdir() else { panic!("no folder for redis-server") };
        let child = run(&folder.path().join("socket"));
        let server = Self { folder, child };
        server.wait().await;
        server
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

    /// Starts it again, empty, in the same place.
    ///
    /// # Panics
    /// As [`RedisServer::start`].
    pub async fn restart(&mut self) {
        self.child = run(&self.socket());
        self.wait().await;
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

    async fn try_ask(&self, command: &str) -> Option<String> {
        let mut stream = UnixStream::connect(self.socket()).await.ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).await.ok()?;
        let mut buffer = [0; 256];
        let count = stream.read(&mut buffer).await.ok()?;
        let text = String::from_utf8_lossy(buffer.get(..count)?).into_owned();
        text.lines().next().map(str::to_owned)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    async fn wait(&self) {
        for _ in 0..500 {
            if self.try_ask("PING").await.as_deref() == Some("+PONG") {
                return;
            }
            // Waits for another process, which has no way to tell.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("redis-server does not answer");
    }
}

fn run(socket: &std::path::Path) -> Child {
    let started = Command::new("redis-server")
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"])
        .arg(socket)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    match started {
        Ok(child) => child,
        Err(error) => panic!("redis-server cannot be started ({error}); install the package redis-server"),
    }
}
