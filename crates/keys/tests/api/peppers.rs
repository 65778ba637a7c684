//! Peppers: where they come from, and what happens without them.

use keys::{AuthError, PepperError, Peppers, Verifier};

use crate::support::{NOW, home, peppers, setup};

#[test]
fn a_file_is_made_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("peppers");
    Peppers::load_or_create(&path).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    Peppers::load_or_create(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left over");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o640, 0o604] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(Peppers::load_or_create(&path), Err(PepperError::Exposed)));
        }
    }
}

#[test]
fn many_starts_agree_on_one_pepper() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("peppers");
    let all: Vec<_> = std::thread::scope(|scope| {
        let load = || {
            Peppers::load_or_create(&path).unwrap();
            std::fs::read_to_string(&path).unwrap()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(all.iter().all(|text| *text == all[0]));
}

#[test]
fn bad_files_are_refused() {
    let line = format!("0 {}", "ab".repeat(32));
    assert!(line.parse::<Peppers>().is_ok());
    assert!(matches!("".parse::<Peppers>(), Err(PepperError::Empty)));
    assert!(matches!(format!("{line}\n{line}").parse::<Peppers>(), Err(PepperError::Twice)));
    assert!(matches!(format!("{line}\n1 ab").parse::<Peppers>(), Err(PepperError::Line(2))));
    assert!(matches!(line.replace('0', "_").parse::<Peppers>(), Err(PepperError::Name)));
    assert!(!format!("{:?}", line.parse::<Peppers>().unwrap()).contains("ab"));
}

#[tokio::test]
async fn old_peppers_check_old_keys_and_lost_ones_fail_closed() {
    let setup = setup();
    let key = setup.key().await;
    let verify = async |peppers: Peppers| {
        let verifier = Verifier::builder(setup.store.clone(), peppers).build().unwrap();
        verifier.verify(key.secret(), home(), NOW).await.map(drop)
    };
    let newer = Peppers::from_bytes([('1', [8; 32]), ('2', [9; 32])]).unwrap();
    assert_eq!(verify(newer).await, Ok(()));
    let lost = Peppers::from_bytes([('0', [7; 32])]).unwrap();
    assert_eq!(verify(lost).await, Err(AuthError::Unknown));
    assert_eq!(verify(peppers()).await, Ok(()));
}

#[tokio::test]
async fn a_row_under_a_pepper_that_is_not_loaded_is_our_fault() {
    let setup = setup();
    let key = setup.key().await;
    let mut record = key.record().clone();
    record.pepper_kid = '9';
    let store = std::sync::Arc::new(keys::MemoryKeyStore::new());
    keys::KeyStore::insert(&*store, &record, keys::Asked::default()).await.unwrap();
    let verifier = Verifier::builder(store, peppers()).build().unwrap();
    let refused = verifier.verify(key.secret(), home(), NOW).await.unwrap_err();
    assert_eq!(refused, AuthError::PepperMissing);
    assert!(!refused.is_callers_fault());
}
