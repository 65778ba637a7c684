//! A Redis master with a replica, and three sentinels that watch over them.

#![expect(clippy::panic, reason = "a test's own server fails the test")]

use std::time::Duration;

use crate::redis_server::{RedisServer, free_port, plain};

const SENTINELS: usize = 3;

/// Two servers and three sentinels. They stop when they are dropped.
#[derive(Debug)]
pub struct RedisSentinels {
    servers: Vec<(RedisServer, u16)>,
    sentinels: Vec<(RedisServer, u16)>,
}

impl RedisSentinels {
    /// Starts them and waits until the sentinels know each other and both servers. The sentinels call the master
    /// `main`, and ask for `password`, if there is one.
    ///
    /// # Panics
    /// As [`RedisServer::start`], and when they do not find each other.
    pub async fn start(password: Option<&str>) -> Self {
        let master = RedisServer::on_ports(free_port, |_, port| plain(*port)).await;
        let replica = RedisServer::on_ports(free_port, |_, port| plain(*port)).await;
        replica.0.ask(&format!("REPLICAOF 127.0.0.1 {}", master.1)).await;
        let mut sentinels = Vec::new();
        for _ in 0..SENTINELS {
            sentinels.push(sentinel(master.1, password).await);
        }
        let started = Self { servers: vec![master, replica], sentinels };
        started.wait(password).await;
        started
    }

    /// The address of the master, by way of the sentinels.
    pub fn url(&self) -> String {
        let hosts: Vec<String> = self.sentinels.iter().map(|(_, port)| format!("127.0.0.1:{port}")).collect();
        format!("redis+sentinel://{}/main", hosts.join(","))
    }

    /// The server that says it is the master; none while there is none.
    pub async fn master(&self) -> Option<&RedisServer> {
        for (server, _) in &self.servers {
            if server.try_lines("ROLE").await.is_some_and(|lines| lines.first().is_some_and(|role| role == "master")) {
                return Some(server);
            }
        }
        None
    }

    /// The server that is the replica at first.
    ///
    /// # Panics
    /// Never: there are two.
    pub fn replica(&self) -> &RedisServer {
        let Some((replica, _)) = self.servers.get(1) else { panic!("no replica") };
        replica
    }

    /// Whether a sentinel names the replica as the master, which happens up to a second after it became one.
    pub async fn know_the_next(&self) -> bool {
        let Some((_, port)) = self.servers.get(1) else { return false };
        let port = port.to_string();
        for (sentinel, _) in &self.sentinels {
            let named = sentinel.try_lines("SENTINEL GET-MASTER-ADDR-BY-NAME main").await.unwrap_or_default();
            if named.contains(&port) {
                return true;
            }
        }
        false
    }

    /// Lets the sentinels make the replica the master.
    ///
    /// # Panics
    /// When they will not.
    pub async fn failover(&self) {
        let Some((sentinel, _)) = self.sentinels.first() else { return };
        let said = sentinel.ask("SENTINEL FAILOVER main").await;
        assert!(said == "+OK", "{said}");
    }

    /// Ends the first server, without warning, and one of the sentinels, as when their machine dies.
    ///
    /// # Panics
    /// When they cannot be ended.
    pub async fn kill_master(&mut self) {
        for (server, _) in self.servers.iter_mut().take(1).chain(self.sentinels.iter_mut().take(1)) {
            server.kill().await;
        }
    }

    async fn wait(&self, password: Option<&str>) {
        for _ in 0..500 {
            let mut ready = 0;
            for (sentinel, _) in &self.sentinels {
                let ask = |command: &str| match password {
                    Some(password) => format!("AUTH {password}\r\n{command}"),
                    None => command.to_owned(),
                };
                let quorum = sentinel.try_lines(&ask("SENTINEL CKQUORUM main")).await.unwrap_or_default();
                let replicas = sentinel.try_lines(&ask("SENTINEL REPLICAS main")).await.unwrap_or_default();
                let others = format!("OK {SENTINELS} usable");
                let is_ready = quorum.iter().any(|line| line.contains(&others))
                    && replicas.iter().any(|line| line == "slave")
                    && replicas.iter().any(|line| line == "ok");
                ready += usize::from(is_ready);
            }
            if ready == SENTINELS {
                return;
            }
            // Waits for other processes, which have no way to tell.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the sentinels do not find each other");
    }
}

async fn sentinel(master: u16, password: Option<&str>) -> (RedisServer, u16) {
    RedisServer::on_ports(free_port, |folder, port| {
        let mut lines = vec![
            format!("port {port}"),
            format!("sentinel monitor main 127.0.0.1 {master} 2"),
            "sentinel down-after-milliseconds main 500".to_owned(),
            "sentinel failover-timeout main 3000".to_owned(),
        ];
        if let Some(password) = password {
            lines.push(format!("requirepass {password}"));
            lines.push(format!("sentinel sentinel-pass {password}"));
        }
        // A sentinel writes into its own file what it learns.
        let file = folder.join("sentinel.conf");
        if std::fs::write(&file, lines.join("\n")).is_err() {
            panic!("{} cannot be written", file.display());
        }
        vec![file.display().to_string(), "--sentinel".to_owned()]
    })
    .await
}
