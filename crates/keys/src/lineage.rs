//! A key and the keys that made it, and what those leave of its terms.

use crate::error::StoreError;
use crate::id::KeyId;
use crate::record::KeyRecord;
use crate::scopes::AdminAct;
use crate::store::KeyStore;
use crate::terms::Terms;

/// Most keys between a key and the command line.
pub const MAX_MAKERS: usize = 8;

/// A key and the keys that made it, as their rows are now.
pub(crate) struct Lineage {
    pub(crate) record: KeyRecord,
    /// The nearest first.
    makers: Vec<KeyRecord>,
    /// A row is gone, or there is no end to them.
    is_broken: bool,
}

impl Lineage {
    pub(crate) async fn find(store: &dyn KeyStore, id: &KeyId) -> Result<Option<Self>, StoreError> {
        match store.find(id).await? {
            Some(record) => Self::of(store, record).await.map(Some),
            None => Ok(None),
        }
    }

    /// One read for each of its makers: most keys have one or none.
    pub(crate) async fn of(store: &dyn KeyStore, record: KeyRecord) -> Result<Self, StoreError> {
        let mut makers: Vec<KeyRecord> = Vec::new();
        let mut next = record.made_by;
        while let Some(family) = next {
            // A family's terms are those of its first key, too.
            match store.find(&family.founder()).await? {
                Some(maker) if makers.len() < MAX_MAKERS => {
                    next = maker.made_by;
                    makers.push(maker);
                }
                _ => return Ok(Self { record, makers, is_broken: true }),
            }
        }
        Ok(Self { record, makers, is_broken: false })
    }

    pub(crate) fn makers(&self) -> usize {
        self.makers.len()
    }

    /// The key's terms, as far as its makers leave them; `None` when they leave nothing.
    pub(crate) fn terms(&self) -> Option<Terms> {
        let Self { record, is_broken, .. } = self;
        match (is_broken, self.most()) {
            (true, _) | (_, Err(NothingLeft)) => None,
            (_, Ok(None)) => Some(record.terms.clone()),
            (_, Ok(Some(most))) => record.terms.clipped_to(&most),
        }
    }

    /// The most that the makers may hand on to the key's tenant; anything when there is none.
    pub(crate) fn most(&self) -> Result<Option<Terms>, NothingLeft> {
        let mut most: Option<Terms> = None;
        for (at, maker) in self.makers.iter().enumerate().rev() {
            // Whom it has made: the maker before it, or the key itself.
            let made = at.checked_sub(1).and_then(|before| self.makers.get(before)).unwrap_or(&self.record);
            let terms = match most {
                None => maker.terms.clone(),
                Some(most) => maker.terms.clipped_to(&most).ok_or(NothingLeft)?,
            };
            if maker.tenant != made.tenant && !terms.scopes.permits_admin(AdminAct::TenantsAll) {
                return Err(NothingLeft);
            }
            most = Some(terms);
        }
        Ok(most)
    }
}

/// The makers themselves have nothing left.
#[derive(Debug)]
pub(crate) struct NothingLeft;
