//! A3: ten thousand logs that were changed in one place, each of which must be found; and how fast a good one is
//! verified.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use audit::{SigningKey, VerifyError, VerifyingKey, verify, verify_against};

use crate::{goal, intent, open, outcome};

const MUTANTS: usize = 10_000;
/// Requests of the log that is changed: two records each.
const REQUESTS: usize = 40;
const SEGMENT_BYTES: u64 = 4_000;
/// Records of the log that is timed.
const LONG: usize = 400_000;
const RUNS: usize = 3;

const KINDS: [&str; 8] = ["flip", "delete", "insert", "swap", "splice", "duplicate", "truncate", "roll back"];

/// Xorshift: enough for places that nothing else follows.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }
}

/// The files of a log, as they are and as they were in its middle.
struct Original {
    dir: PathBuf,
    files: Vec<(PathBuf, Vec<u8>)>,
    earlier: Vec<(PathBuf, Vec<u8>)>,
    /// Lines of another log of the same key.
    foreign: Vec<Vec<u8>>,
    published: String,
    key: VerifyingKey,
}

pub(crate) async fn run() {
    let dir = tempfile::tempdir().unwrap();
    let original = Original::make(dir.path()).await;
    let mut random = Random::new(7);
    let (mut found, mut made) = ([0_usize; KINDS.len()], [0_usize; KINDS.len()]);
    for mutant in 0..MUTANTS {
        let kind = mutant % KINDS.len();
        let changed = original.change(kind, &mut random);
        write(&changed, &original.files);
        made[kind] += 1;
        // What is good by itself is compared with the checkpoint that was published.
        let verdict = match verify(&original.dir, &original.key) {
            Ok(_) => verify_against(&original.dir, &original.key, &[&original.published]),
            bad => bad,
        };
        found[kind] +=
            usize::from(matches!(verdict, Err(VerifyError::Tampered { .. } | VerifyError::Incomplete { .. })));
        write(&original.files, &changed);
    }
    assert_eq!(verify(&original.dir, &original.key).unwrap().records, 2 * REQUESTS as u64);
    for (kind, (found, made)) in KINDS.iter().zip(found.iter().zip(made)) {
        println!("{kind:<10} {found:>5} of {made} found");
    }
    let missed = MUTANTS - found.iter().sum::<usize>();
    let rate = speed(&dir.path().join("long")).await;
    println!("A3 {missed} of {MUTANTS} changes not found (0); {rate:.0} records/s verified (300000)");
    goal("A3", &[if missed == 0 { 0.0 } else { f64::INFINITY }, 300_000.0 / rate]);
}

impl Original {
    async fn make(dir: &Path) -> Self {
        let (key_file, log_dir) = (dir.join("key"), dir.join("log"));
        let key = || SigningKey::load_or_create(&key_file).unwrap();
        fill(&log_dir, key(), 0..REQUESTS / 2).await;
        let earlier = read(&log_dir);
        fill(&log_dir, key(), REQUESTS / 2..REQUESTS).await;
        let other = dir.join("other");
        fill(&other, key(), REQUESTS..2 * REQUESTS).await;
        let is_line = |(path, _): &(PathBuf, Vec<u8>)| path.extension().is_some();
        let foreign = read(&other).into_iter().filter(is_line).flat_map(|(_, bytes)| lines(&bytes)).collect();
        let published = verify(&log_dir, &key().verifying_key()).unwrap().checkpoint.to_string();
        let files = read(&log_dir);
        Self { dir: log_dir, files, earlier, foreign, published, key: key().verifying_key() }
    }

    /// The files with one change.
    fn change(&self, kind: usize, random: &mut Random) -> Vec<(PathBuf, Vec<u8>)> {
        if kind == 7 {
            // An old state, with its own good checkpoint, and perhaps some records that followed.
            let mut files = self.earlier.clone();
            let more = random.below(self.files.len() - files.len());
            let is_new = |(path, _): &&(PathBuf, Vec<u8>)| files.iter().all(|(known, _)| known != path);
            let new: Vec<_> = self.files.iter().filter(is_new).take(more).cloned().collect();
            let last = files.iter().rposition(|(path, _)| path.extension().is_some()).unwrap();
            if more > 0 {
                files[last] = self.files.iter().find(|(path, _)| *path == files[last].0).unwrap().clone();
            }
            files.extend(new);
            return files;
        }
        let mut files = self.files.clone();
        loop {
            let segments = files.iter().filter(|(path, _)| path.extension().is_some()).count();
            // A bit of the checkpoint may flip, too.
            let at = random.below(segments + usize::from(kind == 0));
            let (_, bytes) = files.get_mut(at).unwrap();
            let mut all = lines(bytes);
            let (one, two) = (random.below(all.len()), random.below(all.len()));
            match kind {
                0 => {
                    let place = random.below(bytes.len());
                    bytes[place] ^= 1 << random.below(8);
                }
                1 => drop(all.remove(one)),
                2 => all.insert(one, b"{\"record\":\"act\",\"request_id\":\"forged\"}\n".to_vec()),
                3 => all.swap(one, two),
                4 => all[one] = self.foreign[random.below(self.foreign.len())].clone(),
                5 => all.insert(two, all[one].clone()),
                _ => {
                    // This file is cut, and all after it are gone.
                    bytes.truncate(random.below(bytes.len()));
                    files.truncate(at + 1);
                    files.extend(self.files.iter().filter(|(path, _)| path.extension().is_none()).cloned());
                }
            }
            if (1..=5).contains(&kind) {
                files[at].1 = all.concat();
            }
            if files != self.files && !self.is_only_added_to(&files) {
                return files;
            }
        }
    }
}

impl Original {
    /// What is added after the checkpoint is no change of what was signed, and said to be unsigned.
    fn is_only_added_to(&self, files: &[(PathBuf, Vec<u8>)]) -> bool {
        files.len() == self.files.len() && files.iter().zip(&self.files).all(|(now, was)| now.1.starts_with(&was.1))
    }
}

async fn fill(dir: &Path, key: SigningKey, requests: std::ops::Range<usize>) {
    let log = open(dir, key, SEGMENT_BYTES).await;
    for request in requests {
        log.append(&intent(&request.to_string())).await.unwrap();
        log.append(&outcome(&request.to_string())).await.unwrap();
    }
    log.close().await.unwrap();
}

/// Segments in their order, and then the checkpoint.
fn read(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        paths.filter(|path| !path.ends_with("lock")).map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    files.sort();
    files
}

fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

/// Writes what differs from what is there.
fn write(files: &[(PathBuf, Vec<u8>)], there: &[(PathBuf, Vec<u8>)]) {
    for (path, _) in there.iter().filter(|(path, _)| files.iter().all(|(kept, _)| kept != path)) {
        fs::remove_file(path).unwrap();
    }
    for (path, bytes) in files.iter().filter(|file| !there.contains(file)) {
        fs::write(path, bytes).unwrap();
    }
}

async fn speed(dir: &Path) -> f64 {
    let key = SigningKey::generate().unwrap();
    let verifying = key.verifying_key();
    let log = open(dir, key, 64 << 20).await;
    let mut waiting = std::collections::VecDeque::new();
    for at in 0..LONG {
        waiting.push_back(log.keep(&intent(&at.to_string())).unwrap());
        if waiting.len() == 4_096 {
            waiting.pop_front().unwrap().durable().await.unwrap();
        }
    }
    log.close().await.unwrap();
    let mut rates: Vec<f64> = (0..RUNS)
        .map(|_| {
            let began = Instant::now();
            let records = verify(dir, &verifying).unwrap().records;
            records as f64 / began.elapsed().as_secs_f64()
        })
        .collect();
    rates.sort_by(f64::total_cmp);
    rates[RUNS / 2]
}
