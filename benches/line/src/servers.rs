//! The processes that are compared, and the one behind them. Each ends when it is dropped.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::Failure;
use crate::bodies::MODEL;

const PATIENCE: Duration = Duration::from_secs(10);

/// A running process.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    child: Child,
    /// The model server serves until this is closed.
    _input: Option<ChildStdin>,
    /// Kept, so that what it still says has somewhere to go.
    _output: Option<Lines<BufReader<ChildStdout>>>,
}

impl Server {
    /// Its process.
    pub(crate) fn process(&self) -> Result<u32, Failure> {
        self.child.id().ok_or_else(|| "a server is gone".into())
    }
}

impl Drop for Server {
    /// Asks it to stop, so that nginx takes its workers along, and insists after a while.
    fn drop(&mut self) {
        let Some(id) = self.child.id() else { return };
        let _ = std::process::Command::new("kill").args(["-TERM", &id.to_string()]).status();
        for _ in 0..250 {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                _ => return,
            }
        }
        let _ = self.child.start_kill();
    }
}

/// Starts this program again as the model server.
pub(crate) async fn model_server() -> Result<Server, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--model-server").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let (input, mut output) = (child.stdin.take(), lines(&mut child)?);
    let address = awaited(&mut output, |line| line.parse().ok()).await?;
    Ok(Server { address, child, _input: input, _output: Some(output) })
}

/// The gateway and what its callers need.
pub(crate) struct Gateway {
    pub(crate) server: Server,
    /// A key with a quota that is asked each time and never used up.
    pub(crate) key: String,
    /// The folder with its certificate.
    pub(crate) tls: PathBuf,
}

/// Starts the release binary that lies beside this one, on a fresh folder.
pub(crate) async fn gateway(folder: &Path, backend: SocketAddr, redis: &str) -> Result<Gateway, Failure> {
    let binary = std::env::current_exe()?.with_file_name("portcullis");
    if !binary.exists() {
        return Err(format!("{} is missing; build the gateway in the same profile", binary.display()).into());
    }
    let data = folder.join("data");
    let config = folder.join("portcullis.toml");
    // Warnings only, as nginx writes no access log.
    let text = format!(
        "[log]\nlevel = \"warn\"\n[server]\ndata_dir = {data:?}\n[redis]\nurl = {redis:?}\n\
         [backends.model]\nkind = \"openai\"\nurl = \"http://{backend}/v1\"\n\
         [models.{MODEL}]\nbackends = [\"model\"]\noperations = [\"chat\"]\n"
    );
    fs::write(&config, text)?;
    let mut issue = Command::new(&binary);
    issue.args(["keys", "issue", "--name", "bench", "--model", MODEL, "--operation", "chat"]);
    issue.args(["--requests", "1000000/second burst 1000000", "--config"]).arg(&config);
    let issued = issue.output().await?;
    if !issued.status.success() {
        return Err(format!("no key: {}", String::from_utf8_lossy(&issued.stderr)).into());
    }
    let key = String::from_utf8(issued.stdout)?.trim().to_owned();
    let mut serve = Command::new(&binary);
    serve.args(["serve", "--port", "0", "--config"]).arg(&config);
    // As a service would: its log goes to a file.
    serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(fs::File::create(folder.join("gateway.log"))?);
    let mut child = serve.spawn()?;
    let mut output = lines(&mut child)?;
    let ready =
        |line: &str| line.strip_prefix("ready")?.trim().strip_prefix("https://")?.split(' ').next()?.parse().ok();
    let address = awaited(&mut output, ready).await?;
    let server = Server { address, child, _input: None, _output: Some(output) };
    Ok(Gateway { server, key, tls: data.join("tls") })
}

/// Starts nginx with the certificate of the gateway.
pub(crate) async fn nginx(folder: &Path, backend: SocketAddr, tls: &Path) -> Result<Server, Failure> {
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config = folder.join("nginx.conf");
    fs::write(&config, nginx_config(folder, address, backend, tls)?)?;
    let log = fs::File::create(folder.join("nginx.log"))?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).arg("-c").arg(&config).args(["-e", "stderr"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let child = command.spawn().map_err(|error| format!("nginx cannot be started ({error}); install nginx-light"))?;
    let mut server = Server { address, child, _input: None, _output: None };
    for _ in 0..500 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return Ok(server);
        }
        if server.child.try_wait()?.is_some() {
            break;
        }
        // Waits for another process, which has no way to tell.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(format!("nginx does not listen: {}", fs::read_to_string(folder.join("nginx.log"))?).into())
}

/// Two workers, TLS 1.3, connections kept on both sides, bodies in memory, nothing on disk.
fn nginx_config(folder: &Path, address: SocketAddr, backend: SocketAddr, tls: &Path) -> Result<String, Failure> {
    let own = fs::metadata("/proc/self")?;
    let user = if std::os::unix::fs::MetadataExt::uid(&own) == 0 { "user root;" } else { "" };
    let (folder, tls) = (folder.display(), tls.display());
    Ok(format!(
        r#"{user}
daemon off;
worker_processes 2;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 8m;
  client_body_buffer_size 256k;
  keepalive_requests 100000000;
  upstream model {{
    server {backend};
    keepalive 64;
    keepalive_requests 100000000;
  }}
  server {{
    listen {address} ssl reuseport;
    ssl_protocols TLSv1.3;
    ssl_certificate {tls}/cert.pem;
    ssl_certificate_key {tls}/key.pem;
    location / {{
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"#
    ))
}

fn lines(child: &mut Child) -> Result<Lines<BufReader<ChildStdout>>, Failure> {
    Ok(BufReader::new(child.stdout.take().ok_or("a server has no output")?).lines())
}

/// The first line that says where the server listens.
async fn awaited(
    output: &mut Lines<BufReader<ChildStdout>>,
    find: impl Fn(&str) -> Option<SocketAddr>,
) -> Result<SocketAddr, Failure> {
    let search = async {
        while let Some(line) = output.next_line().await? {
            if let Some(address) = find(&line) {
                return Ok(address);
            }
        }
        Err(Failure::from("a server ended before it was ready"))
    };
    tokio::time::timeout(PATIENCE, search).await?
}
