//! A proxy in front of a Redis that loses a reply after the server has done what was asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use testkit::RedisServer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;

pub(crate) struct Proxy {
    port: u16,
    loses: Arc<AtomicBool>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(server: &RedisServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let socket = server.url().trim_start_matches("redis+unix://").to_owned();
        let loses = Arc::<AtomicBool>::default();
        let flag = loses.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(pass(client, server, flag.clone()));
            }
        });
        Self { port, loses, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The next reply is read and thrown away, and its connection closed.
    pub(crate) fn lose_next_reply(&self) {
        self.loses.store(true, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn pass(mut client: TcpStream, mut server: UnixStream, loses: Arc<AtomicBool>) -> std::io::Result<()> {
    let (mut asked, mut said) = ([0; 65_536], [0; 65_536]);
    loop {
        tokio::select! {
            count = client.read(&mut asked) => match count? {
                0 => return Ok(()),
                count => server.write_all(asked.get(..count).unwrap()).await?,
            },
            count = server.read(&mut said) => match count? {
                0 => return Ok(()),
                _ if loses.swap(false, Ordering::SeqCst) => return Ok(()),
                count => client.write_all(said.get(..count).unwrap()).await?,
            },
        }
    }
}
