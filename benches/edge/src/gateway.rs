//! The gateway, a process of its own, and connections to it from any address of loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, ChildStdout, Command};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A running gateway.
pub(crate) struct Gateway {
    address: SocketAddr,
    pub(crate) key: String,
    pub(crate) folder: TempDir,
    process: Child,
    /// Kept, so that what it still says has somewhere to go.
    _output: Lines<BufReader<ChildStdout>>,
}

impl Gateway {
    /// Starts the release binary with these settings.
    pub(crate) async fn start(settings: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let binary = std::env::current_exe().unwrap().with_file_name("portcullis");
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("portcullis.toml");
        let data = folder.path().join("data");
        std::fs::write(&config, format!("[log]\nlevel = \"error\"\n{settings}\n[server]\ndata_dir = {data:?}\n"))
            .unwrap();
        let mut issue = Command::new(&binary);
        issue.args(["keys", "bootstrap", "--config"]).arg(&config).stdout(Stdio::null());
        assert!(issue.status().await.unwrap().success(), "`cargo build --release` makes the binary");
        let mut issue = Command::new(&binary);
        issue
            .args(["keys", "issue", "--name", "bench", "--model", "*", "--operation", "chat", "--config"])
            .arg(&config);
        let key = String::from_utf8(issue.output().await.unwrap().stdout).unwrap().trim().to_owned();
        let mut serve = Command::new(&binary);
        serve.args(["serve", "--port", "0", "--config"]).arg(&config).kill_on_drop(true);
        serve.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = serve.spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = loop {
            let line = output.next_line().await.unwrap().unwrap();
            if let Some(url) = line.strip_prefix("ready").and_then(|rest| rest.split_whitespace().next()) {
                break url.trim_start_matches("https://").parse().unwrap();
            }
        };
        Self { address, key, folder, process, _output: output }
    }

    /// Where its certificate is.
    pub(crate) fn tls(&self) -> std::path::PathBuf {
        self.folder.path().join("data/tls")
    }

    /// Sockets and files that it holds: what a caller sees of a connection that was left says little, as long as the
    /// system still tries to deliver what was written to it. Counted only: to look at each takes the gateway's time.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.process.id().unwrap())).unwrap().count()
    }

    /// Kibibytes of memory that it holds.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// A connection from this address; `window` is how much the kernel takes for us, if it matters.
    pub(crate) async fn connect(&self, from: Ipv4Addr, window: Option<u32>) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(window) = window {
            socket.set_recv_buffer_size(window)?;
        }
        socket.bind((from, 0).into())?;
        socket.connect(self.address).await
    }

    /// The same, with TLS.
    pub(crate) async fn secure(
        &self,
        connector: &TlsConnector,
        from: Ipv4Addr,
        window: Option<u32>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let socket = self.connect(from, window).await?;
        socket.set_nodelay(true)?;
        let shaken = connector.connect(ServerName::try_from("localhost").unwrap(), socket);
        tokio::time::timeout(Duration::from_secs(10), shaken).await?
    }

    /// A request that asks for an answer of at most so many tokens.
    pub(crate) fn request(&self, body: &str) -> String {
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.key,
            body.len()
        ) + body
    }
}

/// Who trusts these authorities.
pub(crate) fn connector(authorities: &[&Path]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}
