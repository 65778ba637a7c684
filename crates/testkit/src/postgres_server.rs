//! A Postgres server of a test's own, on a socket in a folder of its own: no port.

#![expect(clippy::panic, reason = "a test's own server fails the test")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

/// A running `postgres` with an empty database. It stops when it is dropped.
#[derive(Debug)]
pub struct PostgresServer {
    folder: tempfile::TempDir,
    programs: PathBuf,
    child: Child,
}

impl PostgresServer {
    /// Makes a cluster, starts it and waits until it answers. Postgres does not run as root; then it
    /// runs as the user `postgres`.
    ///
    /// # Panics
    /// When there is no Postgres, with what to install; when it does not answer.
    pub async fn start() -> Self {
        let Some(programs) = programs() else {
            panic!("there is no Postgres; install the package postgresql");
        };
        let Ok(folder) = tempfile::tempdir() else { panic!("no folder for postgres") };
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(folder.path())).await;
        }
        let data = folder.path().join("data");
        let mut make = command(&programs.join("initdb"));
        make.args(["--username", "test", "--auth", "trust", "--no-sync", "--encoding", "UTF8", "-D"]).arg(&data);
        run(&mut make).await;
        let child = serve(&programs, folder.path());
        let server = Self { folder, programs, child };
        server.wait().await;
        server
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("postgres://test@localhost/postgres?host={}", self.folder.path().display())
    }

    /// Does what somebody with access to the database could do.
    ///
    /// # Panics
    /// When it cannot be done.
    pub async fn sql(&self, text: &str) {
        let mut client = Command::new(self.programs.join("psql"));
        run(client.args(["--set", "ON_ERROR_STOP=1", "--command", text, "--dbname"]).arg(self.url())).await;
    }

    /// Ends the server without warning, as a crash would; what was committed stays.
    ///
    /// # Panics
    /// When it cannot be ended.
    pub async fn kill(&mut self) {
        // Quit at once: as after a crash, the next start has to recover.
        run(Command::new("kill").arg("-QUIT").arg(self.id())).await;
        if self.child.wait().await.is_err() {
            panic!("postgres cannot be ended");
        }
    }

    /// Starts it again on what was committed.
    ///
    /// # Panics
    /// As [`PostgresServer::start`].
    pub async fn restart(&mut self) {
        self.child = serve(&self.programs, self.folder.path());
        self.wait().await;
    }

    /// The process of the server itself, which may be the child of one that changed the user.
    fn id(&self) -> String {
        let file = self.folder.path().join("data").join("postmaster.pid");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let Some(id) = text.lines().next() else { panic!("postgres is gone") };
        id.to_owned()
    }

    async fn wait(&self) {
        for _ in 0..500 {
            let mut ask = Command::new(self.programs.join("pg_isready"));
            ask.arg("-h").arg(self.folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
            if ask.status().await.is_ok_and(|status| status.success()) {
                return;
            }
            // Waits for another process, which has no way to tell.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("postgres does not answer");
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        let file = self.folder.path().join("data").join("postmaster.pid");
        let text = std::fs::read_to_string(file).unwrap_or_default();
        if let Some(id) = text.lines().next() {
            let _ = std::process::Command::new("kill").args(["-QUIT", id]).status();
        }
    }
}

/// Where the newest installed Postgres is: in its own folder of the system's packages, else in the path.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    found.sort();
    found.reverse();
    found.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let is_whole = |folder: &PathBuf| {
        ["initdb", "postgres", "pg_isready", "psql"].iter().all(|program| folder.join(program).exists())
    };
    found.into_iter().find(is_whole)
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}

/// A program that runs as somebody who may run Postgres.
fn command(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

fn serve(programs: &Path, folder: &Path) -> Child {
    let mut server = command(&programs.join("postgres"));
    server.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    server.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=16MB"]);
    let started = server.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn();
    match started {
        Ok(child) => child,
        Err(error) => panic!("postgres cannot be started: {error}"),
    }
}

async fn run(command: &mut Command) {
    let done = command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::piped()).output().await;
    match done {
        Ok(output) if output.status.success() => {}
        Ok(output) => panic!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("{command:?}: {error}"),
    }
}
