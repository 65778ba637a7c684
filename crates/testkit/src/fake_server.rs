//! A model server that follows a script.

#![expect(clippy::panic, reason = "a test's own server fails the test")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the server does with one request.
#[derive(Debug, Clone)]
pub enum Say {
    /// Status, headers and body, and the connection stays open.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The head of an event stream, these events, then `[DONE]`.
    Events(Vec<String>),
    /// These events, then the connection breaks.
    BrokenEvents(Vec<String>),
    /// These events, then nothing until the caller leaves.
    StuckEvents(Vec<String>),
    /// Nothing at all until the caller leaves.
    Silence,
    /// The connection closes at once.
    HangUp,
}

impl Say {
    /// A whole JSON answer with status 200.
    pub fn json(body: &str) -> Self {
        Self::Answer(200, vec![("content-type", "application/json".to_owned())], body.as_bytes().to_vec())
    }

    /// An answer with another status.
    pub fn status(status: u16, body: &str) -> Self {
        Self::Answer(status, vec![("content-type", "text/plain".to_owned())], body.as_bytes().to_vec())
    }
}

/// A request as the server saw it.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Method and path.
    pub line: String,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Asked {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    asked: usize,
    open: usize,
}

/// A scripted server on a free loopback port. It stops when it is dropped.
#[derive(Debug)]
pub struct FakeServer {
    address: SocketAddr,
    script: Arc<Script>,
    accepting: tokio::task::JoinHandle<()>,
}

#[derive(Debug)]
struct Script {
    next: Mutex<VecDeque<Say>>,
    always: Mutex<Say>,
    asked: Mutex<Vec<Asked>>,
    counts: watch::Sender<Counts>,
}

impl FakeServer {
    /// Starts a server that says `always` to every request.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(always: Say) -> Self {
        let Ok(listener) = TcpListener::bind("127.0.0.1:0").await else { panic!("no free port") };
        let Ok(address) = listener.local_addr() else { panic!("no address") };
        let script = Arc::new(Script {
            next: Mutex::default(),
            always: Mutex::new(always),
            asked: Mutex::default(),
            counts: watch::Sender::new(Counts::default()),
        });
        let accepting = tokio::spawn(accept(listener, script.clone()));
        Self { address, script, accepting }
    }

    /// The address, as `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Says this to the next request that has no line in the script yet.
    pub fn then(&self, say: Say) {
        lock(&self.script.next).push_back(say);
    }

    /// Says this from now on when the script is at its end.
    pub fn always(&self, say: Say) {
        *lock(&self.script.always) = say;
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.script.asked).clone()
    }

    /// Waits until so many requests have arrived.
    pub async fn wait_asked(&self, count: usize) {
        self.wait(|counts| counts.asked >= count).await;
    }

    /// Waits until so many connections are open.
    pub async fn wait_open(&self, count: usize) {
        self.wait(|counts| counts.open == count).await;
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.script.counts.borrow().open
    }

    async fn wait(&self, is_so: impl Fn(&Counts) -> bool) {
        if self.script.counts.subscribe().wait_for(is_so).await.is_err() {
            panic!("the server is gone");
        }
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, script: Arc<Script>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let script = script.clone();
        connections.spawn(async move {
            script.counts.send_modify(|counts| counts.open += 1);
            let _ = serve(stream, &script).await;
            script.counts.send_modify(|counts| counts.open -= 1);
        });
    }
}

async fn serve(stream: TcpStream, script: &Script) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(asked) = read(&mut stream).await? {
        lock(&script.asked).push(asked);
        let next = lock(&script.next).pop_front();
        let say = next.unwrap_or_else(|| lock(&script.always).clone());
        script.counts.send_modify(|counts| counts.asked += 1);
        match say {
            Say::Answer(status, headers, body) => answer(&mut stream, status, &headers, &body).await?,
            Say::Events(texts) => {
                events(&mut stream, &texts).await?;
                stream.write_all(b"data: [DONE]\n\n").await?;
                return stream.shutdown().await;
            }
            Say::BrokenEvents(texts) => {
                events(&mut stream, &texts).await?;
                return stream.shutdown().await;
            }
            Say::StuckEvents(texts) => {
                events(&mut stream, &texts).await?;
                return until_gone(&mut stream).await;
            }
            Say::Silence => return until_gone(&mut stream).await,
            Say::HangUp => return Ok(()),
        }
    }
    Ok(())
}

async fn until_gone(stream: &mut BufReader<TcpStream>) -> std::io::Result<()> {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.map(drop)
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Asked>> {
    let mut asked = Asked::default();
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Ok(None);
    }
    asked.line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        asked.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = asked.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    asked.body = vec![0; length];
    stream.read_exact(&mut asked.body).await?;
    Ok(Some(asked))
}

async fn answer(
    stream: &mut BufReader<TcpStream>,
    status: u16,
    headers: &[(&'static str, String)],
    body: &[u8],
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.flush().await
}

async fn events(stream: &mut BufReader<TcpStream>, texts: &[String]) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n").await?;
    for text in texts {
        stream.write_all(format!("data: {text}\n\n").as_bytes()).await?;
        stream.flush().await?;
    }
    Ok(())
}
