//! Where keys are kept, and the peppers they are made with.

use std::sync::Arc;

use keys::{KeyStore, Peppers};
use store::{PostgresStore, SqliteStore};

use crate::app::StartError;
use crate::config::{InvalidSettings, Settings};
use crate::data_dir::{DataDir, refuse_orphan};

/// Where keys are, and what they are made with.
pub(crate) struct Stored {
    database: Database,
    pub(crate) peppers: Peppers,
}

enum Database {
    Sqlite(Arc<SqliteStore>),
    Postgres(Arc<PostgresStore>),
}

impl Stored {
    /// Opens the key store and the peppers: those of the settings, else of the data folder, made if
    /// there are none.
    pub(crate) async fn open(settings: &Settings, data_dir: &DataDir) -> Result<Self, StartError> {
        let keys = |error: &dyn std::fmt::Display| StartError::Keys(error.to_string());
        let file = data_dir.path().join("keys.sqlite");
        let malformed = "expected lines of a letter or digit, a space, 64 hexadecimal digits";
        let given = settings.keys.peppers()?.map(|text| text.parse()).transpose();
        let given = given.map_err(|_| InvalidSettings::new("keys.peppers_file", malformed))?;
        if let Some(url) = settings.database.url.reveal() {
            let missing = "gateways that share a database share their peppers";
            let peppers = given.ok_or_else(|| InvalidSettings::new("keys.peppers_file", missing))?;
            let store = PostgresStore::connect(url).await;
            let store = store.map_err(|error| StartError::Keys(format!("database.url: {error}")))?;
            return Ok(Self { database: Database::Postgres(Arc::new(store)), peppers });
        }
        let peppers = match given {
            Some(peppers) => peppers,
            None => {
                let path = data_dir.path().join("peppers");
                refuse_orphan(&file, &path)?;
                Peppers::load_or_create(&path).map_err(|error| keys(&error))?
            }
        };
        let store = SqliteStore::open(&file).await.map_err(|error| keys(&error))?;
        Ok(Self { database: Database::Sqlite(Arc::new(store)), peppers })
    }

    pub(crate) fn store(&self) -> Arc<dyn KeyStore> {
        match &self.database {
            Database::Sqlite(store) => store.clone(),
            Database::Postgres(store) => store.clone(),
        }
    }

    /// Whether other gateways change the same keys.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.database, Database::Postgres(_))
    }

    pub(crate) async fn close(&self) {
        match &self.database {
            Database::Sqlite(store) => store.close().await,
            Database::Postgres(store) => store.close().await,
        }
    }
}
