//! Three processes that start at once on one store: one of them makes the first admin key.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use keys::testing::admin_record;
use keys::{KeyStore, StoreError};
use store::{PostgresStore, SqliteStore};
use testkit::PostgresServer;

use crate::place::Place;

const NOW: u64 = 1_800_000_000_000;
const RUNS: usize = 500;
const STORE: &str = "RACER_STORE";
const WON: &str = "won";
const LOST: &str = "lost";

/// A process of the race; by itself it has nothing to do.
#[tokio::test]
async fn racer() {
    let Ok(place) = std::env::var(STORE) else { return };
    let store: Box<dyn KeyStore> = match place.strip_prefix("file:") {
        Some(file) => Box::new(SqliteStore::open(file.as_ref()).await.unwrap()),
        None => Box::new(PostgresStore::connect(&place).await.unwrap()),
    };
    // The harness writes lines of its own; these are told apart by their beginning.
    println!("racer: ready");
    for id in std::io::stdin().lines() {
        let said = match store.insert_first_admin(&admin_record(id.unwrap().trim()), NOW).await {
            Ok(()) => WON,
            Err(StoreError::Conflict) => LOST,
            Err(error) => panic!("{error}"),
        };
        println!("racer: {said}");
    }
}

struct Racer {
    child: Child,
    tell: ChildStdin,
    says: BufReader<ChildStdout>,
}

impl Racer {
    fn start(place: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "race::racer", "--nocapture"]).env(STORE, place);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (tell, says) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut racer = Self { child, tell, says };
        assert_eq!(racer.next(), "ready");
        racer
    }

    fn go(&mut self, id: &str) {
        writeln!(self.tell, "{id}").unwrap();
    }

    fn next(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.says.read_line(&mut line).unwrap() > 0, "the process has ended");
            // The harness may have begun the line.
            if let Some((_, said)) = line.trim().split_once("racer: ") {
                return said.to_owned();
            }
        }
    }

    fn end(self) {
        let Self { mut child, tell, says: _ } = self;
        drop(tell);
        child.wait().unwrap();
    }
}

async fn race(place: &Place, name: &str) {
    let store = place.open().await.unwrap();
    let mut racers = [Racer::start(name), Racer::start(name), Racer::start(name)];
    for run in 0..RUNS {
        for (at, racer) in racers.iter_mut().enumerate() {
            racer.go(&format!("{at}{run:015}"));
        }
        let said: Vec<String> = racers.iter_mut().map(Racer::next).collect();
        assert_eq!(said.iter().filter(|said| *said == WON).count(), 1, "run {run}: {said:?}");
        assert_eq!(store.list(None, None, 10).await.unwrap().len(), 1, "run {run}");
        place.sql("DELETE FROM keys").await;
    }
    racers.into_iter().for_each(Racer::end);
}

#[tokio::test]
async fn one_of_three_processes_wins_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("file:{}", folder.path().join("keys.sqlite").display());
    race(&Place::Sqlite(folder), &name).await;
}

#[tokio::test]
async fn one_of_three_processes_wins_on_postgres() {
    let server = Box::new(PostgresServer::start().await);
    let name = server.url();
    race(&Place::Postgres(server), &name).await;
}
