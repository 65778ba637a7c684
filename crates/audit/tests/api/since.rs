//! Verifying from a mark on, against checkpoints that were kept, and against those in other logs.

use std::fs;

use audit::{InvalidMark, Log, Mark, Peer, SegmentFile, VerifyError, verify, verify_against, verify_since};

use crate::support::{Place, outcome, segments};

#[tokio::test]
async fn from_every_mark_on_the_rest_is_read() {
    let place = Place::new();
    let (key, log) = (place.verifying_key(), place.open_with_segments(300).await);
    let mut marks = Vec::new();
    for at in 0..20 {
        log.append(&outcome(&at.to_string())).await.unwrap();
        log.checkpoint().await.unwrap();
        let text = place.verify().unwrap().mark.to_string();
        marks.push(text.parse::<Mark>().unwrap());
    }
    for (at, mark) in marks.iter().enumerate() {
        let verified = verify_since(&place.dir(), &key, mark).unwrap();
        assert_eq!((verified.first, verified.records, mark.records()), (at as u64 + 1, 20, at as u64 + 1));
        assert_eq!(verified.mark, marks[19]);
    }
    // What is before the segment of the mark is not even read.
    fs::remove_file(&segments(&place.dir())[0]).unwrap();
    assert!(verify(&place.dir(), &key).is_err());
    verify_since(&place.dir(), &key, &marks[15]).unwrap();
    // A change after the mark is found, and one within its segment before it is none of its business.
    let last = segments(&place.dir()).pop().unwrap();
    let whole = fs::read_to_string(&last).unwrap();
    fs::write(&last, whole.replace("\"19\"", "\"x\"")).unwrap();
    assert!(matches!(verify_since(&place.dir(), &key, &marks[10]), Err(VerifyError::Tampered { at: 19 })));
    fs::write(&last, "").unwrap();
    assert!(matches!(
        verify_since(&place.dir(), &key, &marks[19]),
        Err(VerifyError::Incomplete { want: Some(20), .. })
    ));
}

#[tokio::test]
async fn a_mark_that_was_changed_is_of_no_use() {
    let place = Place::filled(5, 300).await;
    let text = place.verify().unwrap().mark.to_string();
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(changed) = String::from_utf8(bytes) else { continue };
        let read = changed.parse::<Mark>();
        assert!(
            read.is_err() || verify_since(&place.dir(), &place.verifying_key(), &read.unwrap()).is_err(),
            "{changed}"
        );
    }
    for bad in ["", "{}", "[]", "{\"frontier\":\"\",\"note\":\"\"}"] {
        assert_eq!(bad.parse::<Mark>(), Err(InvalidMark));
    }
}

#[tokio::test]
async fn checkpoints_that_were_kept_are_compared() {
    let place = Place::new();
    let (key, log) = (place.verifying_key(), place.open().await);
    let mut kept = vec![log.checkpoint().await.unwrap().to_string()];
    for at in 0..5 {
        log.append(&outcome(&at.to_string())).await.unwrap();
        kept.push(log.checkpoint().await.unwrap().to_string());
    }
    let all: Vec<&str> = kept.iter().map(String::as_str).collect();
    assert_eq!(verify_against(&place.dir(), &key, &all).unwrap().records, 5);
    for bad in ["", "no note", &kept[3].replacen('3', "2", 1)] {
        assert!(matches!(verify_against(&place.dir(), &key, &[bad]), Err(VerifyError::Foreign)), "{bad}");
    }
}

#[tokio::test]
async fn a_log_that_is_written_anew_is_found_by_its_neighbours() {
    let (one, two) = (Place::new(), Place::new());
    two.share_key(&one);
    let key = one.verifying_key();
    let open =
        async |place: &Place, origin| Log::open(SegmentFile::open(&place.dir()).unwrap(), place.key(), origin).await;
    let (log, neighbour) = (open(&one, "gateway/1").await.unwrap(), open(&two, "gateway/2").await.unwrap());
    for id in ["a", "b"] {
        log.append(&outcome(id)).await.unwrap();
        let mut peer = Peer::new("", 1);
        peer.note = log.checkpoint().await.unwrap().to_string();
        neighbour.append(&peer.into()).await.unwrap();
    }
    let mut garbage = Peer::new("", 1);
    garbage.note = "no checkpoint".to_owned();
    neighbour.append(&garbage.into()).await.unwrap();
    log.close().await.unwrap();
    neighbour.close().await.unwrap();
    let peers = verify(&two.dir(), &key).unwrap().peers;
    assert_eq!(peers.keys().collect::<Vec<_>>(), ["gateway/1"]);
    let newest = peers["gateway/1"].as_str();
    assert_eq!(verify_against(&one.dir(), &key, &[newest]).unwrap().records, 2);
    // Whoever has the key writes another history of the first log; the second tells.
    fs::remove_dir_all(one.dir()).unwrap();
    let log = open(&one, "gateway/1").await.unwrap();
    for id in ["a", "x", "y"] {
        log.append(&outcome(id)).await.unwrap();
    }
    log.close().await.unwrap();
    verify(&one.dir(), &key).unwrap();
    assert!(matches!(verify_against(&one.dir(), &key, &[newest]), Err(VerifyError::Tampered { at: 1 })));
}
