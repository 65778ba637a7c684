//! Exporting: what is signed, from a cursor on, with ids that stay.

use std::fs;

use audit::{ExportError, Tree, export};

use crate::support::{ORIGIN, Place, outcome, segments};

fn exported(place: &Place, cursor: u64) -> Result<(Vec<serde_json::Value>, u64), ExportError> {
    let mut lines = Vec::new();
    let next = export(&place.dir(), cursor, &mut |line| {
        assert!(!line.contains('\n'));
        lines.push(serde_json::from_str(line).unwrap());
        Ok(())
    })?;
    Ok((lines, next))
}

#[tokio::test]
async fn a_line_holds_the_record_as_it_is_stored() {
    let place = Place::filled(3, 200).await;
    let stored: Vec<u8> = segments(&place.dir()).iter().flat_map(|path| fs::read(path).unwrap()).collect();
    let stored = String::from_utf8(stored).unwrap();
    let (lines, next) = exported(&place, 0).unwrap();
    assert_eq!((lines.len(), next), (6, 6));
    for (index, (line, record)) in lines.iter().zip(stored.lines()).enumerate() {
        let leaf: String = Tree::new().push(record.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((line["log"].as_str(), line["index"].as_u64()), (Some(ORIGIN), Some(index as u64)));
        assert_eq!(line["leaf"].as_str(), Some(leaf.as_str()));
        assert_eq!(line["record"], serde_json::from_str::<serde_json::Value>(record).unwrap());
    }
    let mut raw = Vec::new();
    export(&place.dir(), 5, &mut |line| {
        raw.push(line.to_owned());
        Ok(())
    })
    .unwrap();
    assert!(raw[0].ends_with(&format!("\"record\":{}}}", stored.lines().last().unwrap())));
}

#[tokio::test]
async fn it_goes_on_from_its_cursor_while_the_log_is_written() {
    let place = Place::filled(2, 1).await;
    let log = place.open_with_segments(1).await;
    let (_, cursor) = exported(&place, 0).unwrap();
    assert_eq!(exported(&place, cursor).unwrap(), (vec![], 4));
    log.append(&outcome("new")).await.unwrap();
    let newest = log.checkpoint().await.unwrap();
    let (lines, next) = exported(&place, cursor).unwrap();
    assert_eq!((lines.len(), next), (1, newest.size()));
    assert_eq!(lines[0]["record"]["request_id"], "new");
}

#[tokio::test]
async fn what_is_not_signed_is_not_exported() {
    let place = Place::filled(2, 1 << 20).await;
    let path = segments(&place.dir()).remove(0);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, [&whole[..], b"{\"record\":\"act\",\"request_id\":\"x\"}\n{\"half"].concat()).unwrap();
    assert_eq!(exported(&place, 0).unwrap().1, 4);
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(exported(&place, 0), Err(ExportError::Broken { at: 3 })));
    fs::remove_file(path).unwrap();
    assert!(matches!(exported(&place, 0), Err(ExportError::Broken { at: 0 })));
    fs::remove_file(place.dir().join("checkpoint")).unwrap();
    assert_eq!(exported(&place, 7).unwrap(), (vec![], 7));
}
